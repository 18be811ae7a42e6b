"""Who writes an answer into the log: one claimed producer, from `stream_start` to the one terminal event.

The turn runs in a pump task and never waits for the log; the relay coalesces and appends. The terminal event is
appended first, then the turn resumes and stores its row, then the claim is cleared, so that a tab attaching in between
still finds the answer in the log. What a dead process leaves behind is ended by the reaper of any other.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from server.chat.answer import StopSignal
from server.hub.coalescer import Coalescer, Outgoing
from server.hub.events import TERMINAL, Event, StreamText, cut, dumps, read_streams, units
from server.hub.log import (
    AWAY,
    Address,
    Appended,
    Claim,
    ClaimResult,
    Dead,
    Fenced,
    Log,
    LogClosed,
    LogLost,
    Policy,
    Position,
    StopRequested,
)
from server.ids import BotId, ConversationId, MessageId, StreamId, TenantId, VisitorId
from server.protocol import StreamComplete, StreamError
from server.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from server.hub.feed import Feeds
    from server.protocol import TurnEvent
    from server.telemetry import Telemetry

RENEW_S = 1.0
GIVE_UP_S = 20.0
PERSIST_S = 20.0
RETRIES_S = (0.05, 0.1, 0.25, 0.5, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One answer to make; it travels through Valkey when it has to wait or changes hands."""

    tenant: TenantId
    bot: BotId
    conversation: ConversationId
    visitor: VisitorId
    stream: StreamId
    answer: MessageId
    reply_to: MessageId
    text: str
    channel: str = "widget"
    replaces: MessageId | None = None
    locale: str | None = None

    @property
    def address(self) -> Address:
        return Address(self.tenant, self.conversation)

    def dump(self) -> str:
        """The job as JSON."""
        return json.dumps(asdict(self))


def read_job(text: str) -> Job:
    """The job behind its JSON."""
    return Job(**json.loads(text))


TakeTurn = Callable[[Job, StopSignal], Awaitable["AsyncGenerator[TurnEvent, None]"]]
KeepPartial = Callable[[Job, StreamText], Awaitable[None]]


