"""Every failure is documented once."""

from __future__ import annotations

import re

import pytest

from server import errors


def every_error() -> list[type[errors.ParlourError]]:
    found, waiting = [], [errors.ParlourError]
    while waiting:
        kind = waiting.pop()
        found.append(kind)
        waiting += kind.__subclasses__()
    return found[1:]


def test_the_list_is_complete_and_codes_are_unique() -> None:
    assert set(errors.all_errors()) == set(every_error())
    codes = [kind.code for kind in every_error()]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_an_error_is_documented(kind: type[errors.ParlourError]) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", kind.code)
    assert "code" in vars(kind)
    assert 400 <= kind.status <= 599
    assert kind.title.endswith(".")
    assert kind.title[0].isupper()
    # 4000-4499: come again; 4500-4999: do not; the rest are RFC 6455's own.
    assert kind.close_code is None or kind.close_code in {1003, 1007, 1008, 1009} or 4000 <= kind.close_code <= 4999
    if kind.close_code is not None and kind.close_code >= 4000:
        assert kind.retryable == (kind.close_code < 4500)


def test_codes_are_named_after_their_classes() -> None:
    for kind in every_error():
        assert kind.code == re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower() or kind.code in EXCEPTIONS


EXCEPTIONS = {"token_in_url", "csrf_failed", "unsupported_media_type"}


def test_a_detail_falls_back_to_the_title() -> None:
    assert errors.NotFound().detail == errors.NotFound.title
    failure = errors.RateLimited("Slow down.", retry_after_s=1.5, extra={"limit": 1})
    assert (str(failure), failure.retry_after_s, failure.extra, failure.errors) == ("Slow down.", 1.5, {"limit": 1}, [])
