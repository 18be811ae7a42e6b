"""What counts as a message."""

from __future__ import annotations

import pytest

from server import errors
from server.chat.intake import measured


def test_a_message_is_cleaned_before_it_is_measured() -> None:
    assert measured("  \u200bhello\u202e  ", 5) == "hello"


@pytest.mark.parametrize("text", ["", "   ", "\u200b\u200d", "\x00", "\U000e0041"])
def test_nothing_is_no_message(text: str) -> None:
    with pytest.raises(errors.EmptyMessage):
        measured(text, 10)


@pytest.mark.parametrize("text", ["x" * 11, "x" * 100_000, "\ufdfa" * 10])
def test_too_much_is_too_long(text: str) -> None:
    with pytest.raises(errors.TooLong):
        measured(text, 10)
