"""The conversation's log in Valkey: append, claim, stop, read. The log is the truth, pub/sub is a hint.

Appends queued within two milliseconds share one pipeline. A producer awaits each append before the next, so a repeat
after a lost answer is recognised by its number and never written twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from redis import crc
from redis import exceptions as redis_errors

from server import errors
from server.hub import scripts
from server.hub.events import Event
from server.ids import ConversationId, TenantId

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from server.telemetry import Telemetry

PARTITIONS = 128
TTL_MS = 15 * 60_000
LEASE_MS = 4_000
MAX_EVENTS = 2_000
GROUP_S = 0.002
AWAY = (redis_errors.ConnectionError, redis_errors.TimeoutError, redis_errors.BusyLoadingError, OSError, TimeoutError)

Policy = Literal["queue", "replace", "reject", "force"]


class Fenced(Exception):
    """Another producer holds the claim: this one ends silently."""


class LogLost(Exception):
    """The log this claim was made on is gone (flushed, evicted, expired)."""


class LogClosed(Exception):
    """The stream has ended already."""


class StopRequested(Exception):
    """Somebody asked this stream to stop: only its terminal event may still be written."""

    def __init__(self, heard: int | None) -> None:
        super().__init__()
        self.heard = heard


class Address:
    """One conversation's log: its tenant, its id and the names of its keys, made once."""

    __slots__ = ("_base", "_keys", "act", "conversation", "log", "member", "meta", "tenant")

    def __init__(self, tenant: TenantId, conversation: ConversationId) -> None:
        partition = int(crc.key_slot(conversation.encode())) % PARTITIONS
        self.tenant = tenant
        self.conversation = conversation
        self._base = f"t:{tenant}:{{p{partition}}}:"
        self.log = f"{self._base}log:{conversation}"  # the stream, and the channel of its events
        self.meta = f"{self._base}meta:{conversation}"
        self.act = active_key(partition)
        self.member = f"{tenant}/{conversation}"
        self._keys = (self.log.encode(), self.meta.encode(), self.act.encode())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Address) and self.log == other.log

    def __hash__(self) -> int:
        return hash(self.log)

    def keys(self, mark: str = "") -> tuple[bytes, ...]:
        """What every script is given; all share one hash tag, so one script may touch them together."""
        log, meta, act = self._keys
        return (log, meta, act, self.mark(mark).encode() if mark else meta)

    def mark(self, name: str) -> str:
        """The key that remembers what was done under a client's id."""
        return f"{self._base}idem:{self.conversation}:{name}"


def active_key(partition: int) -> str:
    """The sorted set of conversations with a running producer: conversation by claim deadline."""
    return f"{{p{partition}}}:act"


def read_member(member: bytes) -> Address:
    """The address behind a member of the active set."""
    tenant, _, conversation = member.decode().partition("/")
    return Address(TenantId(tenant), ConversationId(conversation))