class Producer:
    """One stream being written. Follows its conversation's feed for the stop."""

    def __init__(self, parts: Producers, claim: Claim, job: Job) -> None:
        self._parts = parts
        self._claim = claim
        self.job = job
        self.stop_signal = StopSignal()
        self._coalescer = Coalescer(job.stream)
        self._wake = asyncio.Event()
        self._logged = asyncio.Event()  # the terminal event is in the log
        self._ended = False
        self._abandoned = False
        self._saw_terminal = False
        self._number = claim.written
        self._chars_logged = 0
        self._never_logged = True
        self._wrote_at = time.monotonic()
        self._appending_at = self._wrote_at
        self._lost = False
        self._stopped_at: float | None = None
        self._began_at = time.monotonic()
        self._pump_task: asyncio.Task[None] | None = None

    # The feed's side ------------------------------------------------------------------------------------------------
    def deliver(self, event: Event) -> None:
        """Its own events come back: that is how long pub/sub takes."""
        self._parts.telemetry.hub_pubsub_lag.observe(time.monotonic() - self._appending_at)

    def whisper(self, sender: str, frame: dict[str, Any]) -> None:
        """Typing and the like do not concern an answer."""

    def resync(self) -> None:
        """A stop may have been lost with the subscription: the next renewal asks."""
        self._wrote_at = 0.0
        self._wake.set()

    def control(self, data: dict[str, Any]) -> None:
        """A stop, as soon as it is published."""
        if data.get("stop") == self.job.stream:
            heard = data.get("heard")
            self.request_stop(int(heard) if heard not in (None, "") else None)

    def position(self, position: Position | None) -> None:
        """A stop, where the message about it was lost."""
        if position and position.stream_id == self.job.stream and position.state == "stopping":
            self.request_stop(position.heard)

    # Ending early ---------------------------------------------------------------------------------------------------
    def request_stop(self, heard: int | None) -> None:
        """End the answer with what there is; harmless when it has ended."""
        if self.stop_signal.requested or self._saw_terminal or self._ended:
            return
        self.stop_signal.request(heard)
        self._stopped_at = time.monotonic()
        self._cancel_pump()

    def abandon(self) -> None:
        """End because this process ends: the turn keeps its row as interrupted, the stream says so."""
        if self._saw_terminal or self._ended:
            return
        self._abandoned = True
        self._cancel_pump()

    def _cancel_pump(self) -> None:
        if self._pump_task is not None and not self._pump_task.done():
            self._pump_task.cancel()
        self._wake.set()

    # Running --------------------------------------------------------------------------------------------------------
    async def run(self) -> tuple[Claim, Job] | None:
        """Write the whole stream; returns the waiting job that was handed over, if any."""
        self._pump_task = asyncio.create_task(self._pump(), name="turn")
        try:
            await self._relay()
        except Fenced:
            self._parts.telemetry.hub_fenced.inc()
        except Exception as failure:
            logger("hub").error("answer given up", extra={"stream": self.job.stream, "reason": type(failure).__name__})
        finally:
            self._ended = True
            self._logged.set()
            await self._finish_pump()
        return await self._hand_over()

    async def _pump(self) -> None:
        async with aclosing(await self._parts.take_turn(self.job, self.stop_signal)) as events:
            async for event in events:
                self._coalescer.add(event, time.monotonic())
                self._wake.set()
                if event["type"] in TERMINAL:
                    self._saw_terminal = True
                    await self._logged.wait()  # append, then store: the turn's row is written when it resumes

    async def _finish_pump(self) -> None:
        """Let the turn store its row; a turn that should be over but is not gets cancelled."""
        pump = self._pump_task
        if pump is None:
            return
        if not self._saw_terminal and not pump.done():
            pump.cancel()
        await asyncio.wait({pump}, timeout=PERSIST_S)
        if not pump.done():
            pump.cancel()
            await asyncio.wait({pump}, timeout=1.0)
        if pump.done() and not pump.cancelled() and pump.exception() is not None:
            logger("hub").error("turn failed", exc_info=pump.exception(), extra={"stream": self.job.stream})

    async def _hand_over(self) -> tuple[Claim, Job] | None:
        for pause in (*RETRIES_S, None):
            try:
                handed = await self._parts.log.clear(self._claim, owner=self._parts.owner)
                return (handed[0], read_job(handed[1])) if handed else None
            except AWAY:
                if pause is None:
                    break
                await asyncio.sleep(pause)
        return None  # the reaper will find it

    async def _relay(self) -> None:
        while not self._ended:
            for outgoing in self._coalescer.take(time.monotonic()):
                await self._append(outgoing)
                if self._ended:
                    return
            due = self._coalescer.due()
            if due is None and self._pump_task is not None and self._pump_task.done():
                self._coalescer.add(self._missing_terminal(), time.monotonic())
            elif due is None or due > time.monotonic():
                await self._wait(due)

    async def _wait(self, due: float | None) -> None:
        """Until there is something to append; a second of silence renews the claim."""
        renew_at = self._wrote_at + RENEW_S
        pause = max(0.0, min(renew_at, due or renew_at) - time.monotonic())
        try:
            async with asyncio.timeout(pause):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()
        if time.monotonic() >= renew_at:
            await self._renew()

    async def _renew(self) -> None:
        self._wrote_at = time.monotonic()
        try:
            await self._parts.log.renew(self._claim)
        except StopRequested as stop:
            self.request_stop(stop.heard)
        except LogLost:
            self._lost = True
            await self._append(None)
        except AWAY:
            self._wrote_at = time.monotonic() - RENEW_S * 0.8  # try again soon

    def _missing_terminal(self) -> StreamComplete | StreamError:
        """What ends a stream whose turn has ended without a word."""
        if self.stop_signal.requested:
            done: StreamComplete = {
                "type": "stream_complete", "streamId": self.job.stream, "messageId": self.job.answer,
                "sentiment": "neutral", "animation": "idle", "finishReason": "cancelled",
                "chars": self._coalescer.position_with_pending(),
            }  # fmt: skip
            if self.stop_signal.heard_chars is not None:
                done["heardChars"] = self.stop_signal.heard_chars
            return done
        return interrupted(self.job) if self._abandoned else failed(self.job)

    # Appending ------------------------------------------------------------------------------------------------------
    async def _append(self, outgoing: Outgoing | None) -> None:
        """Append one event, whatever it takes; raises Fenced when another producer took over."""
        give_up_at = time.monotonic() + GIVE_UP_S
        retries = iter(RETRIES_S)
        queue = [outgoing] if outgoing else []
        while queue or self._lost:
            try:
                if self._lost:
                    queue = [*await self._reclaim(), *([outgoing] if outgoing else [])]
                    continue
                await self._try_append(queue[0])
                self._number += 1
                del queue[0]
            except StopRequested as stop:
                self.request_stop(stop.heard)
                self.stop_signal.requested = True
            except LogLost:
                self._lost = True
            except LogClosed:
                self._ended = True
                return
            except AWAY:
                if time.monotonic() > give_up_at:
                    raise
                await asyncio.sleep(next(retries, RETRIES_S[-1]))
        self._note(outgoing)

    async def _try_append(self, outgoing: Outgoing) -> Appended:
        self._appending_at = time.monotonic()
        return await self._parts.log.append_to_stream(
            self._claim,
            self._number + 1,
            outgoing.payload,
            pos=outgoing.pos,
            terminal=outgoing.terminal,
            final=outgoing.terminal or self.stop_signal.requested,
        )

    def _note(self, outgoing: Outgoing | None) -> None:
        self._wrote_at = time.monotonic()
        if outgoing is None:
            return
        self._never_logged = False
        if outgoing.pos is not None:
            self._chars_logged = outgoing.pos + units(json.loads(outgoing.payload)["chunk"])
        if outgoing.first_text:
            self._parts.telemetry.hub_ttft.observe(self._wrote_at - self._began_at)
        if outgoing.terminal:
            self._ended = True
            self._logged.set()
            if self._stopped_at is not None:
                self._parts.telemetry.hub_stop.observe(self._wrote_at - self._stopped_at)

    async def _reclaim(self) -> list[Outgoing]:
        """The log was lost: claim a new one; returns what opens it, so that a reader there knows the text so far."""
        job = self.job
        result = await self._parts.log.claim(
            job.address, job.stream, job.answer, job.dump(), owner=self._parts.owner, policy="force"
        )
        if result.claim is None:
            raise Fenced
        self._claim, self._number, self._lost = result.claim, 0, False
        start = self._coalescer.started
        if start is None or self._never_logged:
            return []
        text = cut(self._coalescer.text, self._chars_logged)
        return [Outgoing(dumps(start)), Outgoing(self._coalescer.snapshot(job.answer, job.reply_to, text))]


