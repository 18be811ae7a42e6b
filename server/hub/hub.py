"""The hub of one process: sockets, event streams and answers over the shared log.

Two processes on one Valkey are one hub: a conversation may be written here and read there.
"""

from __future__ import annotations

import asyncio
import json
import random
import secrets as random_secrets
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qsl

from server import errors
from server.chat.answer import StopSignal, TurnRequest
from server.hub.admission import Admission, address_group, check_origin, client_address, normal_origin, own_origins
from server.hub.commands import Commands, Speaker, Submitted, shown_sources
from server.hub.directory import Directory
from server.hub.events import TERMINAL, StreamText, dumps
from server.hub.fanout import Fanout
from server.hub.feed import Feeds
from server.hub.follower import Follower, Place, Wishes
from server.hub.log import Address, Log
from server.hub.outbox import Outbox
from server.hub.producer import Job, Producers
from server.hub.session import Receive, Send, Session, rfc3339
from server.ids import BotId, ConversationId, TenantId, new_id
from server.protocol import HEARTBEAT_MS, MAX_FRAME_BYTES, SUBPROTOCOL, VERSION, ClientFrames, TurnEvent
from server.storage import conversations
from server.telemetry import logger

if TYPE_CHECKING:
    from server.chat.intake import Intake
    from server.settings import Settings
    from server.storage.database import Database
    from server.storage.records import BotRecord
    from server.storage.secrets import Secrets, VisitorClaims
    from server.storage.valkey import Valkey
    from server.telemetry import Telemetry

FEATURES = ["cues", "typing", "regenerate", "feedback"]
TICK_S = 0.5
RECONNECT_SPREAD_S = 10.0
RECONNECT_BATCH = 500
RECONNECTS_PER_S = 100
MOVING_S = 1.5
SILENCE_S = 15.0
_CREDENTIALS = frozenset({"token", "api_key", "key", "authorization", "access_token", "jwt"})


class TakesTurns(Protocol):
    """What makes an answer: `server.chat.turn.Turns`, or a script in a test."""

    def take(self, request: TurnRequest) -> AsyncGenerator[TurnEvent, None]: ...


