"""The coalescer: first token at once, few frames after it, nothing lost."""

from __future__ import annotations

import json
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from server.hub.coalescer import Coalescer, Outgoing
from server.hub.events import units
from server.protocol import TurnEvent

STREAM = "s_abc"


def chunk(text: str, **more: Any) -> TurnEvent:
    return cast(TurnEvent, {"type": "stream_chunk", "streamId": STREAM, "chunk": text} | more)


def start() -> TurnEvent:
    return {
        "type": "stream_start", "streamId": STREAM, "chatbotId": "b", "messageId": "m", "replyTo": "r", "attempt": 1,
        "animation": "thinking",
    }  # fmt: skip


def complete(chars: int) -> TurnEvent:
    return {
        "type": "stream_complete", "streamId": STREAM, "messageId": "m", "sentiment": "neutral", "animation": "idle",
        "finishReason": "stop", "chars": chars,
    }  # fmt: skip


def texts(outgoing: list[Outgoing]) -> list[str]:
    return [json.loads(item.payload)["chunk"] for item in outgoing if item.pos is not None]


def test_the_first_token_goes_at_once_and_the_next_wait_for_a_growing_window() -> None:
    coalescer = Coalescer(STREAM)
    coalescer.add(chunk("One"), 10.0)
    assert texts(coalescer.take(10.0)) == ["One"]
    coalescer.add(chunk(" two"), 10.01)
    coalescer.add(chunk(" three"), 10.02)
    assert coalescer.take(10.03) == []
    assert coalescer.due() == 10.04
    assert texts(coalescer.take(10.04)) == [" two three"]
    coalescer.add(chunk(" four"), 10.05)
    assert coalescer.due() == 10.04 + 0.08
    coalescer.take(10.13)
    coalescer.add(chunk(" five"), 10.14)
    assert round((coalescer.due() or 0) - 10.13, 3) == 0.16
    coalescer.take(10.30)
    coalescer.add(chunk(" six"), 10.31)
    assert round((coalescer.due() or 0) - 10.30, 3) == 0.16, "the window stops growing"


def test_a_slow_model_waits_for_no_window() -> None:
    coalescer = Coalescer(STREAM)
    for number in range(5):
        coalescer.add(chunk(f"w{number}"), 10.0 + number)
        assert texts(coalescer.take(10.0 + number)) == [f"w{number}"]


def test_a_sentence_end_512_bytes_and_a_change_of_animation_close_the_window() -> None:
    coalescer = Coalescer(STREAM)
    coalescer.add(chunk("Go"), 1.0)
    coalescer.take(1.0)
    coalescer.add(chunk(" on"), 1.001)
    coalescer.add(chunk(". "), 1.002)
    assert texts(coalescer.take(1.002)) == [" on. "]
    coalescer.add(chunk("x" * 300), 1.003)
    assert coalescer.take(1.003) == []
    coalescer.add(chunk("y" * 300), 1.004)
    assert len(texts(coalescer.take(1.004))[0]) == 600
    coalescer.add(chunk("calm"), 1.005)
    coalescer.add(chunk(" happy", animation="happy"), 1.006)
    first, second = coalescer.take(1.006)
    assert "animation" not in json.loads(first.payload)
    assert json.loads(second.payload)["animation"] == "happy"


def test_3_14_is_no_sentence_end() -> None:
    coalescer = Coalescer(STREAM)
    coalescer.add(chunk("Pi"), 1.0)
    coalescer.take(1.0)
    coalescer.add(chunk(" is 3."), 1.001)
    coalescer.add(chunk("14"), 1.002)
    assert coalescer.take(1.003) == []


def test_other_events_push_the_text_before_them_out() -> None:
    coalescer = Coalescer(STREAM)
    coalescer.add(start(), 1.0)
    coalescer.add(chunk("a", cue=[{"id": "c1"}]), 1.0)
    coalescer.add(chunk("b", cue=[{"id": "c2"}]), 1.001)
    coalescer.add({"type": "source", "streamId": STREAM, "n": 1, "title": "T", "handle": "h"}, 1.002)
    coalescer.add(complete(2), 1.003)
    out = coalescer.take(1.003)
    kinds = [json.loads(item.payload)["type"] for item in out]
    assert kinds == ["stream_start", "stream_chunk", "stream_chunk", "source", "stream_complete"]
    assert [item.terminal for item in out] == [False, False, False, False, True]
    assert [item.first_text for item in out] == [False, True, False, False, False]
    assert json.loads(out[2].payload)["cue"] == [{"id": "c2"}]


def test_a_reset_moves_the_position_back() -> None:
    coalescer = Coalescer(STREAM)
    coalescer.add(chunk("Hello 😀 world"), 1.0)
    coalescer.add({"type": "stream_reset", "streamId": STREAM, "reason": "failover", "keepChars": 8}, 1.1)
    coalescer.add(chunk("!"), 2.0)
    assert coalescer.take(2.0)[-1].pos == 8
    assert coalescer.text == "Hello 😀!"


@given(st.lists(st.tuples(st.text(max_size=40), st.floats(0, 0.2)), max_size=40))
def test_no_text_is_lost_and_positions_are_exact(steps: list[tuple[str, float]]) -> None:
    coalescer, now, out = Coalescer(STREAM), 5.0, []
    for text, pause in steps:
        coalescer.add(chunk(text), now)
        out += coalescer.take(now)
        now += pause
    whole = "".join(text for text, _ in steps)
    coalescer.add(complete(units(whole)), now)
    out += coalescer.take(now)
    position = 0
    for item in out:
        if item.pos is not None:
            assert item.pos == position
            position += units(json.loads(item.payload)["chunk"])
    assert "".join(texts(out)) == whole
    assert out[-1].terminal
