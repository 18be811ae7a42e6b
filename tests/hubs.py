"""Real hubs for tests: each node is a Hub on its own Valkey connections behind its own uvicorn, on loopback.

The turn is a script (a number of tokens at a pace), because what is tested is how its events travel.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from server.bot import BotConfig
from server.chat.answer import TurnRequest
from server.hub.hub import Hub
from server.hub.serve import HubServer, listen, server_config
from server.ids import ConversationId, VisitorId
from server.protocol import TurnEvent
from server.settings import Settings
from server.storage import bots, conversations, tenants
from server.storage.database import Database
from server.storage.records import BotRecord, TenantRecord
from server.storage.secrets import Secrets
from server.storage.valkey import Valkey, open_valkey
from server.telemetry import Telemetry
from tests.visitor import Visitor, units

ORIGIN = "https://shop.example"
MASTER = b"a master secret for tests, 32 bytes."


class ScriptedTurns:
    """`count N [PACE_MS]` answers with N numbered tokens; `silent S` waits before its first; `fail` breaks."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.begun: list[TurnRequest] = []
        self.closed_at: dict[str, float] = {}
        self.stored: list[str] = []

    async def take(self, request: TurnRequest) -> AsyncGenerator[TurnEvent, None]:
        self.begun.append(request)
        yield {
            "type": "stream_start", "streamId": request.stream, "chatbotId": request.bot.id, "messageId": request.message,
            "replyTo": request.reply_to, "attempt": 1, "animation": "thinking",
        }  # fmt: skip
        said: list[str] = []
        cancelled = False
        try:
            async for token in _tokens(request.text):
                said.append(token)
                yield {"type": "stream_chunk", "streamId": request.stream, "chunk": token}
        except asyncio.CancelledError:
            self.closed_at[request.stream] = asyncio.get_running_loop().time()
            if not request.stop.requested:
                await self._store(request, "".join(said), "interrupted")
                raise
            task = asyncio.current_task()
            assert task is not None
            task.uncancel()
            cancelled = True
        text = "".join(said)
        done: dict[str, Any] = {
            "type": "stream_complete", "streamId": request.stream, "messageId": request.message, "sentiment": "neutral",
            "animation": "idle", "finishReason": "cancelled" if cancelled else "stop", "chars": units(text),
        }  # fmt: skip
        if request.stop.heard_chars is not None:
            done["heardChars"] = request.stop.heard_chars
        yield cast(TurnEvent, done)
        await self._store(request, text, "complete")

    async def _store(self, request: TurnRequest, text: str, status: str) -> None:
        await conversations.add_answer(
            self._db, request.tenant.id, id=request.message, conversation=request.conversation, text=text,
            reply_to=request.reply_to, author={"kind": "bot", "name": "Nova"}, status=status,
        )  # fmt: skip
        if request.replaces:
            await conversations.mark_replaced(self._db, request.tenant.id, request.replaces, request.message)
        self.stored.append(request.message)


def expected(count: int) -> str:
    """The whole text of `count N`."""
    return "".join(f"w{number} ✓😀 " for number in range(count))


async def _tokens(text: str) -> AsyncIterator[str]:
    words = text.split()
    if words[0] == "fail":
        yield "half "
        raise RuntimeError("scripted failure")
    if words[0] == "silent":
        await asyncio.sleep(float(words[1]))
        words = ["count", "3"]
    if words[0] == "big":
        for _ in range(int(words[1])):
            yield "x" * 400 + " "
            await asyncio.sleep(0)
        return
    count, pace_s = (
        (int(words[1]), float(words[2]) / 1000 if len(words) > 2 else 0.002) if words[0] == "count" else (3, 0.0)
    )
    for number in range(count):
        yield f"w{number} ✓😀 "
        await asyncio.sleep(pace_s)


class PlainAccepted:
    """A message taken as it is; `rate` is what a test says is left."""

    rate: object = None

    def __init__(self, text: str) -> None:
        self.text = text
        self.sentiment = "neutral"
        self.sentiment_score = 0.0
        self.intent = "question"


class PlainIntake:
    """Takes every message as it is."""

    async def accept(self, *_: object, **__: object) -> PlainAccepted:
        return PlainAccepted(str(_[3]))


@dataclass
class Node:
    """One server process's worth of hub."""

    hub: Hub
    server: HubServer
    valkey: Valkey
    port: int
    task: asyncio.Task[None]

    def url(self, bot: str) -> str:
        return f"ws://127.0.0.1:{self.port}/v1/bots/{bot}/ws"


