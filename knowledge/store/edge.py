"""EdgeStore: the embedded engine, asked over its socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from knowledge.records import BotScope
from knowledge.store.contract import (
    Close,
    Delete,
    DeleteDocument,
    Hit,
    KeepOnly,
    Legs,
    Op,
    Sparse,
    Stats,
    StoreAway,
    Upsert,
)
from knowledge.wire import Away, Client, RemoteError

SEARCH_S = 0.35
WRITE_S = 30.0


class EdgeStore:
    """Speaks to the process that owns the shards (`python -m knowledge.store`)."""

    def __init__(self, socket: Path) -> None:
        self._client = Client(socket)

    async def apply(self, bot: BotScope, ops: Sequence[Op], *, generation: int, fingerprint: str) -> None:
        changes = [_change(op) for op in ops]
        await self._ask("apply", WRITE_S, bot, ops=changes, generation=generation, fingerprint=fingerprint)

    async def search(
        self, bot: BotScope, *, generation: int, dense: bytes | None, words: Sequence[Sparse], limit: int
    ) -> Legs:
        terms = [[one.indices, one.values, one.language] for one in words if one.indices]
        found = await self._ask("search", SEARCH_S, bot, generation=generation, dense=dense, words=terms, limit=limit)
        dense_leg, words_leg = ([Hit(*row) for row in leg] for leg in found)
        return Legs(tuple(dense_leg), tuple(words_leg))

    async def scroll(self, bot: BotScope, *, generation: int | None = None) -> AsyncIterator[str]:
        after: str | None = None
        while True:
            ids, after = await self._ask("scroll", WRITE_S, bot, generation=generation, after=after)
            for point in ids:
                yield point
            if after is None:
                return

    async def drop(self, bot: BotScope) -> None:
        await self._ask("drop", WRITE_S, bot)

    async def stats(self, bot: BotScope) -> Stats:
        return Stats(**await self._ask("stats", WRITE_S, bot))

    async def bots(self) -> list[BotScope]:
        return [BotScope(tenant, bot) for tenant, bot in await self._call("bots", WRITE_S)]

    async def ping(self) -> None:
        await self._call("ping", SEARCH_S)

    async def close(self) -> None:
        await self._client.close()

    async def _ask(self, method: str, timeout_s: float, bot: BotScope, **arguments: Any) -> Any:
        return await self._call(method, timeout_s, tenant=bot.tenant, bot=bot.bot, **arguments)

    async def _call(self, method: str, timeout_s: float, **arguments: Any) -> Any:
        try:
            return await self._client.call(method, timeout_s, **arguments)
        except (Away, RemoteError) as problem:
            raise StoreAway(str(problem)) from problem


def _change(op: Op) -> list[Any]:
    match op:
        case Upsert(points):
            return ["upsert", [_row(point) for point in points]]
        case Close(ids, epoch):
            return ["close", ids, epoch]
        case Delete(ids):
            return ["delete", ids]
        case DeleteDocument(document):
            return ["delete_document", document]
        case KeepOnly(document, ids):
            return ["keep_only", document, ids]


def _row(point: Any) -> list[Any]:
    words = [point.words.indices, point.words.values, point.words.language]
    return [point.id, point.document, point.dense, words, point.from_epoch, point.to_epoch]
