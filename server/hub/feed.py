"""What one process hears of each conversation: one subscription, one parse, any number of members.

Members are the connections of the conversation and, while an answer runs here, its producer.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any, Protocol

from server.hub.events import TERMINAL, Event
from server.hub.log import AWAY, Address, Log, Position, read_publication
from server.telemetry import logger

if TYPE_CHECKING:
    from server.hub.fanout import Fanout

CHECK_S = 1.0
SLOW_CHECKS = 25  # conversations without a running answer are checked every 25th time
KEEP_CHECKS = 240  # and their logs given a new term well inside the 15 minutes


class Member(Protocol):
    """Somebody who follows a conversation; no call may block."""

    def deliver(self, event: Event) -> None: ...

    def control(self, data: dict[str, Any]) -> None: ...

    def whisper(self, sender: str, frame: dict[str, Any]) -> None: ...

    def resync(self) -> None: ...

    def position(self, position: Position | None) -> None: ...


class Feed:
    """One conversation as heard by this process."""

    __slots__ = ("active", "address", "members", "ready")

    def __init__(self, address: Address) -> None:
        self.address = address
        self.members: list[Member] = []
        self.ready = asyncio.Event()
        self.active = False

    def heard(self, data: bytes) -> None:
        epoch, seq, pos, body = read_publication(data)
        if seq > 0:
            self._spread(Event(epoch, seq, body, pos))
        elif seq == 0:
            self._control(json.loads(body))
        else:
            frame = json.loads(body)
            for member in tuple(self.members):
                member.whisper(epoch, frame)

    def _spread(self, event: Event) -> None:
        if event.kind == "stream_start":
            self.active = True
        elif event.kind in TERMINAL:
            self.active = False
        for member in tuple(self.members):
            member.deliver(event)

    def _control(self, data: dict[str, Any]) -> None:
        for member in tuple(self.members):
            member.control(data)

    def resync(self) -> None:
        for member in tuple(self.members):
            member.resync()

    def check(self, position: Position | None) -> None:
        """Compare every member with the truth."""
        self.active = bool(position and position.stream_id and position.state != "closed")
        for member in tuple(self.members):
            member.position(position)


class Feeds:
    """Every conversation this process follows, and the check that finds what pub/sub lost."""

    def __init__(self, log: Log, fanout: Fanout) -> None:
        self._log = log
        self._fanout = fanout
        self._feeds: dict[Address, Feed] = {}
        self._task: asyncio.Task[None] | None = None
        self.away_since: float | None = None

    async def start(self) -> None:
        """Start the position check."""
        self._task = asyncio.create_task(self._check(), name="position check")

    async def stop(self) -> None:
        """End the position check."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def join(self, address: Address, member: Member) -> Feed:
        """Follow a conversation; wait for `feed.ready` before reading the log."""
        feed = self._feeds.get(address)
        if feed is None:
            feed = self._feeds[address] = Feed(address)
            feed.ready = self._fanout.join(address.log, feed)
        feed.members.append(member)
        return feed

    def leave(self, address: Address, member: Member) -> None:
        """Follow a conversation no longer."""
        feed = self._feeds.get(address)
        if feed is None or member not in feed.members:
            return
        feed.members.remove(member)
        if not feed.members:
            del self._feeds[address]
            self._fanout.leave(address.log, feed)

    async def _check(self) -> None:
        turn = 0
        while True:
            await asyncio.sleep(CHECK_S)
            turn += 1
            try:
                await self._check_once(turn)
                self.away_since = None
            except AWAY:
                self.away_since = self.away_since or time.monotonic()
            except Exception:
                logger("hub").exception("position check failed")

    async def _check_once(self, turn: int) -> None:
        everyone = turn % SLOW_CHECKS == 0 or self.away_since is not None
        feeds = [feed for feed in self._feeds.values() if everyone or feed.active]
        for start in range(0, len(feeds), 512):
            part = feeds[start : start + 512]
            for feed, position in zip(part, await self._log.positions([feed.address for feed in part]), strict=True):
                feed.check(position)
        if turn % KEEP_CHECKS == 0 and self._feeds:
            await self._log.keep(list(self._feeds))
        if not feeds and turn % 5 == 0:
            await self._log.server_ms()  # idle: still notice that the store is away
