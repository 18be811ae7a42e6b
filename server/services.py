"""Everything a process holds open, made once and closed once: the only place where rooms are joined."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, MutableMapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.datastructures import Headers

from knowledge.library import Library, open_library
from server import errors
from server.chat.cache import AnswerCache
from server.chat.insight import Insight
from server.chat.intake import Intake
from server.chat.turn import TurnParts, Turns
from server.embedded import Children, local_port_file, sockets_of
from server.hub.admission import address_group, client_address
from server.hub.hub import Hub
from server.ids import ConversationId, TenantId, VisitorId
from server.limits.budgets import Budgets
from server.limits.rates import Charge, Rates
from server.llm.catalog import open_targets
from server.llm.gateway import Gateway
from server.llm.transport import open_transport
from server.protocol import ClientFrames
from server.settings import Settings
from server.storage import bots, conversations, documents
from server.storage.database import Database
from server.storage.files import Files
from server.storage.migrate import migrate
from server.storage.queues import Queue, open_queue
from server.storage.records import BotRecord
from server.storage.secrets import Secrets, load_secrets
from server.storage.valkey import Valkey, open_valkey
from server.telemetry import Telemetry, logger

_log = logger("services")


@dataclass(slots=True, kw_only=True)
class Services:
    """The open parts of one process."""

    settings: Settings
    telemetry: Telemetry
    db: Database
    valkey: Valkey
    secrets: Secrets
    files: Files
    queue: Queue
    library: Library
    gateway: Gateway
    rates: Rates
    turns: Turns
    hub: Hub
    children: Children
    frames: ClientFrames = field(default_factory=ClientFrames)
    _started: bool = False

    def mark_ready(self) -> None:
        """Say that new visitors are welcome."""
        self._started = True

    def readiness(self) -> str:
        """`ready`, `starting` or `draining`."""
        if self.hub.draining:
            return "draining"
        return "ready" if self._started else "starting"

    # Who asks ---------------------------------------------------------------------------------------------------------
    def address_of(self, scope: MutableMapping[str, Any]) -> str:
        """The visitor's address: the peer, or behind a trusted proxy the right-most address that is not one."""
        peer = scope["client"][0] if scope.get("client") else "unknown"
        forwarded = Headers(scope=scope).getlist("x-forwarded-for")
        return client_address(peer, ",".join(forwarded), self.settings.trusted_proxies)

    async def connect_limit(self, tenant: TenantId, address: str) -> None:
        """Count a new connection of an address; raises RateLimited."""
        limit = self.settings.connects_per_minute
        await self.rates.admit(tenant, [Charge("address_connects", address_group(address), limit_value=limit)])

    async def command_limit(self, tenant: TenantId, visitor: VisitorId) -> None:
        """Count a command that came over HTTP; raises RateLimited. Sockets have a limit of their own."""
        await self.rates.admit(tenant, [Charge("visitor_commands", visitor)])

    async def login_limit(self, email: str, address: str) -> None:
        """Count a sign-in; raises RateLimited: passwords are not to be guessed."""
        group, account = address_group(address), email.strip().lower()[:254]
        # Tight for one address at one account; loose for the account alone, or anybody could lock its owner out.
        charges = [
            Charge("logins", f"{group} {account}"),
            Charge("login_address", group),
            Charge("login_account", account),
        ]
        await self.rates.admit(TenantId("console"), charges)

    # What changes in more than one store ------------------------------------------------------------------------------
    async def remove_bot(self, bot: BotRecord) -> None:
        """Remove a bot from every store."""
        hashes = {row.sha256 for row in await documents.all_documents(self.db, bot.tenant_id, bot.id)}
        talks = await conversations.conversation_ids(self.db, bot.tenant_id, bot.id)
        await bots.delete_bot(self.db, bot.tenant_id, bot.id)
        await self.library.drop(bot.tenant_id, bot.id)
        for sha256 in hashes:
            # Files are named by content: another bot may hold the same one.
            if not await documents.is_file_used(self.db, bot.tenant_id, sha256):
                await self.files.delete(bot.tenant_id, sha256)
        for conversation in talks:
            await self.hub.forget(bot.tenant_id, conversation)

    async def remove_conversation(self, tenant: TenantId, conversation: ConversationId) -> None:
        """Remove a conversation from SQL and its log from Valkey."""
        await conversations.delete_conversation(self.db, tenant, conversation)
        await self.hub.forget(tenant, conversation)

    # How it is ---------------------------------------------------------------------------------------------------------
    async def part_states(self) -> dict[str, str]:
        """The state of each part, from what is known already or one short look."""
        states = {"valkey": await self._valkey_state(), "database": await self._database_state()}
        states |= {f"knowledge.{name}": state for name, state in (await self.library.states()).items()}
        for name, state in self.children.states.items():
            states[name] = "ok" if state == "up" and states.get(name, "ok") == "ok" else state
        return states

    async def _valkey_state(self) -> str:
        return "ok" if await self.valkey.is_up() else "down"

    async def _database_state(self) -> str:
        return "ok" if await self.db.is_up() else "down"

    async def refresh_gauges(self) -> None:
        """Read the gauges that nobody pushes."""
        for part, state in (await self.part_states()).items():
            self.telemetry.part_up.labels(part).set(state == "ok")
        try:
            self.telemetry.queue_depth.labels("ingest").set(await self.queue.depth())
        except errors.Unavailable:
            _log.warning("queue depth unknown", extra={"part": "valkey"})