def interrupted(job: Job) -> StreamError:
    """The end of a stream whose process went away."""
    return {
        "type": "stream_error", "streamId": job.stream, "messageId": job.answer, "error": "The answer was interrupted.",
        "code": "interrupted", "retryable": True, "animation": "confused",
    }  # fmt: skip


def failed(job: Job) -> StreamError:
    """The end of a stream whose turn broke."""
    return {
        "type": "stream_error", "streamId": job.stream, "messageId": job.answer, "error": "Something went wrong.",
        "code": "internal", "retryable": True, "animation": "confused",
    }  # fmt: skip


class Producers:
    """Every answer this process is making, and the reaper of those that other processes left."""

    def __init__(
        self,
        log: Log,
        feeds: Feeds,
        telemetry: Telemetry,
        *,
        take_turn: TakeTurn,
        keep_partial: KeepPartial,
        owner: str,
    ) -> None:
        self.log = log
        self.feeds = feeds
        self.telemetry = telemetry
        self.take_turn = take_turn
        self.keep_partial = keep_partial
        self.owner = owner
        self._running: dict[Address, Producer] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._reaper: asyncio.Task[None] | None = None
        self._quiet_until = 0.0
        self._closing = False

    async def start(self) -> None:
        """Start the reaper."""
        self._reaper = asyncio.create_task(self._reap_forever(), name="reaper")

    async def begin(self, job: Job, policy: Policy, *, mark: str) -> ClaimResult:
        """Claim and start, queue behind the running answer, or refuse: once per `mark`, however often it is asked."""
        result = await self.log.claim(
            job.address, job.stream, job.answer, job.dump(), owner=self.owner, policy=policy, mark=mark
        )
        if result.claim is not None:
            self._launch(result.claim, job)
        return result

    def _launch(self, claim: Claim, job: Job) -> None:
        producer = Producer(self, claim, job)
        self._running[job.address] = producer
        task = asyncio.create_task(self._run(producer), name="producer")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, producer: Producer) -> None:
        address = producer.job.address
        feed = self.feeds.join(address, producer)
        feed.active = True
        handed = None
        try:
            handed = await producer.run()
        except Exception:
            logger("hub").exception("producer failed", extra={"stream": producer.job.stream})
        finally:
            self.feeds.leave(address, producer)
            if self._running.get(address) is producer:
                del self._running[address]
        if handed is not None:
            self._continue(*handed)

    def _continue(self, claim: Claim, job: Job) -> None:
        """Run a job that was handed over; while closing, its claim runs out and another process takes it."""
        if not self._closing:
            self._launch(claim, job)

    @property
    def count(self) -> int:
        """Answers being made here."""
        return len(self._tasks)

    async def drain(self, timeout_s: float) -> bool:
        """Wait for the running answers; True when all have ended."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=timeout_s)
        return not self._tasks

    async def stop(self) -> None:
        """End the reaper and every answer that still runs."""
        self._closing = True
        if self._reaper is not None:
            self._reaper.cancel()
            await asyncio.gather(self._reaper, return_exceptions=True)
        for producer in tuple(self._running.values()):
            producer.abandon()
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=5.0)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # Reaping --------------------------------------------------------------------------------------------------------
    async def _reap_forever(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            try:
                await self.reap()
            except AWAY:
                # After an outage every deadline has passed; living producers first get time to renew theirs.
                self._quiet_until = time.monotonic() + 6.0
            except Exception:
                logger("hub").exception("reaper failed")

    async def reap(self) -> int:
        """End what dead processes left open; returns how many streams were ended or taken over."""
        overdue = await self.log.overdue()
        if time.monotonic() < self._quiet_until:
            return 0
        count = 0
        for address in overdue:
            if address in self._running:
                continue
            dead = await self.log.reap(address, owner=self.owner)
            if dead is not None:
                count += 1
                await self._bury(address, dead)
        return count

    async def _bury(self, address: Address, dead: Dead) -> None:
        job = read_job(dead.job)
        if dead.claim.written == 0 and dead.state == "open":
            self._continue(dead.claim, job)  # it never began: begin it here
            return
        if dead.state != "closed":
            payload = dumps(dict(interrupted(job)))
            with contextlib.suppress(LogClosed, Fenced, LogLost):
                await self.log.append_to_stream(dead.claim, dead.claim.written + 1, payload, terminal=True, final=True)
        await self._keep(address, job)
        handed = await self.log.clear(dead.claim, owner=self.owner)
        if handed is not None:
            self._continue(handed[0], read_job(handed[1]))

    async def _keep(self, address: Address, job: Job) -> None:
        """Store what the log still knows of the answer, so that history shows it."""
        view = await self.log.view(address)
        stream = read_streams(view.events).get(job.stream)
        if stream is None:
            return
        try:
            await self.keep_partial(job, stream)
        except Exception:
            logger("hub").exception("interrupted answer not stored", extra={"stream": job.stream})


__all__ = ["Job", "Producer", "Producers", "failed", "interrupted", "read_job"]
