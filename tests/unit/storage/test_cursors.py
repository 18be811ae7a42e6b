"""Cursors: only ours are taken, whatever is made of them."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server import errors
from server.storage.cursors import decode, encode

MOMENT = datetime(2026, 11, 21, 4, 5, 6, 789, tzinfo=UTC)


def made_of(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_a_cursor_comes_back() -> None:
    assert decode(encode(MOMENT, "bot_1")) == (MOMENT, "bot_1")
    elsewhere = MOMENT.astimezone(timezone(timedelta(hours=5)))
    assert decode(encode(elsewhere, "bot_1")) == (MOMENT, "bot_1")


BAD = {
    "empty": "",
    "no base64": "???",
    "not ASCII": "é",
    "surrogate": "\udcff",
    "padding": encode(MOMENT, "bot_1") + "=",
    "cut": encode(MOMENT, "bot_1")[:-2],
    "longer": encode(MOMENT, "bot_1") + "AAAA",
    "number": made_of(1),
    "null": made_of(None),
    "object": made_of({MOMENT.isoformat(): 1, "bot_1": 2}),
    "three": made_of([MOMENT.isoformat(), "bot_1", 1]),
    "no moment": made_of(["yesterday", "bot_1"]),
    "moment a number": made_of([1, "bot_1"]),
    "no zone": made_of(["2026-11-21T04:05:06", "bot_1"]),
    "other zone": made_of(["2026-11-21T04:05:06+05:00", "bot_1"]),
    "before every calendar": made_of(["0001-01-01T00:00:00+14:00", "bot_1"]),
    "id a number": made_of([MOMENT.isoformat(), 1]),
    "id empty": made_of([MOMENT.isoformat(), ""]),
    "id with NUL": made_of([MOMENT.isoformat(), "bot\x00"]),
    "id with a surrogate": made_of([MOMENT.isoformat(), "\ud800"]),
    "id with a line break": made_of([MOMENT.isoformat(), "bot_1\n"]),
    "id too long": made_of([MOMENT.isoformat(), "b" * 65]),
    "SQL": made_of([MOMENT.isoformat(), "' OR 1=1--"]),
    "deep": base64.urlsafe_b64encode(b"[" * 20_000).decode(),
}


@pytest.mark.parametrize("cursor", BAD.values(), ids=BAD.keys())
def test_altered_cursors_are_refused(cursor: str) -> None:
    with pytest.raises(errors.BadCursor):
        decode(cursor)


@given(st.text() | st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).rstrip(b"=").decode()))
def test_anything_else_is_refused(cursor: str) -> None:
    with pytest.raises(errors.BadCursor):
        decode(cursor)