@asynccontextmanager
async def open_services(settings: Settings, children: Children | None = None) -> AsyncIterator[Services]:
    """Open every part in order, hand them out, close them in reverse."""
    sockets, telemetry = sockets_of(settings), Telemetry()
    async with AsyncExitStack() as stack:
        db = Database(settings.database)
        stack.push_async_callback(db.close)
        await migrate(db)
        valkey = await open_valkey(settings.redis_url or f"unix://{sockets.valkey}")
        stack.push_async_callback(valkey.close)
        queue = await open_queue(valkey)
        stack.push_async_callback(queue.close)
        secrets, files = load_secrets(settings), Files(settings.files_dir)
        library = await stack.enter_async_context(open_knowledge(settings, db))
        gateway = await _open_gateway(settings, stack)
        rates, insight = Rates(valkey), Insight()
        parts = TurnParts(
            db=db, gateway=gateway, library=library, budgets=Budgets(valkey, db), cache=AnswerCache(valkey, secrets),
            insight=insight, telemetry=telemetry,
        )  # fmt: skip
        turns, intake = Turns(parts), Intake(rates, insight)
        hub = Hub(
            settings=settings, db=db, valkey=valkey, secrets=secrets, turns=turns, intake=intake, telemetry=telemetry
        )
        await hub.start()
        stack.push_async_callback(hub.stop)
        yield Services(
            settings=settings, telemetry=telemetry, db=db, valkey=valkey, secrets=secrets, files=files, queue=queue,
            library=library, gateway=gateway, rates=rates, turns=turns, hub=hub,
            children=children or Children(settings.run_dir),
        )  # fmt: skip


@asynccontextmanager
async def open_knowledge(settings: Settings, db: Database) -> AsyncIterator[Library]:
    """The library over the embedded store or a Qdrant server, with SQL as its records."""
    sockets = sockets_of(settings)
    records = documents.Records(db)
    async with open_library(
        records, encoder_socket=sockets.encoder, vectors_socket=sockets.vectors, qdrant_url=settings.qdrant_url,
        qdrant_api_key=settings.qdrant_api_key, model=Path(settings.embedding_model) if settings.embedding_model else None,
    ) as library:  # fmt: skip
        yield library


async def _open_gateway(settings: Settings, stack: AsyncExitStack) -> Gateway:
    """The gateway over every provider this environment opens; a local model is a child of the data folder's owner."""
    base_url = None
    if settings.local_model:
        base_url = f"http://127.0.0.1:{local_port_file(settings).read_text()}/v1"
    transport = await stack.enter_async_context(open_transport())
    return Gateway(open_targets(os.environ, local_base_url=base_url), transport)


__all__ = ["Services", "open_knowledge", "open_services"]
