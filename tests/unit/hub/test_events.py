"""Merging and folding: fewer frames, the same text for every reader."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.hub.events import Event, HoleError, cut, dumps, fold, merge, mergeable, read_streams, units
from server.hub.outbox import COLLAPSE_BYTES, Outbox
from tests.visitor import Conversation


def log_of(texts: list[str], *, stream: str = "s_1", first: int = 1) -> list[Event]:
    """A whole stream as it stands in the log."""
    frames: list[tuple[dict[str, Any], int | None]] = [
        (
            {"type": "stream_start", "streamId": stream, "chatbotId": "b", "messageId": f"m_{stream}", "replyTo": "r",
             "attempt": 1, "animation": "thinking"},
            None,
        )
    ]  # fmt: skip
    position = 0
    for text in texts:
        frames.append(({"type": "stream_chunk", "streamId": stream, "chunk": text}, position))
        position += units(text)
    frames.append(
        (
            {"type": "stream_complete", "streamId": stream, "messageId": f"m_{stream}", "sentiment": "neutral",
             "animation": "idle", "finishReason": "stop", "chars": position},
            None,
        )
    )  # fmt: skip
    return [Event("e", first + number, dumps(frame), pos) for number, (frame, pos) in enumerate(frames)]


def read(frames: list[str], *, after: int = 0, known: Conversation | None = None) -> Conversation:
    reader = known or Conversation()
    reader.epoch = "e"
    reader.last = max(reader.last, after)
    for text in frames:
        assert reader.take(json.loads(text)), "no reader ever meets a gap"
    return reader


def test_units_and_cut_count_as_browsers_do() -> None:
    assert units("a😀b") == 4
    assert cut("a😀b", 3) == "a😀"
    assert cut("plain", 2) == "pl"


def test_an_event_is_written_once_per_kind_of_reader() -> None:
    event = Event("e", 7, '{"type":"stream_chunk","streamId":"s","chunk":"x","cue":[{"id":"c"}]}', 0)
    assert event.kind == "stream_chunk"
    assert json.loads(event.text()) == {
        "type": "stream_chunk", "streamId": "s", "chunk": "x", "cue": [{"id": "c"}], "seq": 7,
    }  # fmt: skip
    assert "cue" not in json.loads(event.text(cues=False))
    assert event.text() is event.text()


texts_ = st.lists(st.text(max_size=12), min_size=1, max_size=30)


@given(texts_, st.data())
def test_merged_frames_tell_the_same_also_where_they_overlap(texts: list[str], data: st.DataObject) -> None:
    events = log_of(texts)
    chunks = events[1:-1]
    at = data.draw(st.integers(0, len(chunks) - 1))
    until = data.draw(st.integers(at + 1, len(chunks)))
    merged = merge(chunks[at:until])
    seen = data.draw(st.integers(at, until))  # the reader has some of them already
    reader = read([event.text() for event in [events[0], *chunks[:seen]]])
    read([merged.text()], known=reader)
    read([event.text() for event in [*chunks[until:], events[-1]]], known=reader)
    assert reader.texts["s_1"] == "".join(texts)
    assert reader.wrong_lengths == []


@given(st.lists(texts_, min_size=1, max_size=4), st.data())
def test_folding_from_anywhere_tells_the_same(streams: list[list[str]], data: st.DataObject) -> None:
    events: list[Event] = []
    for number, texts in enumerate(streams):
        events += log_of(texts, stream=f"s_{number}", first=len(events) + 1)
    after = data.draw(st.integers(0, len(events)))
    reader = read([event.text() for event in events[:after]])
    frames = fold(events, after=after)
    read(frames, known=reader)
    assert reader.texts == {f"s_{number}": "".join(texts) for number, texts in enumerate(streams)}
    assert reader.wrong_lengths == []
    assert reader.last == max(after, len(events))
    assert len(frames) <= 3 * len(streams) + 1


def test_folding_without_the_beginning_is_refused() -> None:
    with pytest.raises(HoleError):
        fold(log_of(["a", "b"])[2:], after=2)


def test_a_snapshot_knows_resets_and_sources() -> None:
    events = log_of(["Hello ", "world"])[:-1]
    more = [
        {"type": "stream_reset", "streamId": "s_1", "reason": "failover", "keepChars": 6},
        {"type": "source", "streamId": "s_1", "n": 1, "title": "T", "handle": "h"},
        {"type": "stream_chunk", "streamId": "s_1", "chunk": "you", "animation": "happy"},
    ]
    events += [Event("e", 4 + number, dumps(frame), None) for number, frame in enumerate(more)]
    snapshot = read_streams(events)["s_1"].snapshot()
    assert (snapshot["text"], snapshot["animation"]) == ("Hello you", "happy")
    assert snapshot["sources"] == [{"n": 1, "title": "T", "handle": "h"}]


def test_only_neighbours_of_one_stream_merge() -> None:
    first, second = log_of(["a", "b", "c"])[1:3]
    other = log_of(["a", "b"], stream="s_2")[2]
    assert mergeable(first, second)
    assert not mergeable(second, first)
    assert not mergeable(first, other)
    third = log_of(["a", "b", "c"])[3]
    assert mergeable(merge([first, second]), third)
    assert json.loads(merge([merge([first, second]), third]).text())["from"] == first.seq


def test_a_slow_reader_is_merged_then_collapsed() -> None:
    outbox = Outbox()
    events = log_of(["x" * 900] * 200)
    reliefs = []
    for event in events[:60]:
        outbox.put('{"type":"typing"}', droppable=True)
        outbox.put_event(event)
        reliefs.append(outbox.relieve()[0])
    assert "merge" in reliefs
    assert "collapse" not in reliefs
    outbox.put('{"type":"ack","id":"a"}')
    for event in events[60:]:
        outbox.put_event(event)
        relief, first = outbox.relieve()
        if relief == "collapse":
            assert first == 1
            break
    assert outbox.size <= COLLAPSE_BYTES
    assert [json.loads(text)["type"] for text in outbox.take()].count("ack") == 1


def test_what_cannot_be_dropped_overflows() -> None:
    outbox = Outbox()
    outbox.put("x" * (COLLAPSE_BYTES + 1))
    assert outbox.relieve()[0] == "overflow"


def test_an_answer_goes_before_what_it_announces() -> None:
    outbox = Outbox()
    outbox.put_event(log_of(["a"])[0])
    assert outbox.take(events=False) == []
    outbox.put_first('{"type":"ack"}')
    assert [json.loads(text)["type"] for text in outbox.take()] == ["ack", "stream_start"]
    assert not outbox
