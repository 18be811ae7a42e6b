"""One reader's place in a conversation's log: exactly once, in order, whatever pub/sub lost.

Live events are taken while they follow on; anything else makes the reader `behind`, and the log is read until nothing
is missing. Replay and history are pulled by whoever sends, never pushed into its queue.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from server import errors
from server.hub.events import FOLDABLE, TERMINAL, Event, HoleError, dumps, fold, read_streams
from server.hub.log import AWAY, Address, Log, Position, View
from server.hub.outbox import Outbox

if TYPE_CHECKING:
    from server.hub.feed import Feed, Feeds
    from server.protocol import HistoryMessage
    from server.telemetry import Telemetry

PAGE = 256
SUBSCRIBE_S = 5.0
AWAY_S = 15.0


@dataclass(frozen=True, slots=True)
class Place:
    """A position a reader claims to have reached."""

    epoch: str
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """How a reader wants its events."""

    cues: bool = False
    deltas: bool = True
    coalesce_s: float = 0.0
    history: int = 30


Greet = Callable[[str, int, bool, tuple[str, str] | None], dict[str, Any]]
ReadHistory = Callable[[int], Awaitable[list["HistoryMessage"]]]


class Follower:
    """Follows one conversation into an outbox; `pull` hands out frames in order."""

    __slots__ = (
        "_away_since", "_behind", "_feed", "_feeds", "_fresh", "_greet", "_held", "_log", "_name", "_outbox", "_read_history",
        "_resume", "_telemetry", "_top", "_wake", "_wishes", "address", "direct", "epoch", "overflowed", "seq", "welcomed",
    )  # fmt: skip

    def __init__(
        self,
        log: Log,
        feeds: Feeds,
        telemetry: Telemetry,
        address: Address,
        *,
        outbox: Outbox,
        wake: asyncio.Event,
        wishes: Wishes,
        resume: Place | None,
        greet: Greet,
        read_history: ReadHistory,
        name: str,
    ) -> None:
        self._log = log
        self._feeds = feeds
        self._telemetry = telemetry
        self.address = address
        self._outbox = outbox
        self._wake = wake
        self._wishes = wishes
        self._resume = resume
        self._greet = greet
        self._read_history = read_history
        self._name = name
        self._feed: Feed | None = None
        self.epoch = ""
        self.seq = 0  # of the last event handed to the outbox or sent
        self._top = 0  # the highest seq heard of
        self._fresh = True
        self._behind = False
        self._held = 0
        self._away_since: float | None = None
        self.overflowed = False
        self.welcomed = False
        # Sends at once and says True while the writer rests and nothing is queued: the common case costs no task switch.
        self.direct: Callable[[str], bool] | None = None

    async def open(self) -> None:
        """Subscribe and wait for the acknowledgement: only then may the log be read."""
        self._feed = self._feeds.join(self.address, self)
        try:
            async with asyncio.timeout(SUBSCRIBE_S):
                await self._feed.ready.wait()
        except TimeoutError:
            raise errors.Unavailable("The conversation store is away.", retry_after_s=1.0) from None

    def close(self) -> None:
        """Follow no longer."""
        self._feeds.leave(self.address, self)

    # The feed's side ------------------------------------------------------------------------------------------------
    def deliver(self, event: Event) -> None:
        """Take a live event if it follows on; otherwise remember that something is missing."""
        if not self.epoch:
            return
        if event.epoch != self.epoch:
            self._restart()
        elif self._behind:
            self._top = max(self._top, event.seq)
        elif event.seq > self.seq:
            self._take(event)

    def _take(self, event: Event) -> None:
        if not self._wishes.deltas and event.kind in FOLDABLE and event.seq == max(self._top, self.seq) + 1:
            self._top = event.seq  # a snapshot will stand for it
        elif event.seq != self.seq + 1:
            self._fall_behind(event.seq)
        else:
            self.seq = event.seq
            idle = not (self._held or self._outbox or self._fresh)
            if idle and self.direct is not None and self.direct(event.text(self._outbox.cues)):
                return
            self._outbox.put_event(event)
            self._relieve()
            self._wake.set()

    def _fall_behind(self, seq: int) -> None:
        if self._wishes.deltas:
            self._telemetry.hub_gap_fills.inc()
        self._top = max(self._top, seq)
        self._behind = True
        self._wake.set()

    def _restart(self) -> None:
        self._fresh = True
        self._wake.set()

    def _relieve(self) -> None:
        relief, first = self._outbox.relieve()
        if relief:
            self._telemetry.hub_slow.labels(relief).inc()
        if first:
            self._top = max(self._top, self.seq)
            self.seq = first - 1
            self._behind = True
        self.overflowed = relief == "overflow"

    def control(self, data: dict[str, Any]) -> None:
        """Control messages are for producers."""

    def whisper(self, sender: str, frame: dict[str, Any]) -> None:
        """An ephemeral frame of another connection."""
        if sender != self._name and self.welcomed:
            self._outbox.put(dumps(frame), droppable=True)
            self._relieve()
            self._wake.set()

    def resync(self) -> None:
        """The subscription is new: compare with the log."""
        self._behind = True
        self._wake.set()

    def position(self, position: Position | None) -> None:
        """What the log's counter says."""
        if not self.epoch:
            return
        if position is None or position.epoch != self.epoch:
            self._restart()
        elif position.top > self.seq and not self._behind and (self._wishes.deltas or position.state != "open"):
            self._top = max(self._top, position.top)
            self._behind = True
            self._wake.set()

    # The sender's side ----------------------------------------------------------------------------------------------
    def hold(self) -> None:
        """Keep durable events back until `release`: an `ack` goes before the event it announces."""
        self._held += 1

    def release(self) -> None:
        self._held -= 1
        self._wake.set()

    def rewind(self, place: Place) -> None:
        """A reader found a gap: go on from where it stands, or start anew."""
        if place.epoch != self.epoch or place.seq > self.seq:
            self._restart()
            return
        self._top = max(self._top, self.seq)
        self._outbox.drop_events()
        self.seq = place.seq
        self._behind = True
        self._wake.set()

    async def pull(self) -> list[str]:
        """The next frames; empty when there is nothing to send. Raises Unavailable when the store stays away."""
        try:
            while (self._fresh or self._behind) and not self._held:
                # While behind nothing durable is queued, so what is queued precedes what is read.
                welcoming = self._fresh
                frames = await (self._welcome() if welcoming else self._catch_up())
                self._away_since = None
                if frames:
                    return [*self._outbox.take(events=not welcoming), *frames]
        except AWAY:
            return await self._be_away()
        return self._outbox.take(events=not self._held, merged=self._wishes.coalesce_s > 0)

    async def _be_away(self) -> list[str]:
        first = self._away_since is None
        self._away_since = self._away_since or time.monotonic()
        if time.monotonic() - self._away_since > AWAY_S:
            raise errors.Unavailable("The conversation store is away.", retry_after_s=2.0)
        if not first:
            await asyncio.sleep(0.25)
        self._wake.set()
        frames = self._outbox.take(events=False)
        return [*frames, dumps(errors_frame_unavailable())] if first and self.welcomed else frames

    async def _welcome(self) -> list[str]:
        resume = self._resume
        if resume is not None:
            view = await self._log.view(self.address, epoch=resume.epoch, after=resume.seq, limit=1, touch=True)
            if can_resume(resume, view):
                return self._resumed(resume, view)
        frames = await self._start_anew()
        self._telemetry.hub_resume.labels("fresh" if resume is None else "refused").inc()
        return frames

    def _resumed(self, resume: Place, view: View) -> list[str]:
        self.epoch, self.seq, self._top = view.epoch, resume.seq, view.top
        self._resume, self._fresh, self._behind = None, False, view.top > resume.seq
        self._telemetry.hub_resume.labels("resumed").inc()
        self.welcomed = True
        active = (view.stream_id, view.message_id) if view.stream_id and view.state != "closed" else None
        return [dumps(self._greet(view.epoch, view.top, True, active))]

    async def _start_anew(self) -> list[str]:
        """Welcome without resume: the position is read before history, so nothing can fall between them."""
        view = await self._log.view(self.address, touch=True)
        self._fresh = False
        self._outbox.drop_events()
        streams = read_streams(view.events)
        stream = streams.get(view.stream_id)
        # A stream that has ended but is not stored yet: stand just before its end, so that the end comes as news.
        top = _end_of(view) - 1 if stream is not None and stream.ended else view.top
        self.epoch, self.seq, self._top = view.epoch, top, view.top
        self._resume, self._behind = None, view.top > top
        active = (view.stream_id, view.message_id) if stream is not None else None
        history = await self._read_history(self._wishes.history)
        if active is not None:
            history = [message for message in history if message["messageId"] != active[1]]
        frames = [
            dumps(self._greet(view.epoch, top, False, active)),
            dumps({"type": "history", "messages": history, "atSeq": top}),
        ]
        if stream is not None:
            frames.append(dumps(stream.snapshot() | {"seq": top}))
        self.welcomed = True
        return frames

    async def _catch_up(self) -> list[str]:
        start = self.seq
        view = await self._log.view(self.address, epoch=self.epoch, after=start, limit=PAGE)
        if self.seq != start:
            return []  # the reader was sent back meanwhile
        if view.epoch != self.epoch or view.top < self.seq:
            self._fresh = True
            return []
        if view.top == self.seq:
            self._behind = self._top > self.seq
            return []
        if not view.events or view.events[0].seq != self.seq + 1:
            self._fresh = True  # trimmed
            return []
        if view.top - self.seq > PAGE or not self._wishes.deltas:
            return await self._fold()
        return self._went_on([event.text(self._outbox.cues) for event in view.events], view.events[-1].seq, view.top)

    async def _fold(self) -> list[str]:
        start = self.seq
        view = await self._log.view(self.address)
        if self.seq != start:
            return []
        later = [event for event in view.events if event.seq > self.seq]
        if view.epoch != self.epoch or not later or later[0].seq != self.seq + 1:
            self._fresh = True
            return []
        try:
            frames = fold(view.events, after=self.seq, cues=self._outbox.cues)
        except HoleError:
            frames = [event.text(self._outbox.cues) for event in later]
        return self._went_on(frames, later[-1].seq, view.top)

    def _went_on(self, frames: list[str], seq: int, top: int) -> list[str]:
        """From here to live without an await between the last look and the switch."""
        self.seq = seq
        self._behind = seq < max(self._top, top)
        return frames


def can_resume(resume: Place, view: View) -> bool:
    """Whether a reader can go on from `resume` without a gap; `view` starts right after it."""
    if resume.epoch != view.epoch or resume.seq > view.top:
        return False
    return resume.seq == view.top or bool(view.events and view.events[0].seq == resume.seq + 1)


def _end_of(view: View) -> int:
    return next(event.seq for event in reversed(view.events) if event.kind in TERMINAL)


def errors_frame_unavailable() -> dict[str, Any]:
    """What living connections are told once when the store goes away."""
    return {
        "type": "error",
        "code": errors.Unavailable.code,
        "message": "The conversation store is away; nothing is lost.",
        "retryable": True,
        "retryAfterMs": 1000,
    }