@dataclass(frozen=True, slots=True)
class Appended:
    """Where an event stands."""

    epoch: str
    seq: int
    duplicate: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to write one stream: void as soon as anybody else claims."""

    address: Address
    epoch: str
    seq: int
    fence: str
    written: int = 0


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """`claimed` carries the claim; `known` the stream and answer made for the same message before."""

    outcome: Literal["claimed", "queued", "busy", "known"]
    claim: Claim | None = None
    epoch: str = ""
    seq: int = 0
    known: str = ""


@dataclass(frozen=True, slots=True)
class Dead:
    """A stream whose producer is gone, claimed for its undertaker."""

    claim: Claim
    state: str
    job: str


@dataclass(frozen=True, slots=True)
class View:
    """The log at one instant."""

    epoch: str
    top: int
    state: str
    stream_id: str
    message_id: str
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Position:
    """What the position check reads: cheap, many at once."""

    epoch: str
    top: int
    state: str
    stream_id: str
    heard: int | None


@dataclass(slots=True)
class _Pending:
    keys: tuple[bytes, ...]
    args: tuple[Any, ...]
    done: asyncio.Future[list[Any]]


def new_epoch() -> str:
    """A short random name for one life of a log."""
    return f"{random.getrandbits(40):010x}"


class Log:
    """Every conversation's log, through one Valkey client."""

    def __init__(self, client: Redis, telemetry: Telemetry) -> None:
        self._client = client
        self._telemetry = telemetry
        self._pending: list[_Pending] = []
        self._flusher: asyncio.Task[None] | None = None
        self._flushed_at = 0.0
        self._shas = {text: hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest() for text in _ALL}

    async def append(self, address: Address, payload: str, *, mark: str = "") -> Appended:
        """Write an event of nobody's stream; `mark` makes a repeat return the first one's place."""
        return await self._append(address, "", 0, payload, "", mark=mark)

    async def append_to_stream(
        self,
        claim: Claim,
        number: int,
        payload: str,
        *,
        pos: int | None = None,
        terminal: bool = False,
        final: bool = False,
    ) -> Appended:
        """Write the claim's event `number` (from 1); raises Fenced, LogLost, LogClosed or StopRequested.

        `final`: what a producer that knows of the stop may still add.
        """
        place = "" if pos is None else str(pos)
        return await self._append(claim.address, claim.fence, number, payload, place, terminal=terminal, final=final)

    async def _append(
        self,
        address: Address,
        fence: str,
        number: int,
        payload: str,
        pos: str,
        *,
        terminal: bool = False,
        final: bool = False,
        mark: str = "",
    ) -> Appended:
        data = payload.encode("utf-8", "replace")
        flags = (b"t" if terminal else b"") + (b"m" if mark else b"") + (b"f" if final else b"")
        args = (fence, number, pos, data, new_epoch(), flags, address.member)
        answer = await self._group(_Pending(address.keys(mark), args, asyncio.get_running_loop().create_future()))
        _raise_refusal(answer)
        return Appended(answer[2].decode(), answer[0], bool(answer[1]))

    async def _group(self, pending: _Pending) -> list[Any]:
        self._pending.append(pending)
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush())
        return await pending.done

    async def _flush(self) -> None:
        """Send what is queued; wait first when the last pipeline left less than two milliseconds ago."""
        loop = asyncio.get_running_loop()
        while self._pending:
            pause = self._flushed_at + GROUP_S - loop.time()
            if pause > 0:
                await asyncio.sleep(pause)
            batch, self._pending = self._pending, []
            self._flushed_at = loop.time()
            self._telemetry.hub_append_batch.observe(len(batch))
            await self._send(batch)

    async def _send(self, batch: list[_Pending]) -> None:
        try:
            answers = await self._pipeline(batch)
            if any(isinstance(answer, redis_errors.NoScriptError) for answer in answers):
                await self._client.script_load(_APPEND)
                missed = [at for at, answer in enumerate(answers) if isinstance(answer, redis_errors.NoScriptError)]
                again = await self._pipeline([batch[index] for index in missed])
                for index, answer in zip(missed, again, strict=True):
                    answers[index] = answer
        except BaseException as failure:
            answers = [failure] * len(batch)
            if not isinstance(failure, Exception):
                _settle(batch, [redis_errors.ConnectionError("closing")] * len(batch))
                raise
        _settle(batch, answers)

    async def _pipeline(self, batch: list[_Pending]) -> list[Any]:
        sha = self._shas[_APPEND]
        async with self._client.pipeline(transaction=False) as pipe:
            for pending in batch:
                pipe.execute_command("EVALSHA", sha, len(pending.keys), *pending.keys, *pending.args)
            return list(await pipe.execute(raise_on_error=False))

    async def _run(self, script: str, address: Address, *args: Any, mark: str = "") -> Any:
        return await self._eval(script, address.keys(mark), *args)

    async def _eval(self, script: str, keys: tuple[bytes, ...], *args: Any) -> Any:
        run: Callable[..., Awaitable[Any]] = self._client.execute_command
        try:
            return await run("EVALSHA", self._shas[script], len(keys), *keys, *args)
        except redis_errors.NoScriptError:
            return await run("EVAL", script, len(keys), *keys, *args)

    async def claim(
        self, address: Address, stream_id: str, answer_id: str, job: str, *, owner: str, policy: Policy, mark: str = ""
    ) -> ClaimResult:
        """Take the right to write a stream, or queue the job behind the running one, as `policy` says."""
        answer = await self._run(
            scripts.CLAIM, address, stream_id, answer_id, owner, job, new_epoch(), TTL_MS, LEASE_MS, address.member,
            policy, int(bool(mark)), mark=mark,
        )  # fmt: skip
        if answer[0] == 1:
            epoch = answer[1].decode()
            claim = Claim(address, epoch, answer[2], answer[3].decode())
            return ClaimResult("claimed", claim, epoch, answer[2])
        if answer[0] == 2:
            return ClaimResult("queued", None, answer[1].decode(), answer[2])
        return ClaimResult("known", known=answer[1].decode()) if answer[0] == 4 else ClaimResult("busy")

    async def known(self, address: Address, mark: str) -> bool:
        """Whether something was claimed under this mark."""
        return bool(await self._client.exists(address.mark(mark)))

    async def busy(self, address: Address, policy: Policy) -> bool:
        """Whether a new job would be refused now."""
        read: Callable[..., Awaitable[Any]] = self._client.execute_command
        stream_id, waiting = await read("HMGET", address.meta, "streamId", "next")
        return stream_id is not None and (policy == "reject" or (policy == "queue" and waiting is not None))

    async def stop(self, address: Address, stream_id: str, heard: int | None) -> bool:
        """Ask a stream to stop; False when it is not running (stale, harmless)."""
        return bool(await self._run(scripts.STOP, address, stream_id, "" if heard is None else heard))

    async def renew(self, claim: Claim) -> None:
        """Keep a silent claim alive; raises Fenced, LogLost or StopRequested."""
        answer = await self._run(scripts.RENEW, claim.address, claim.fence, LEASE_MS, claim.address.member)
        if answer[0] == b"lost":
            raise LogLost
        if answer[0] == b"fenced":
            raise Fenced
        if answer[0] == b"stopping":
            raise StopRequested(_number(answer[1]))

    async def clear(self, claim: Claim, *, owner: str) -> tuple[Claim, str] | None:
        """End a claim; when a job waits, its claim and the job itself come back."""
        answer = await self._run(scripts.CLEAR, claim.address, claim.fence, owner, LEASE_MS, claim.address.member)
        if answer[0] != 1:
            return None
        return Claim(claim.address, answer[1].decode(), answer[2], answer[3].decode()), answer[4].decode()

    async def overdue(self) -> list[Address]:
        """Conversations whose producer has let its deadline pass, by Valkey's clock."""
        found = await self._eval(scripts.OVERDUE, (), PARTITIONS)
        return [read_member(member) for member in found]

    async def server_ms(self) -> int:
        """Valkey's clock in milliseconds."""
        seconds, micros = await self._client.time()
        return int(seconds) * 1000 + int(micros) // 1000

    async def reap(self, address: Address, *, owner: str) -> Dead | None:
        """Claim a stream whose producer is gone; None when it lives or is clear."""
        answer = await self._run(scripts.REAP, address, owner, LEASE_MS, address.member)
        if not answer:
            return None
        claim = Claim(address, answer[0].decode(), answer[1], answer[2].decode(), written=answer[4])
        return Dead(claim, answer[3].decode(), answer[5].decode())

    async def view(
        self, address: Address, *, epoch: str = "*", after: int = 0, limit: int = MAX_EVENTS * 2, touch: bool = False
    ) -> View:
        """The log now: its position and up to `limit` events after `after` (none when `epoch` is another one)."""
        answer = await self._run(
            scripts.VIEW, address, new_epoch(), epoch, after, limit, TTL_MS if touch or after == 0 else ""
        )
        name = answer[0].decode()
        events = tuple(_event(name, entry) for entry in answer[5])
        return View(name, answer[1], answer[2].decode(), answer[3].decode(), answer[4].decode(), events)

    async def positions(self, addresses: Sequence[Address]) -> list[Position | None]:
        """Where many logs stand, in one round trip; None where there is no log."""
        async with self._client.pipeline(transaction=False) as pipe:
            for address in addresses:
                pipe.execute_command("HMGET", address.meta, "epoch", "s", "state", "streamId", "heard")
            rows = await pipe.execute()
        return [_position(row) for row in rows]

    async def keep(self, addresses: Sequence[Address]) -> None:
        """Give the logs of connected visitors a new term."""
        async with self._client.pipeline(transaction=False) as pipe:
            for address in addresses:
                pipe.pexpire(address.log, TTL_MS)
                pipe.pexpire(address.meta, TTL_MS)
            await pipe.execute()

    async def publish(self, channel: str, payload: str | bytes) -> None:
        """Send an ephemeral message: lost if nobody listens."""
        await self._client.publish(channel, payload)

    async def forget(self, address: Address) -> None:
        """Remove a conversation's log; the marks of its commands go with their time to live."""
        await self._client.unlink(address.log, address.meta)
        await self._client.zrem(address.act, address.member)

    async def close(self) -> None:
        """Wait for what is queued."""
        if self._flusher is not None:
            with contextlib.suppress(Exception):
                await self._flusher


