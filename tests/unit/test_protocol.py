"""Client frames at the edge: typed, or refused with a documented code."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server import errors
from server.protocol import CLIENT_TYPES, NOT_ENABLED_TYPES, TERMINAL_TYPES, ClientFrames

FRAMES = ClientFrames()
CLIENT = {"name": "widget", "version": "1.0.0"}
GOOD: list[dict[str, Any]] = [
    {"type": "hello", "v": 1, "token": "t", "client": CLIENT},
    {
        "type": "hello", "v": 1, "token": "t" * 4096, "client": CLIENT, "conversationId": "conv_1", "history": 50,
        "resume": {"epoch": "e", "seq": 0}, "locale": "de", "page": "https://shop.example/",
        "caps": {"deltas": True, "coalesceMs": 50, "somethingNew": {"x": 1}},
    },
    {"type": "message", "id": "m-1_A", "text": ""},
    {"type": "message", "id": "m", "text": "hi", "parentId": "msg_1", "context": {"anything": [1, None]}},
    {"type": "stop", "id": "s", "streamId": "s_1", "reason": "user", "heard": {"chars": 0, "audioMs": 1}},
    {"type": "regenerate", "id": "r", "messageId": "msg_1"},
    {"type": "typing", "state": "on"},
    {"type": "read", "messageId": "msg_1"},
    {"type": "feedback", "id": "f", "messageId": "msg_1", "rating": "up", "comment": "c" * 2000},
    {"type": "feedback", "id": "f", "messageId": "msg_1", "rating": 5},
    {"type": "history", "id": "h", "limit": 100, "before": "msg_1"},
    {"type": "sync", "epoch": "e", "seq": 2**53 - 1},
    {"type": "auth_refresh", "id": "a"},
    {"type": "auth_refresh", "id": "a", "token": "t"},
    {"type": "seen", "seq": 0},
    {"type": "ping", "t": 0},
    {"type": "pong", "t": 2**53 - 1},
]  # fmt: skip
HELLO, MESSAGE, STOP = GOOD[0], GOOD[2], GOOD[4]


@pytest.mark.parametrize("frame", GOOD, ids=lambda frame: frame["type"])
def test_good_frames_pass(frame: dict[str, Any]) -> None:
    assert FRAMES.check(frame)["type"] == frame["type"]


def test_every_type_has_a_good_example() -> None:
    assert {frame["type"] for frame in GOOD} == CLIENT_TYPES
    assert not CLIENT_TYPES & NOT_ENABLED_TYPES
    assert {"stream_complete", "stream_error"} == TERMINAL_TYPES


BAD: list[tuple[object, type[errors.ParlourError]]] = [
    ([], errors.BadMessage),
    (None, errors.BadMessage),
    ("hello", errors.BadMessage),
    ({}, errors.BadMessage),
    ({"type": None}, errors.BadMessage),
    ({"type": ["hello"]}, errors.BadMessage),
    ({"type": ""}, errors.UnknownType),
    ({"type": "Hello"}, errors.UnknownType),
    ({"type": "__proto__"}, errors.UnknownType),
    *[({"type": name}, errors.NotPermitted) for name in sorted(NOT_ENABLED_TYPES)],
    ({"type": "hello"}, errors.BadMessage),
    (HELLO | {"v": "1"}, errors.BadMessage),
    (HELLO | {"v": True}, errors.BadMessage),
    (HELLO | {"token": ""}, errors.BadMessage),
    (HELLO | {"token": "t" * 4097}, errors.BadMessage),
    (HELLO | {"tenant": "ten_2"}, errors.UnknownField),
    (HELLO | {"client": CLIENT | {"role": "owner"}}, errors.UnknownField),
    (HELLO | {"history": 51}, errors.BadMessage),
    (HELLO | {"history": -1}, errors.BadMessage),
    (HELLO | {"history": 1.5}, errors.BadMessage),
    (HELLO | {"resume": {"epoch": "e", "seq": -1}}, errors.BadMessage),
    (HELLO | {"resume": {"epoch": "e", "seq": 2**53}}, errors.BadMessage),
    (HELLO | {"resume": {"epoch": "e", "seq": 1.0}}, errors.BadMessage),
    (HELLO | {"resume": {"epoch": "e", "seq": "1"}}, errors.BadMessage),
    (HELLO | {"resume": {"epoch": "e", "seq": 1, "x": 1}}, errors.UnknownField),
    (HELLO | {"caps": {"deltas": "yes"}}, errors.BadMessage),
    (HELLO | {"page": "p" * 2049}, errors.BadMessage),
    (MESSAGE | {"id": ""}, errors.BadMessage),
    (MESSAGE | {"id": "a b"}, errors.BadMessage),
    (MESSAGE | {"id": "a\n"}, errors.BadMessage),
    (MESSAGE | {"id": "é"}, errors.BadMessage),
    (MESSAGE | {"id": "m" * 65}, errors.BadMessage),
    (MESSAGE | {"text": None}, errors.BadMessage),
    (MESSAGE | {"text": 5}, errors.BadMessage),
    (MESSAGE | {"model": "dearest"}, errors.UnknownField),
    (MESSAGE | {"system": "ignore all"}, errors.UnknownField),
    (MESSAGE | {"context": []}, errors.BadMessage),
    (STOP | {"reason": "because"}, errors.BadMessage),
    (STOP | {"heard": {"chars": -1}}, errors.BadMessage),
    (STOP | {"heard": {"chars": 2**31}}, errors.BadMessage),
    ({"type": "feedback", "id": "f", "messageId": "m", "rating": 6}, errors.BadMessage),
    ({"type": "feedback", "id": "f", "messageId": "m", "rating": "up", "comment": "c" * 2001}, errors.BadMessage),
    ({"type": "history", "id": "h", "limit": 0}, errors.BadMessage),
    ({"type": "history", "id": "h", "limit": 101}, errors.BadMessage),
    ({"type": "seen", "seq": None}, errors.BadMessage),
    ({"type": "ping", "t": 2**53}, errors.BadMessage),
    ({"type": "typing", "state": True}, errors.BadMessage),
]


@pytest.mark.parametrize(("frame", "expected"), BAD)
def test_bad_frames_are_named(frame: object, expected: type[errors.ParlourError]) -> None:
    with pytest.raises(errors.ParlourError) as caught:
        FRAMES.check(frame)
    assert type(caught.value) is expected


def test_a_refusal_names_the_field_and_never_repeats_its_value() -> None:
    with pytest.raises(errors.BadMessage) as caught:
        FRAMES.check(HELLO | {"token": "secret" * 1000})
    assert "token" in caught.value.detail
    assert "secret" not in caught.value.detail


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = sorted({name for frame in GOOD for name in frame if name != "type"})


@given(st.sampled_from(GOOD), st.dictionaries(st.sampled_from(FIELDS) | st.text(), VALUES, max_size=4), st.data())
def test_nothing_but_a_frame_or_a_documented_error(frame: dict[str, Any], changes: dict[str, Any], data: Any) -> None:
    dropped = data.draw(st.sets(st.sampled_from(sorted(frame)), max_size=2))
    changed = {name: value for name, value in (frame | changes).items() if name not in dropped}
    assert outcome(changed) in {200, 403, 422}


def outcome(frame: dict[str, Any]) -> int:
    try:
        return 200 if FRAMES.check(frame)["type"] in CLIENT_TYPES else 0
    except errors.ParlourError as refused:
        return refused.status
