"""One visitor's socket: a reader that always drains, one writer, and commands in the order they came.

The reader never waits for work: what takes time goes to the command queue, so a stop or a ping is read while an answer
runs. The writer is the only one that sends.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from server import errors
from server.hub.connection import Connection, command_id_of
from server.hub.events import dumps
from server.hub.follower import Follower, Place, Wishes
from server.telemetry import logger

if TYPE_CHECKING:
    from server.hub.commands import Speaker
    from server.hub.hub import Hub
    from server.protocol import ClientFrame
    from server.storage.records import BotRecord
    from server.storage.secrets import VisitorClaims

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MAX_WAITING_COMMANDS = 32
SEND_S = 10.0
COMMAND_S = 15.0
CLOSE_S = 3.0


class Session:
    """An accepted socket, from `hello` to its close."""

    __slots__ = (
        "_abort", "_address", "_bot", "_claims", "_coalesce_s", "_commands", "_follower", "_hub", "_origin", "_parked", "_send",
        "_sending_since", "_speaker", "_wake", "_worker", "_write_now", "close_code", "connection", "drained", "name",
    )  # fmt: skip

    def __init__(
        self, hub: Hub, send: Send, transport: dict[str, Any], *, bot: BotRecord, origin: str, address: str
    ) -> None:
        self._hub = hub
        self._bot = bot
        self._origin = origin
        self._address = address
        self._send = send
        self._abort: Callable[[], None] = transport.get("abort", _nothing)
        self._write_now: Callable[[str], bool] | None = transport.get("send_text")
        self._parked = False
        now = time.monotonic()
        self.name = hub.new_name()
        self.connection = Connection(hub.checks, now)
        self._wake = asyncio.Event()
        self._follower: Follower | None = None
        self._speaker: Speaker | None = None
        self._claims: VisitorClaims | None = None
        self._coalesce_s = 0.0
        self._commands: deque[ClientFrame] | None = None
        self._worker: asyncio.Task[None] | None = None
        self._sending_since: float | None = None
        self.close_code = 1006
        self.drained = False

    # Reading --------------------------------------------------------------------------------------------------------
    async def run(self, receive: Receive) -> None:
        """Serve the socket until it is gone."""
        writer = asyncio.create_task(self._write(), name="writer")
        try:
            await self._read(receive)
        finally:
            self._stop_following()
            if self._worker is not None:
                self._hub.outlive(self._worker)  # what was asked is done, also when the asker has gone
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    async def _read(self, receive: Receive) -> None:
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                self.close_code = message.get("code") or 1005
                return
            data = message.get("text")
            frame = self.connection.receive(message["bytes"] if data is None else data, time.monotonic())
            if frame is not None:
                self._queue(frame)
            self._wake.set()
            if self.connection.closing is not None and self.connection.closing[0] == 4509:
                self._hub.admission.ban(self._hub.group_of(self._address), time.monotonic())

    def _queue(self, frame: ClientFrame) -> None:
        if self._commands is None:
            self._commands = deque()
        if len(self._commands) >= MAX_WAITING_COMMANDS:
            self.connection.fail(errors.Overloaded(retry_after_s=1.0), command_id_of(frame))
            return
        self._commands.append(frame)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work(), name="commands")

    async def _work(self) -> None:
        """Carry out what waits, in order."""
        while self._commands:
            await self._carry_out(self._commands.popleft())
            self._wake.set()
        self._commands = self._worker = None

    async def _carry_out(self, frame: ClientFrame) -> None:
        command_id = command_id_of(frame)
        try:
            async with asyncio.timeout(COMMAND_S):
                await self._dispatch(frame)
        except errors.ParlourError as failure:
            if frame["type"] == "hello" or isinstance(failure, errors.TenantSuspended):
                self.connection.refuse(failure)
            else:
                self.connection.fail(failure, command_id)
        except TimeoutError:
            self.connection.fail(errors.Unavailable(retry_after_s=2.0), command_id)
        except Exception:
            logger("hub").exception("command failed", extra={"kind": frame["type"], "connection": self.name})
            self.connection.fail(errors.Internal(), command_id)

    async def _dispatch(self, frame: ClientFrame) -> None:
        match frame["type"]:
            case "hello":
                await self._hello(dict(frame))
            case "auth_refresh":
                self._refresh(dict(frame))
            case "sync":
                if self._follower is not None:
                    self._follower.rewind(Place(frame["epoch"], frame["seq"]))
            case _:
                await self._command(dict(frame))

    async def _command(self, frame: dict[str, Any]) -> None:
        """A command whose ack goes out before the events it causes."""
        if self._speaker is None or self._follower is None:
            return  # the hello before it was refused
        self._follower.hold()
        try:
            answer = await self._hub.commands.run(self._speaker, frame)
            if answer is not None:
                self.connection.outbox.put_first(dumps(answer))
        finally:
            self._follower.release()

    # Hello and tokens -----------------------------------------------------------------------------------------------
    async def _hello(self, frame: dict[str, Any]) -> None:
        claims = self._hub.read_token(frame["token"], bot=self._bot.id, origin=self._origin)
        if frame.get("conversationId", claims.conversation) != claims.conversation:
            raise errors.TokenInvalid("The token is for another conversation.")
        self._claims = claims
        self._speaker = await self._hub.speaker(
            claims, name=self.name, locale=frame.get("locale"), address=self._address, notify=self.tell
        )
        caps, resume = frame.get("caps", {}), frame.get("resume")
        self.connection.outbox.cues = caps.get("cues", False)
        self._coalesce_s = min(caps.get("coalesceMs", 0), 1000) / 1000
        follower = self._hub.follower(
            self._speaker,
            outbox=self.connection.outbox,
            wake=self._wake,
            wishes=Wishes(
                cues=caps.get("cues", False),
                deltas=caps.get("deltas", True),
                coalesce_s=self._coalesce_s,
                history=frame.get("history", 30),
            ),
            resume=Place(resume["epoch"], resume["seq"]) if resume else None,
            expires_at=lambda: self._expires_text,
        )
        if self._write_now is not None and not self._coalesce_s:
            follower.direct = self._send_directly
        self._follower = follower
        await follower.open()
        self._adopt(claims)

    @property
    def _expires_text(self) -> str:
        return rfc3339(self._claims.expires_at) if self._claims else ""

    def _adopt(self, claims: VisitorClaims) -> None:
        self._claims = claims
        left = (claims.expires_at - datetime.now(UTC)).total_seconds()
        self.connection.welcome(time.monotonic() + left)

    def _refresh(self, frame: dict[str, Any]) -> None:
        """Renew the token in force, or adopt a new one for the same conversation."""
        if self._claims is None:
            return
        ack: dict[str, Any] = {"type": "ack", "id": frame["id"]}
        if "token" in frame:
            try:
                claims = self._hub.read_token(frame["token"], bot=self._bot.id, origin=self._origin)
            except errors.ParlourError as failure:
                self.connection.refuse(failure)
                return
            if (claims.conversation, claims.visitor) != (self._claims.conversation, self._claims.visitor):
                self.connection.refuse(errors.TokenInvalid("The token is for another conversation."))
                return
        else:
            ack["token"], claims = self._hub.renew_token(self._claims)
        self._adopt(claims)
        self.connection.send(ack | {"expiresAt": self._expires_text})

    # Writing --------------------------------------------------------------------------------------------------------
    async def _write(self) -> None:
        """The only sender of this socket."""
        try:
            while True:
                frames = await self._next_frames()
                for text in frames:
                    await self._send_now({"type": "websocket.send", "text": text})
                if frames:
                    continue
                if self._follower is not None and self._follower.overflowed:
                    self.connection.close(4008)
                if self.connection.closing is not None:
                    break
                await self._sleep()
        except errors.ParlourError as failure:
            self.connection.refuse(failure)
            await self._send_rest()
        except Exception as failure:
            if type(failure).__name__ != "ClientDisconnected":
                logger("hub").exception("writer failed", extra={"connection": self.name})
            return
        code, reason = self.connection.closing or (1000, "")
        await self._close(code, reason)

    async def _next_frames(self) -> list[str]:
        if self._follower is None or not self.connection.welcomed or self.connection.closing is not None:
            return self.connection.outbox.take(events=self.connection.welcomed)
        return await self._follower.pull()

    async def _send_rest(self) -> None:
        for text in self.connection.outbox.take(events=False):
            await self._send_now({"type": "websocket.send", "text": text})

    def _send_directly(self, text: str) -> bool:
        """Send from the feed's side while the writer rests: still one sender at a time, and in order."""
        if not self._parked or self._wake.is_set() or self.connection.closing is not None or self._write_now is None:
            return False
        if not self._write_now(text):
            return False
        self.connection.sent(time.monotonic())
        return True

    async def _sleep(self) -> None:
        self._wake.clear()
        self._parked = True
        await self._wake.wait()
        self._parked = False
        if self._coalesce_s and self.connection.closing is None:
            await asyncio.sleep(self._coalesce_s)

    async def _send_now(self, message: Message) -> None:
        self._sending_since = time.monotonic()
        await self._send(message)
        self._sending_since = None
        self.connection.sent(time.monotonic())

    async def _close(self, code: int, reason: str) -> None:
        self._stop_following()
        asyncio.get_running_loop().call_later(CLOSE_S, self._abort)
        self._hub.telemetry.hub_close.labels(str(code)).inc()
        with contextlib.suppress(Exception):
            await self._send_now({"type": "websocket.close", "code": code, "reason": reason})

    def _stop_following(self) -> None:
        if self._follower is not None:
            self._follower.close()

    # The hub's side -------------------------------------------------------------------------------------------------
    def tick(self, now: float) -> None:
        """Let time pass: pings, deadlines, and the end of a reader that does not read."""
        if self._sending_since is not None and now - self._sending_since >= SEND_S:
            self._hub.telemetry.hub_slow.labels("abort").inc()
            self._abort()
            return
        if self.connection.tick(now, self._expires_text) or self.connection.closing is not None:
            self._wake.set()

    def reconnect(self, after_ms: int) -> None:
        """Ask the client to move to another process."""
        self.drained = True
        self.connection.send({"type": "reconnect", "afterMs": after_ms, "reason": "drain"})
        self._wake.set()

    def tell(self, frame: dict[str, Any]) -> None:
        """Send an ephemeral frame."""
        self.connection.send(frame, droppable=True)
        self._wake.set()

    def revoke(self, failure: errors.ParlourError) -> None:
        """Close because a permission was withdrawn."""
        self.connection.refuse(failure)
        self._wake.set()

    @property
    def bot_id(self) -> str:
        return self._bot.id


def rfc3339(instant: datetime) -> str:
    """An instant as the protocol writes it."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _nothing() -> None:
    """There is no transport to abort."""