class App:
    """The smallest ASGI application around a hub: lifespan, readiness and the socket."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await self._hub.websocket(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            await self._http(receive, send)

    async def _lifespan(self, receive: Any, send: Any) -> None:
        await receive()
        await self._hub.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._hub.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _http(self, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        status = 503 if self._hub.draining else 200
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


class Stage:
    """A tenant, a bot and any number of nodes over one Valkey and one database."""

    def __init__(self, db: Database, valkey_url: str, folder: Path) -> None:
        self.db = db
        self.valkey_url = valkey_url
        self.settings = Settings(
            data_dir=folder,
            max_sockets_per_address=10_000,
            connects_per_minute=1_000_000,
            drain_s=5,
            public_url="https://chat.example",
        )
        self.secrets = Secrets(MASTER)
        self.turns = ScriptedTurns(db)
        self.nodes: list[Node] = []
        self.tenant: TenantRecord
        self.bot: BotRecord

    async def open(self, **config: Any) -> None:
        self.tenant = await tenants.create_tenant(self.db, cast(Any, "ten_1"), "Shop")
        settings = {"allowed_origins": (ORIGIN, "https://*.example.com")} | config
        self.bot = await bots.create_bot(self.db, self.tenant.id, BotConfig(**settings))

    async def configure(self, **config: Any) -> None:
        self.bot = await bots.update_bot(
            self.db, self.tenant.id, self.bot.id, self.bot.config.model_copy(update=config)
        )

    async def start_node(self, **settings: Any) -> Node:
        valkey = await open_valkey(self.valkey_url)
        hub = Hub(
            settings=replace(self.settings, **settings), db=self.db, valkey=valkey, secrets=self.secrets, turns=self.turns,
            intake=cast(Any, PlainIntake()), telemetry=Telemetry(),
        )  # fmt: skip
        listener = listen("127.0.0.1", 0)
        server = HubServer(server_config(App(hub)), lambda: hub, drain_s=replace(self.settings, **settings).drain_s)
        task = asyncio.create_task(server._serve([listener]))
        while not server.started:
            await asyncio.sleep(0.005)
        node = Node(hub, server, valkey, listener.getsockname()[1], task)
        self.nodes.append(node)
        return node

    async def stop_node(self, node: Node) -> None:
        """As SIGTERM does."""
        node.server.should_exit = True
        await node.task
        await node.valkey.close()
        self.nodes.remove(node)

    async def kill_node(self, node: Node) -> None:
        """As kill -9 does to the rest of the world: its tasks end between two awaits and nothing is said."""
        for session in tuple(node.hub._sessions):
            session._abort()
        tasks = [*node.hub.producers._tasks, node.hub.producers._reaper, node.hub.feeds._task, node.hub._ticker]
        pumps = [producer._pump_task for producer in node.hub.producers._running.values()]
        for producer in node.hub.producers._running.values():
            producer._parts.log = cast(Any, None)
        for task in [*tasks, *pumps]:
            if task is not None:
                task.cancel()
        await asyncio.gather(*[task for task in [*tasks, *pumps] if task], return_exceptions=True)
        node.hub.producers._running.clear()
        await self.stop_node(node)

    async def token(self, *, origin: str = ORIGIN, life_s: int = 900) -> str:
        """A token for a new visitor with a new conversation."""
        visitor, _ = await conversations.create_visitor(self.db, self.tenant.id, self.bot.id)
        conversation = await conversations.create_conversation(self.db, self.tenant.id, self.bot.id, visitor.id)
        return self.sign(visitor.id, conversation.id, origin=origin, life_s=life_s)

    def sign(self, visitor: VisitorId, conversation: ConversationId, *, origin: str = ORIGIN, life_s: int = 900) -> str:
        token, _ = self.secrets.sign_visitor_token(
            tenant=self.tenant.id,
            bot=self.bot.id,
            origin=origin,
            visitor=visitor,
            conversation=conversation,
            life_s=life_s,
        )
        return token

    async def visitor(self, node: Node, token: str | None = None, **options: Any) -> Visitor:
        """A connected, welcomed tab."""
        visitor = Visitor(node.url(self.bot.id), token or await self.token(), origin=ORIGIN, **options)
        await visitor.connect()
        return visitor

    async def close(self) -> None:
        for node in tuple(self.nodes):
            await self.stop_node(node)


@asynccontextmanager
async def open_stage(
    db: Database, valkey_url: str, folder: Path, *, nodes: int = 1, **config: Any
) -> AsyncIterator[Stage]:
    """A stage with its nodes started; everything is closed at the end."""
    stage = Stage(db, valkey_url, folder)
    await stage.open(**config)
    try:
        for _ in range(nodes):
            await stage.start_node()
        yield stage
    finally:
        await stage.close()


def free_port() -> int:
    """A port nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _run_node(database: str, valkey_url: str, ready: Path) -> None:
    """A node in a process of its own, ended by a signal; `ready` gets the port."""
    db = Database(database)
    stage = Stage(db, valkey_url, ready.parent)
    valkey = await open_valkey(valkey_url)
    hub = Hub(
        settings=stage.settings, db=db, valkey=valkey, secrets=stage.secrets, turns=stage.turns,
        intake=cast(Any, PlainIntake()), telemetry=Telemetry(),
    )  # fmt: skip
    listener = listen("127.0.0.1", 0)
    part = ready.with_suffix(".part")
    part.write_text(str(listener.getsockname()[1]))
    part.rename(ready)
    await HubServer(server_config(App(hub)), lambda: hub, drain_s=stage.settings.drain_s).serve([listener])
    await valkey.close()
    await db.close()


if __name__ == "__main__":
    import uvloop

    uvloop.run(_run_node(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
