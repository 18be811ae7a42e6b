"""Events of the log as they travel: made once, cut, merged and folded without loss. Pure.

Positions in a stream's text count UTF-16 code units, as every browser does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

FOLDABLE = frozenset({"stream_chunk", "stream_reset", "source"})
TERMINAL = frozenset({"stream_complete", "stream_error"})


class HoleError(Exception):
    """The log does not hold what would be needed to go on without a gap."""


def dumps(frame: Any) -> str:
    """A frame as text: compact, `type` first as the caller wrote it, other scripts left as they are."""
    return json.dumps(frame, separators=(",", ":"), ensure_ascii=False)


def units(text: str) -> int:
    """Length of a text in UTF-16 code units."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def cut(text: str, length: int) -> str:
    """The first `length` UTF-16 code units of a text."""
    if text.isascii():
        return text[:length]
    return text.encode("utf-16-le", "surrogatepass")[: length * 2].decode("utf-16-le", "ignore")


class Event:
    """One durable event: its JSON without `seq`, its place in the log and, for chunks, in the stream's text."""

    __slots__ = ("_plain", "_text", "body", "epoch", "first", "kind", "pos", "seq")

    def __init__(self, epoch: str, seq: int, body: str, pos: int | None = None) -> None:
        self.epoch = epoch
        self.seq = seq
        self.first = seq  # of a merged chunk: the first event it stands for
        self.body = body
        self.pos = pos
        self.kind = body[9 : body.index('"', 9)]  # every body begins {"type":"
        self._text: str | None = None
        self._plain: str | None = None

    def text(self, cues: bool = True) -> str:
        """The frame as it is sent; made once for clients with cues and once for those without."""
        if cues or '"cue"' not in self.body:
            if self._text is None:
                self._text = f'{self.body[:-1]},"seq":{self.seq}}}'
            return self._text
        if self._plain is None:
            frame = self.frame()
            frame.pop("cue", None)
            self._plain = dumps(frame)
        return self._plain

    def frame(self) -> dict[str, Any]:
        """The frame as a dictionary, `seq` included."""
        frame: dict[str, Any] = json.loads(self.body)
        frame["seq"] = self.seq
        return frame


@dataclass(slots=True)
class StreamText:
    """What a reader knows of one stream after some of its events."""

    stream_id: str
    message_id: str
    reply_to: str
    animation: str = "thinking"
    text: str = ""
    sources: list[dict[str, Any]] = field(default_factory=list)
    ended: bool = False
    parts: list[str] = field(default_factory=list)

    def apply(self, frame: dict[str, Any]) -> None:
        """Take one event of this stream."""
        kind = frame["type"]
        if kind == "stream_chunk":
            self.parts.append(frame["chunk"])
            self.animation = frame.get("animation") or ("talk_calm" if self.animation == "thinking" else self.animation)
        elif kind == "stream_reset":
            self.text = cut(self.whole(), frame["keepChars"])
        elif kind == "source":
            self.sources.append({key: value for key, value in frame.items() if key not in {"type", "streamId", "seq"}})
        elif kind == "stream_snapshot":
            self.parts, self.text, self.animation = [], frame["text"], frame["animation"]
            self.sources = list(frame.get("sources", ()))
        elif kind in TERMINAL:
            self.ended = True

    def whole(self) -> str:
        """The text so far."""
        if self.parts:
            self.text += "".join(self.parts)
            self.parts = []
        return self.text

    def snapshot(self) -> dict[str, Any]:
        """A `stream_snapshot` frame without `seq`."""
        frame: dict[str, Any] = {
            "type": "stream_snapshot",
            "streamId": self.stream_id,
            "messageId": self.message_id,
            "replyTo": self.reply_to,
            "text": self.whole(),
            "animation": self.animation,
        }
        if self.sources:
            frame["sources"] = list(self.sources)
        return frame


def opened(frame: dict[str, Any]) -> StreamText:
    """The state of a stream after the frame that opens it (`stream_start` or `stream_snapshot`)."""
    state = StreamText(frame["streamId"], frame["messageId"], frame["replyTo"], frame.get("animation", "thinking"))
    if frame["type"] == "stream_snapshot":
        state.apply(frame)
    return state


def read_streams(events: Iterable[Event]) -> dict[str, StreamText]:
    """Every stream whose opening event is among `events`, in their state after the last of them."""
    streams: dict[str, StreamText] = {}
    for event in events:
        if not event.kind.startswith("stream_") and event.kind != "source":
            continue
        frame = json.loads(event.body)
        if event.kind in {"stream_start", "stream_snapshot"}:
            streams[frame["streamId"]] = opened(frame)
        elif frame["streamId"] in streams:
            streams[frame["streamId"]].apply(frame)
    return streams


def fold(events: Sequence[Event], *, after: int, cues: bool = True) -> list[str]:
    """Frames for everything after `after`: runs of chunks become one snapshot, all else stays as it was.

    `events` must reach back to the opening of every stream met; HoleError if they do not.
    """
    frames: list[str] = []
    streams: dict[str, StreamText] = {}
    run: tuple[str, int, int] | None = None
    for event in events:
        foldable = event.kind in FOLDABLE
        frame = json.loads(event.body) if foldable or event.kind.startswith("stream_") else {}
        if event.kind in {"stream_start", "stream_snapshot"}:
            streams[frame["streamId"]] = opened(frame)
        elif frame.get("streamId") in streams:
            streams[frame["streamId"]].apply(frame)
        if event.seq <= after:
            continue
        if run and not (foldable and frame["streamId"] == run[0]):
            frames.append(_snapshot(streams, run))
            run = None
        if foldable:
            run = (frame["streamId"], run[1] if run else event.seq, event.seq)
        else:
            frames.append(event.text(cues))
    return [*frames, _snapshot(streams, run)] if run else frames


def _snapshot(streams: dict[str, StreamText], run: tuple[str, int, int]) -> str:
    stream_id, first, last = run
    if stream_id not in streams:
        raise HoleError(stream_id)
    # A later event of the same stream may already have been applied; it only ever ends the stream, never changes text.
    return dumps(streams[stream_id].snapshot() | {"from": first, "seq": last})


def merge(events: Sequence[Event]) -> Event:
    """One chunk for adjacent chunks of one stream: `from` and `pos` make it exact even where it overlaps."""
    if len(events) == 1:
        return events[0]
    frames = [json.loads(event.body) for event in events]
    body: dict[str, Any] = {
        "type": "stream_chunk",
        "streamId": frames[0]["streamId"],
        "chunk": "".join(frame["chunk"] for frame in frames),
        "from": events[0].first,
    }
    if events[0].pos is not None:
        body["pos"] = events[0].pos
    animations = [frame["animation"] for frame in frames if "animation" in frame]
    if animations:
        body["animation"] = animations[-1]
    cues = [cue for frame in frames for cue in frame.get("cue", ())]
    if cues:
        body["cue"] = cues
    merged = Event(events[0].epoch, events[-1].seq, dumps(body), events[0].pos)
    merged.first = events[0].first
    return merged


def mergeable(first: Event, second: Event) -> bool:
    """Whether two events may travel in one frame: adjacent chunks of one stream."""
    if first.kind != "stream_chunk" or second.kind != "stream_chunk" or second.first != first.seq + 1:
        return False
    return first.body[: _head(first.body)] == second.body[: _head(second.body)]


def _head(body: str) -> int:
    """Where the stream id ends in a chunk's body (`type`, then `streamId`)."""
    return body.index('"', body.index('"streamId":"') + 12)