class Hub:
    """Everything realtime of one process; `websocket` is the ASGI callable of /v1/bots/{bot}/ws."""

    def __init__(
        self,
        *,
        settings: Settings,
        db: Database,
        valkey: Valkey,
        secrets: Secrets,
        turns: TakesTurns,
        intake: Intake,
        telemetry: Telemetry,
    ) -> None:
        self._settings = settings
        self._db = db
        self._secrets = secrets
        self._turns = turns
        self.telemetry = telemetry
        self.checks = ClientFrames()
        self.directory = Directory(db)
        self.log = Log(valkey.commands, telemetry)
        self.fanout = Fanout(valkey.subscriber())
        self.feeds = Feeds(self.log, self.fanout)
        self.producers = Producers(
            self.log, self.feeds, telemetry, take_turn=self._take_turn, keep_partial=self._keep_partial,
            owner=random_secrets.token_hex(6),
        )  # fmt: skip
        self.commands = Commands(db, self.log, self.producers, intake)
        self.admission = Admission(
            max_sockets=settings.max_sockets,
            per_address=settings.max_sockets_per_address,
            connects_per_minute=settings.connects_per_minute,
        )
        self._own_origins = own_origins(settings.url)
        self._sessions: set[Session] = set()
        self._ticker: asyncio.Task[None] | None = None
        self._outliving: set[asyncio.Task[None]] = set()
        self.draining = False

    # Life -----------------------------------------------------------------------------------------------------------
    async def start(self) -> None:
        """Subscribe, check and reap."""
        await self.fanout.start()
        await self.feeds.start()
        await self.producers.start()
        self._ticker = asyncio.create_task(self._tick(), name="hub ticker")

    async def stop(self) -> None:
        """End running answers as interrupted and close what is open."""
        if self._outliving:
            await asyncio.wait(set(self._outliving), timeout=2.0)
        await self.producers.stop()
        if self._ticker is not None:
            self._ticker.cancel()
            await asyncio.gather(self._ticker, return_exceptions=True)
        await self.feeds.stop()
        await self.fanout.stop()
        await self.log.close()

    async def drain(self, timeout_s: float) -> None:
        """Move the sockets elsewhere and let running answers end; the caller has closed the listeners."""
        self.draining = True
        started = time.monotonic()
        # Few sockets need no spread: nobody is to wait at a server with one chat open.
        spread_s = min(RECONNECT_SPREAD_S, timeout_s / 2, len(self._sessions) / RECONNECTS_PER_S)
        for number, session in enumerate(tuple(self._sessions)):
            session.reconnect(int(random.uniform(0, spread_s) * 1000))  # noqa: S311 - spreads load, keeps no secret
            if number % RECONNECT_BATCH == RECONNECT_BATCH - 1:
                await asyncio.sleep(0.05)
        # Who has not moved a moment after its time has nowhere to go: a single server that restarts.
        moved_by = started + min(timeout_s, spread_s + MOVING_S)
        while time.monotonic() < started + timeout_s and (  # noqa: ASYNC110
            self.producers.count or (self._sessions and time.monotonic() < moved_by)
        ):
            await asyncio.sleep(0.05)
        for session in tuple(self._sessions):
            session.connection.close(4001)
            session.tick(time.monotonic())
        self.telemetry.hub_drain.observe(time.monotonic() - started)

    async def _tick(self) -> None:
        """One clock for all sockets: a timer each would cost more than the sockets."""
        ticks = 0
        while True:
            await asyncio.sleep(TICK_S)
            ticks += 1
            now = time.monotonic()
            try:
                queued = 0
                for session in tuple(self._sessions):
                    session.tick(now)
                    queued += session.connection.outbox.size
                self.telemetry.hub_send_queue.set(queued)
                if ticks % 120 == 0:
                    self.admission.sweep(now)
            except Exception:
                logger("hub").exception("tick failed")

    def outlive(self, task: asyncio.Task[None]) -> None:
        """Keep a task of a socket that has gone."""
        self._outliving.add(task)
        task.add_done_callback(self._outliving.discard)

    @property
    def sockets(self) -> int:
        """Open sockets of this process."""
        return len(self._sessions)

    def new_name(self) -> str:
        """A connection's id."""
        return new_id("connection")

    # What an answer needs -------------------------------------------------------------------------------------------
    async def _take_turn(self, job: Job, stop: StopSignal) -> AsyncGenerator[TurnEvent, None]:
        bot = await self.directory.bot(job.bot)
        tenant = await self.directory.tenant(job.tenant)
        return self._turns.take(
            TurnRequest(
                tenant=tenant, bot=bot, conversation=job.conversation, visitor=job.visitor, stream=job.stream,
                message=job.answer, reply_to=job.reply_to, text=job.text, replaces=job.replaces, locale=job.locale,
                channel=job.channel, stop=stop,
            )
        )  # fmt: skip

    async def _keep_partial(self, job: Job, stream: StreamText) -> None:
        """Store what a dead process had written of an answer."""
        bot = await self.directory.bot(job.bot)
        await conversations.add_answer(
            self._db, job.tenant, id=job.answer, conversation=job.conversation, text=stream.whole(),
            reply_to=job.reply_to, author={"kind": "bot", "name": bot.config.name}, status="interrupted",
            animation=stream.animation, finish_reason="error",
        )  # fmt: skip

    # Tokens ---------------------------------------------------------------------------------------------------------
    def read_token(self, token: str, *, bot: BotId, origin: str | None) -> VisitorClaims:
        """The claims of a visitor token for this bot and origin; raises TokenInvalid or TokenExpired."""
        claims = self._secrets.read_visitor_token(token, bot=bot)
        if origin is not None and normal_origin(claims.origin) != origin:
            raise errors.TokenInvalid("The token is for another site.")
        return claims

    def renew_token(self, claims: VisitorClaims) -> tuple[str, VisitorClaims]:
        """A new token for the same visitor and conversation, with its claims."""
        token, _ = self._secrets.sign_visitor_token(
            tenant=claims.tenant, bot=claims.bot, origin=claims.origin, visitor=claims.visitor,
            conversation=claims.conversation, life_s=self._settings.token_life_s,
        )  # fmt: skip
        return token, self._secrets.read_visitor_token(token, bot=claims.bot)

    async def speaker(
        self,
        claims: VisitorClaims,
        *,
        name: str = "",
        locale: str | None = None,
        channel: str = "widget",
        address: str | None = None,
        notify: Callable[[dict[str, Any]], None] | None = None,
    ) -> Speaker:
        """Who a visitor's token speaks for; raises BotUnknown, TenantSuspended or TokenInvalid."""
        bot = await self.directory.bot(claims.bot)
        if bot.tenant_id != claims.tenant:
            raise errors.TokenInvalid
        tenant = await self.directory.tenant(claims.tenant)
        return Speaker(
            tenant=tenant, bot=bot, conversation=claims.conversation, visitor=claims.visitor, name=name, locale=locale,
            channel=channel, address=address_group(address) if address else None, notify=notify,
        )  # fmt: skip

    # Readers --------------------------------------------------------------------------------------------------------
    def follower(
        self,
        speaker: Speaker,
        *,
        outbox: Outbox,
        wake: asyncio.Event,
        wishes: Wishes,
        resume: Place | None,
        expires_at: Callable[[], str],
    ) -> Follower:
        """A reader of the speaker's conversation."""

        def greet(epoch: str, seq: int, resumed: bool, active: tuple[str, str] | None) -> dict[str, Any]:
            return welcome_frame(speaker, epoch, seq, resumed=resumed, active=active, expires_at=expires_at())

        return Follower(
            self.log, self.feeds, self.telemetry, speaker.place, outbox=outbox, wake=wake, wishes=wishes, resume=resume,
            greet=greet, read_history=lambda limit: self.commands.read_history(speaker.place, limit), name=speaker.name,
        )  # fmt: skip

    async def events(
        self,
        speaker: Speaker,
        *,
        after: Place | None = None,
        history: int = 30,
        cues: bool = False,
        coalesce_ms: int = 0,
        expires_at: str = "",
    ) -> AsyncGenerator[dict[str, Any] | None, None]:
        """The frames a socket would get, welcome first, then for ever; None after 15 s of silence (send a comment)."""
        outbox, wake = Outbox(cues=cues), asyncio.Event()
        wishes = Wishes(cues=cues, history=history, coalesce_s=min(coalesce_ms, 1000) / 1000)
        follower = self.follower(
            speaker, outbox=outbox, wake=wake, wishes=wishes, resume=after, expires_at=lambda: expires_at
        )
        try:
            await follower.open()
            while True:
                frames = await follower.pull()
                for text in frames:
                    yield json.loads(text)
                if not frames and not await _woken(wake, SILENCE_S):
                    yield None
                elif wishes.coalesce_s:
                    await asyncio.sleep(wishes.coalesce_s)
        finally:
            follower.close()

    async def turn_events(
        self, speaker: Speaker, submitted: Submitted, *, cues: bool = False
    ) -> AsyncGenerator[dict[str, Any] | None, None]:
        """The events of one turn, from its `message` to its terminal event; replayed from the log for a repeat."""
        if not submitted.stream_id:
            for told in await self._stored_turn(speaker, submitted):
                yield told
            return
        after = Place(submitted.epoch, max(0, submitted.seq - 1))
        async with aclosing(self.events(speaker, after=after, history=0, cues=cues)) as frames:
            async for frame in frames:
                if frame is None or frame.get("messageId") == submitted.message_id:
                    yield frame
                elif frame.get("streamId") == submitted.stream_id:
                    yield frame
                    if frame["type"] in TERMINAL:
                        return
                elif frame["type"] == "welcome" and not frame["resumed"] and await self._is_stored(speaker, submitted):
                    for stored in await self._stored_turn(speaker, submitted):
                        yield stored
                    return

    async def _is_stored(self, speaker: Speaker, submitted: Submitted) -> bool:
        """Whether the answer is in the database: what a reader without a log must be told from."""
        found = await conversations.get_message(self._db, speaker.tenant.id, speaker.conversation, submitted.answer_id)
        return found is not None

    async def _stored_turn(self, speaker: Speaker, submitted: Submitted) -> list[dict[str, Any]]:
        """An answer of long ago, told as its stream would have been."""
        row = await conversations.get_message(self._db, speaker.tenant.id, speaker.conversation, submitted.answer_id)
        if row is None:
            raise errors.MessageUnknown
        stream = {"streamId": f"s_{row.id[-8:].lower()}", "messageId": row.id}
        done = {
            "type": "stream_complete", **stream, "sentiment": row.sentiment or "neutral",
            "animation": row.animation or "idle", "finishReason": row.finish_reason or "stop",
            "chars": len(row.text.encode("utf-16-le")) // 2,
        }  # fmt: skip
        if row.sources:
            done["citations"] = shown_sources(row)
        return [
            {
                "type": "stream_start", **stream, "chatbotId": speaker.bot.id, "replyTo": submitted.message_id,
                "attempt": 1, "animation": "thinking",
            },
            {"type": "stream_chunk", "streamId": stream["streamId"], "chunk": row.text},
            done,
        ]  # fmt: skip

    async def submit(self, speaker: Speaker, *, client_id: str, text: str) -> Submitted:
        """Record a visitor's message (once per `client_id`), append it to the log and start or queue the answer."""
        return await self.commands.submit(speaker, client_id=client_id, text=text)

    async def forget(self, tenant: TenantId, conversation: ConversationId) -> None:
        """Remove what the log still holds of a conversation."""
        await self.log.forget(Address(tenant, conversation))

    async def command(self, speaker: Speaker, frame: Mapping[str, Any]) -> dict[str, Any] | None:
        """Carry out one checked client frame; returns its `ack` or `history` frame, or None."""
        return await self.commands.run(speaker, dict(frame))

    async def announce(self, tenant: TenantId, conversation: ConversationId, frame: dict[str, Any]) -> None:
        """Send an ephemeral frame to every connection of a conversation, on every process."""
        await self.log.publish(Address(tenant, conversation).log, f"|-1||{dumps(frame)}")

    # Sockets --------------------------------------------------------------------------------------------------------
    def group_of(self, address: str) -> str:
        """Under what an address is counted."""
        return address_group(address)

    async def websocket(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Admit or refuse a handshake, then serve the socket."""
        await receive()  # websocket.connect
        admitted = await self._admit(scope, send)
        if admitted is None:
            return
        session, group = admitted
        try:
            await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL})
            await self._serve(session, receive)
        finally:
            self.admission.release(group)

    async def _admit(self, scope: Mapping[str, Any], send: Send) -> tuple[Session, str] | None:
        """The session of an admitted handshake and what its address counts as; None when it was refused."""
        headers = _headers(scope)
        peer = scope["client"][0] if scope.get("client") else "unknown"
        address = client_address(peer, headers.get("x-forwarded-for", ""), self._settings.trusted_proxies)
        try:
            # Counted first: a refused handshake must not cost more than an admitted one.
            group = self.admission.admit(address, time.monotonic())
        except errors.ParlourError as failure:
            await deny(send, failure)
            return None
        try:
            bot, origin = await self._check_handshake(scope, headers)
        except errors.ParlourError as failure:
            self.admission.release(group)
            await deny(send, failure)
            return None
        transport = scope.get("extensions", {}).get("hub.transport", {})
        return Session(self, send, transport, bot=bot, origin=origin, address=address), group

    async def _check_handshake(self, scope: Mapping[str, Any], headers: Mapping[str, str]) -> tuple[BotRecord, str]:
        query = scope.get("query_string", b"").decode("latin-1").lower()
        if "authorization" in headers or _CREDENTIALS & {name for name, _ in parse_qsl(query, keep_blank_values=True)}:
            raise errors.TokenInUrl("Credentials go into the hello frame.")
        if self.draining:
            raise errors.NodeFull("This server is shutting down.", retry_after_s=1.0)
        if SUBPROTOCOL not in scope.get("subprotocols", ()):
            raise errors.UnsupportedVersion(f"Offer the subprotocol {SUBPROTOCOL}.")
        origin = headers.get("origin")
        if not origin:
            raise errors.OriginMissing
        bot = await self.directory.bot(bot_of(scope))
        return bot, check_origin(origin, bot.config.allowed_origins, self._own_origins)

    async def _serve(self, session: Session, receive: Receive) -> None:
        self._sessions.add(session)
        self.telemetry.hub_connections.set(len(self._sessions))
        try:
            await session.run(receive)
        finally:
            self._sessions.discard(session)
            self.telemetry.hub_connections.set(len(self._sessions))


def bot_of(scope: Mapping[str, Any]) -> BotId:
    """The bot a socket's path names: /v1/bots/{bot}/ws, mounted anywhere."""
    given = scope.get("path_params", {}).get("bot") or scope.get("path_params", {}).get("bot_id")
    if given:
        return BotId(given)
    parts = [part for part in scope["path"].split("/") if part]
    if len(parts) < 2 or parts[-1] != "ws":
        raise errors.BotUnknown
    return BotId(parts[-2])


def welcome_frame(
    speaker: Speaker, epoch: str, seq: int, *, resumed: bool, active: tuple[str, str] | None, expires_at: str
) -> dict[str, Any]:
    """The `welcome` of one connection."""
    config = speaker.bot.config
    bot: dict[str, Any] = {"name": config.name, "version": speaker.bot.version}
    if config.greeting:
        bot["greeting"] = config.greeting
    if config.starters:
        bot["starters"] = list(config.starters)
    frame: dict[str, Any] = {
        "type": "welcome",
        "v": VERSION,
        "connectionId": speaker.name,
        "conversationId": speaker.conversation,
        "epoch": epoch,
        "seq": seq,
        "resumed": resumed,
        "heartbeatMs": HEARTBEAT_MS,
        "authExpiresAt": expires_at,
        "limits": {
            "maxMessageBytes": MAX_FRAME_BYTES,
            "maxMessageChars": config.limits.max_message_chars,
            "messagesPerMinute": config.limits.messages_per_minute,
            "whileAnswering": config.limits.while_answering,
        },
        "features": FEATURES,
        "bot": bot,
    }
    if active is not None:
        frame["activeStream"] = {"streamId": active[0], "messageId": active[1]}
    return frame


async def deny(send: Send, failure: errors.ParlourError) -> None:
    """Refuse a handshake with a problem document."""
    problem: dict[str, Any] = {
        "type": f"/docs/errors#{failure.code}",
        "title": failure.title,
        "status": failure.status,
        "detail": failure.detail,
        "code": failure.code,
    }
    if failure.retry_after_s is not None:
        problem["retry_after"] = round(failure.retry_after_s, 3)
    body = dumps(problem).encode()
    headers = [(b"content-type", b"application/problem+json"), (b"content-length", str(len(body)).encode())]
    if failure.retry_after_s is not None:
        headers.append((b"retry-after", str(max(1, round(failure.retry_after_s))).encode()))
    await send({"type": "websocket.http.response.start", "status": failure.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})


def _headers(scope: Mapping[str, Any]) -> dict[str, str]:
    """Headers by name; of a repeated one the last counts, except for forwarded addresses, which are joined."""
    headers: dict[str, str] = {}
    pairs: Iterable[tuple[bytes, bytes]] = scope["headers"]
    for name, value in pairs:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        headers[key] = f"{headers[key]},{text}" if key == "x-forwarded-for" and key in headers else text
    return headers


async def _woken(wake: asyncio.Event, timeout_s: float) -> bool:
    try:
        async with asyncio.timeout(timeout_s):
            await wake.wait()
    except TimeoutError:
        return False
    wake.clear()
    return True


__all__ = ["Hub", "Place", "Speaker", "Submitted", "TakesTurns", "deny", "rfc3339", "welcome_frame"]
