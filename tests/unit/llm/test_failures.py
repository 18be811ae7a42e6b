from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.llm.failures import (
    error_object,
    parse_wait,
    sort_exception,
    sort_failure,
    sort_stream_error,
)

NOW = 1_800_000_000.0


def openai(code: str | None = None, type: str = "error", message: str = "m") -> bytes:  # noqa: A002
    return json.dumps({"error": {"message": message, "type": type, "code": code}}).encode()


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, openai("invalid_api_key"), "key_dead"),
        (401, b"", "key_dead"),
        (402, openai(), "key_dead"),
        (403, openai(), "key_dead"),
        (429, openai("insufficient_quota", "insufficient_quota"), "key_dead"),
        (429, openai("credit_balance_exhausted"), "key_dead"),
        (429, openai("rate_limit_exceeded", "requests"), "key_cool"),
        (429, openai(None, "tokens", "Please try again in 5.289s"), "key_cool"),
        (429, openai("slow_down"), "model_cool"),
        (429, b"not json", "key_cool"),
        (
            429,
            b'[{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"GenerateRequestsPerDayPerProject"}}]',
            "quota_day",
        ),
        (503, openai("slow_down"), "model_cool"),
        (500, b"", "model_cool"),
        (502, b"<html>bad gateway</html>", "model_cool"),
        (529, b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}', "model_cool"),
        (400, openai("context_length_exceeded", "invalid_request_error"), "context"),
        (400, openai(None, "exceed_context_size_error"), "context"),
        (413, b"", "context"),
        (400, openai("content_policy_violation"), "policy"),
        (400, openai("content_filter"), "policy"),
        (400, openai(None, "invalid_request_error"), "request_fault"),
        (422, b"{}", "request_fault"),
        (404, openai("model_not_found"), "model_missing"),
        (404, b"{}", "model_missing"),
        (404, b"<html>captive portal</html>", "garbled"),
        (302, b"", "garbled"),
        (
            400,
            b'{"error":{"type":"invalid_request_error","message":"You have reached your specified API usage limits."}}',
            "key_dead",
        ),
        (
            429,
            b'{"type":"error","error":{"type":"rate_limit_error","message":"m","details":{"error_code":"enforced_spend_limit_reached"}}}',
            "key_dead",
        ),
    ],
)
def test_classes_of_answers(status: int, body: bytes, kind: str) -> None:
    assert sort_failure(status, {}, body, NOW).kind == kind


@pytest.mark.parametrize(
    ("headers", "body", "wait_s"),
    [
        ({"retry-after": "2"}, b"", 2.0),
        ({"retry-after": "1.5"}, b"", 1.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, b"", 0.25),
        ({"retry-after": "Fri, 15 Jan 2027 08:00:30 GMT"}, b"", 30.0),
        ({}, openai(None, "tokens", "Please try again in 5.289s."), 5.289),
        ({}, openai(None, "tokens", "Please try again in 1m2.5s."), 62.5),
        ({"x-ratelimit-reset-requests": "20ms", "x-ratelimit-reset-tokens": "6m0s"}, b"", 360.0),
        ({"anthropic-ratelimit-requests-reset": "2027-01-15T08:01:00Z"}, b"", 60.0),
        ({}, b'{"error":{"code":429,"details":[{"@type":"t/google.rpc.RetryInfo","retryDelay":"46s"}]}}', 46.0),
        ({"x-ratelimit-reset-requests": "-1"}, b"", None),
        ({"retry-after": "soon"}, b"", None),
        ({}, b"", None),
    ],
)
def test_waits(headers: dict[str, str], body: bytes, wait_s: float | None) -> None:
    wait = sort_failure(429, headers, body, NOW).retry_after_s
    assert wait == (None if wait_s is None else pytest.approx(wait_s, abs=0.001))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"type": "server_error", "message": "m"}, "model_cool"),
        ({"code": 502, "message": "upstream"}, "model_cool"),
        ({"code": 429, "message": "m"}, "key_cool"),
        ({"code": "rate_limit_exceeded"}, "key_cool"),
        ({"type": "overloaded_error"}, "model_cool"),
        ({"message": "who knows"}, "cut"),
    ],
)
def test_errors_inside_a_stream(error: dict[str, Any], kind: str) -> None:
    assert sort_stream_error(error).kind == kind


def test_broken_connections() -> None:
    assert sort_exception("ConnectError", "refused", answered=False).unreachable
    assert sort_exception("ConnectTimeout", "", answered=False).kind == "model_cool"
    assert sort_exception("ServerDisconnectedError", "", answered=False).stale_connection
    assert sort_exception("ReadTimeout", "", answered=True).kind == "model_cool"
    assert sort_exception("ReadError", "", answered=True).kind == "cut"


@given(
    st.integers(100, 599),
    st.binary(max_size=200),
    st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms"]), st.text(max_size=20)),
)
def test_no_answer_breaks_the_sorting(status: int, body: bytes, headers: dict[str, str]) -> None:
    failure = sort_failure(status, headers, body, NOW)
    assert failure.retry_after_s is None or 0 <= failure.retry_after_s <= 86_400


@given(st.text(max_size=40))
def test_no_text_breaks_the_waits(text: str) -> None:
    wait = parse_wait(text, NOW)
    assert wait is None or wait >= 0


def test_error_objects_of_every_shape() -> None:
    assert error_object(b'{"error":"flat"}') == {"message": "flat"}
    assert error_object(b'[{"error":{"code":5}}]') == {"code": 5}
    assert error_object(b"[]") == error_object(b"3") == error_object(b"\xff") == error_object(b'{"error":3}') == {}
    assert error_object(b"[" * 100_000) == {}
