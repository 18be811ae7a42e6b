"""Turn events in, log events out: the first token at once, then as few frames as nobody will notice. Pure.

The window between two chunk events is 40 ms and doubles to 160; a sentence's end, a change of animation or 512 bytes
close it at once. The widget reveals text from a buffer, so the window is never seen.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from server.hub.events import TERMINAL, cut, dumps, units
from server.protocol import TurnEvent

FIRST_WINDOW_S = 0.040
LAST_WINDOW_S = 0.160
MAX_BYTES = 512
_SENTENCE_END = re.compile(r"(?:[.!?…:][\"'”’)\]]*\s|[。！？]|\n)\s*$")  # noqa: RUF001 - marks of other scripts


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One event for the log: its JSON without `seq`; `pos` is where a chunk begins in the stream's text."""

    payload: str
    pos: int | None = None
    terminal: bool = False
    first_text: bool = False


class Coalescer:
    """Collects one stream's events; `due` says when `take` has something."""

    def __init__(self, stream_id: str) -> None:
        self.stream_id = stream_id
        self.position = 0  # UTF-16 units handed out
        self.text = ""  # everything handed out, for a snapshot when the log is lost
        self.animation = "thinking"
        self.started: dict[str, Any] | None = None
        self.sources: list[dict[str, Any]] = []
        self._ready: list[Outgoing] = []
        self._parts: list[str] = []
        self._bytes = 0
        self._animation: str | None = None
        self._cues: list[Any] = []
        self._window = FIRST_WINDOW_S
        self._next_at = 0.0  # nothing was sent yet: the first token goes at once
        self._any_text = False

    def add(self, event: TurnEvent, now: float) -> None:
        """Take one event of the turn."""
        frame: dict[str, Any] = dict(event)
        if frame["type"] == "stream_chunk":
            self._add_chunk(frame, now)
            return
        self._flush(now)
        self._note(frame)
        self._ready.append(Outgoing(dumps(frame), terminal=frame["type"] in TERMINAL))

    def _note(self, frame: dict[str, Any]) -> None:
        if frame["type"] == "stream_start":
            self.started = frame
            self.animation = frame["animation"]
        elif frame["type"] == "stream_reset":
            self.text = cut(self.text, frame["keepChars"])
            self.position = units(self.text)
        elif frame["type"] == "source":
            self.sources.append({key: value for key, value in frame.items() if key not in {"type", "streamId"}})

    def _add_chunk(self, frame: dict[str, Any], now: float) -> None:
        animation = frame.get("animation")
        if animation and self._parts:
            self._flush(now)
        self._parts.append(frame["chunk"])
        self._bytes += len(frame["chunk"].encode("utf-8", "replace"))
        self._cues.extend(frame.get("cue", ()))
        if animation:
            self._animation = self.animation = animation
        if animation or self._bytes >= MAX_BYTES or now >= self._next_at or self._sentence_ends():
            self._flush(now)

    def _sentence_ends(self) -> bool:
        return _SENTENCE_END.search("".join(self._parts[-2:])) is not None

    def _flush(self, now: float) -> None:
        """Close the window: what was collected becomes one chunk event."""
        if not self._parts:
            return
        text = "".join(self._parts)
        frame: dict[str, Any] = {"type": "stream_chunk", "streamId": self.stream_id, "chunk": text}
        if self._animation:
            frame["animation"] = self._animation
        if self._cues:
            frame["cue"] = self._cues
        self._ready.append(Outgoing(dumps(frame), self.position, first_text=bool(text) and not self._any_text))
        self._any_text = self._any_text or bool(text)
        self.text += text
        self.position += units(text)
        self._parts, self._bytes, self._animation, self._cues = [], 0, None, []
        self._next_at = now + self._window
        self._window = min(self._window * 2, LAST_WINDOW_S)

    def due(self) -> float | None:
        """When `take` will have something: 0.0 at once, None only after the next `add`."""
        if self._ready:
            return 0.0
        return self._next_at if self._parts else None

    def take(self, now: float) -> list[Outgoing]:
        """Everything that is ready at `now`."""
        if self._parts and now >= self._next_at:
            self._flush(now)
        ready, self._ready = self._ready, []
        return ready

    def position_with_pending(self) -> int:
        """Length of the text when everything collected will have been handed out, in UTF-16 units."""
        return self.position + units("".join(self._parts))

    def snapshot(self, message_id: str, reply_to: str, text: str) -> str:
        """The `stream_snapshot` that opens a new log in the middle of an answer; `text` is what the old one held."""
        frame: dict[str, Any] = {
            "type": "stream_snapshot",
            "streamId": self.stream_id,
            "messageId": message_id,
            "replyTo": reply_to,
            "text": text,
            "animation": self.animation,
        }
        if self.sources:
            frame["sources"] = self.sources
        return dumps(frame)