_APPEND = (
    scripts.APPEND.replace("$MAXLEN", str(MAX_EVENTS)).replace("$TTL", str(TTL_MS)).replace("$LEASE", str(LEASE_MS))
)
_ALL = (_APPEND, scripts.CLAIM, scripts.STOP, scripts.RENEW, scripts.CLEAR, scripts.REAP, scripts.VIEW, scripts.OVERDUE)


def _settle(batch: list[_Pending], answers: Sequence[Any]) -> None:
    for pending, answer in zip(batch, answers, strict=True):
        if pending.done.done():
            continue
        if isinstance(answer, BaseException):
            pending.done.set_exception(answer)
        else:
            pending.done.set_result(answer)


def _raise_refusal(answer: list[Any]) -> None:
    match answer[0]:
        case -1:
            raise Fenced
        case -2:
            raise LogClosed
        case -3:
            raise StopRequested(_number(answer[1]))
        case -4:
            raise LogLost
        case _:
            return


def _number(text: bytes | None) -> int | None:
    return int(text) if text else None


def _event(epoch: str, entry: list[Any]) -> Event:
    seq = int(entry[0].split(b"-")[0])
    fields = entry[1]
    pos = int(fields[3]) if len(fields) > 2 else None
    return Event(epoch, seq, fields[1].decode(), pos)


def _position(row: list[bytes | None]) -> Position | None:
    epoch, top, state, stream_id, heard = row
    if epoch is None:
        return None
    return Position(epoch.decode(), int(top or 0), (state or b"").decode(), (stream_id or b"").decode(), _number(heard))


def read_publication(data: bytes) -> tuple[str, int, int | None, str]:
    """Epoch, seq, pos and JSON of a message on a log's channel; seq 0 is control, -1 ephemeral."""
    epoch, seq, pos, body = data.split(b"|", 3)
    return epoch.decode(), int(seq), int(pos) if pos else None, body.decode()


def unavailable(failure: BaseException) -> errors.Unavailable:
    """What a caller is told while Valkey is away."""
    return errors.Unavailable(f"The conversation store is away ({type(failure).__name__}).", retry_after_s=1.0)
