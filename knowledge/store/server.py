"""ServerStore: a Qdrant server or cluster, one collection for each encoder, every bot apart by filter and index.

Word statistics are computed over the bot's own points, so that another tenant's upload changes nobody's ranking.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Any, TypeVar

from qdrant_client import AsyncQdrantClient, models
from qdrant_client.http.exceptions import ApiException, ResponseHandlingException, UnexpectedResponse

from knowledge.records import BotScope
from knowledge.store.contract import (
    Close,
    Delete,
    DeleteDocument,
    Hit,
    KeepOnly,
    Legs,
    Op,
    Point,
    Sparse,
    Stats,
    StoreAway,
    Upsert,
)

PREFIX = "parlour_"
# Which collection a bot is in and how far it has come: a collection of its own, found by the bot's id.
MARKERS = "parlour_markers"
TIMEOUT_S = 30
SEARCH_S = 0.35
PAGE = 1000
BATCH = 256
DIMENSIONS = 384
# Another process may have moved a bot's marker: it is read again after that long.
MARKER_LIFE_S = 5.0
_NAMESPACE = uuid.UUID("0d3f1b0e-4c0c-4b8e-9b83-7b1c6f1b8f5a")
_AWAY = (ApiException, ResponseHandlingException, UnexpectedResponse, OSError, TimeoutError)
T = TypeVar("T")


class ServerStore:
    """Speaks to a Qdrant server over HTTP."""

    def __init__(self, url: str, api_key: str = "") -> None:
        self._client = AsyncQdrantClient(
            url=url, api_key=api_key or None, timeout=TIMEOUT_S, check_compatibility=False, cloud_inference=False
        )
        self._made: set[str] = set()
        self._markers: dict[str, tuple[float, dict[str, Any]]] = {}
        self._making = asyncio.Lock()

    async def apply(self, bot: BotScope, ops: Sequence[Op], *, generation: int, fingerprint: str) -> None:
        marker = await self._marker(bot)
        if marker and marker["fingerprint"] != fingerprint:
            await self.drop(bot)
        collection = await self._collection(fingerprint, _dimensions(ops))
        for op in ops:
            await _asked(self._change(collection, bot, op))
        await self._mark(bot, generation, fingerprint)

    async def search(
        self, bot: BotScope, *, generation: int, dense: bytes | None, words: Sequence[Sparse], limit: int
    ) -> Legs:
        marker = await self._marker(bot)
        if not marker or marker["generation"] < 0:
            return Legs()
        requests = [_dense_request(bot, dense, generation, limit)] if dense is not None else []
        requests += [_words_request(bot, one, generation, limit) for one in words if one.indices]
        if not requests:
            return Legs()
        collection = PREFIX + marker["fingerprint"]
        answers = await _asked(self._client.query_batch_points(collection, requests=requests, timeout=1), SEARCH_S)
        legs = [[_hit(point) for point in answer.points] for answer in answers]
        dense_leg = legs.pop(0) if dense is not None else []
        words_leg = sorted((hit for leg in legs for hit in leg), key=lambda hit: -hit.score)[:limit]
        return Legs(tuple(dense_leg), tuple(words_leg))

    async def scroll(self, bot: BotScope, *, generation: int | None = None) -> AsyncIterator[str]:
        marker = await self._marker(bot)
        condition = _of(bot) if generation is None else _visible(bot, generation)
        offset: Any = None
        while marker:
            records, offset = await _asked(
                self._client.scroll(
                    PREFIX + marker["fingerprint"],
                    scroll_filter=condition,
                    limit=PAGE,
                    offset=offset,
                    with_payload=False,
                )
            )
            for record in records:
                yield str(record.id)
            if offset is None:
                return

    async def drop(self, bot: BotScope) -> None:
        marker = await self._marker(bot)
        if marker:
            selector = models.FilterSelector(filter=_of(bot))
            await _asked(self._client.delete(PREFIX + marker["fingerprint"], selector, wait=True))
            await _asked(self._client.delete(MARKERS, models.PointIdsList(points=[_marker_id(bot)]), wait=True))
        self._markers.pop(bot.bot, None)

    async def stats(self, bot: BotScope) -> Stats:
        self._markers.pop(bot.bot, None)
        marker = await self._marker(bot)
        if not marker:
            return Stats()
        counted = await _asked(self._client.count(PREFIX + marker["fingerprint"], count_filter=_of(bot), exact=True))
        return Stats(counted.count, marker["generation"], marker["fingerprint"])

    async def bots(self) -> list[BotScope]:
        await self._marker_collection()
        found: list[BotScope] = []
        offset: Any = None
        while True:
            records, offset = await _asked(self._client.scroll(MARKERS, limit=PAGE, offset=offset))
            found += [BotScope(record.payload["tenant"], record.payload["bot"]) for record in records if record.payload]
            if offset is None:
                return found

    async def ping(self) -> None:
        await _asked(self._client.get_collections(), SEARCH_S)

    async def close(self) -> None:
        await self._client.close()

    # Changes ---------------------------------------------------------------------------------------------------------
    async def _change(self, collection: str, bot: BotScope, op: Op) -> None:
        match op:
            case Upsert(points):
                for at in range(0, len(points), BATCH):
                    rows = [_row(bot, point) for point in points[at : at + BATCH]]
                    await self._client.upsert(collection, rows, wait=True)
            case Close(ids, epoch):
                chosen = _of(bot, models.HasIdCondition(has_id=list(ids)))
                if ids:
                    await self._client.set_payload(collection, {"to": epoch}, points=chosen, wait=True)
            case Delete(ids):
                if ids:
                    await self._delete(collection, _of(bot, models.HasIdCondition(has_id=list(ids))))
            case DeleteDocument(document):
                await self._delete(collection, _of(bot, _is("doc", document)))
            case KeepOnly(document, ids):
                others = _of(bot, _is("doc", document))
                others.must_not = [models.HasIdCondition(has_id=list(ids))] if ids else None
                await self._delete(collection, others)

    async def _delete(self, collection: str, condition: models.Filter) -> None:
        await self._client.delete(collection, models.FilterSelector(filter=condition), wait=True)

    # Collections and markers -----------------------------------------------------------------------------------------
    async def _collection(self, fingerprint: str, dimensions: int) -> str:
        name = PREFIX + fingerprint
        async with self._making:
            if name not in self._made:
                await _asked(self._make(name, dimensions))
                self._made.add(name)
        return name

    async def _make(self, name: str, dimensions: int) -> None:
        if not await self._client.collection_exists(name):
            # Another process may make it in the same moment: then it is there, which is what we want.
            with contextlib.suppress(UnexpectedResponse):
                await self._client.create_collection(
                    name,
                    vectors_config={"dense": models.VectorParams(size=dimensions, distance=models.Distance.COSINE)},
                    sparse_vectors_config={"words": models.SparseVectorParams(modifier=models.Modifier.IDF)},
                    # One graph per bot and none over all: a bot's search never walks through another's points.
                    hnsw_config=models.HnswConfigDiff(m=0, payload_m=16),
                )
        own = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True)
        await self._client.create_payload_index(name, "bot", own)
        for field in ("tenant", "doc", "lang"):
            await self._client.create_payload_index(name, field, models.PayloadSchemaType.KEYWORD)
        for field in ("from", "to"):
            await self._client.create_payload_index(name, field, models.PayloadSchemaType.INTEGER)

    async def _marker_collection(self) -> None:
        async with self._making:
            if MARKERS not in self._made:
                if not await _asked(self._client.collection_exists(MARKERS)):
                    with contextlib.suppress(UnexpectedResponse):
                        await self._client.create_collection(MARKERS, vectors_config={})
                self._made.add(MARKERS)

    async def _marker(self, bot: BotScope) -> dict[str, Any]:
        """The marker of a bot, kept for seconds: a turn should not wait for it. Empty when there is none."""
        read_at, known = self._markers.get(bot.bot, (-MARKER_LIFE_S, {}))
        if time.monotonic() - read_at > MARKER_LIFE_S:
            await self._marker_collection()
            rows = await _asked(self._client.retrieve(MARKERS, [_marker_id(bot)], with_payload=True))
            known = dict(rows[0].payload or {}) if rows else {}
            if known:
                self._markers[bot.bot] = (time.monotonic(), known)
        if known and known["tenant"] != bot.tenant:
            raise StoreAway("this bot belongs to another tenant")
        return known

    async def _mark(self, bot: BotScope, generation: int, fingerprint: str) -> None:
        await self._marker_collection()
        marker = {"tenant": bot.tenant, "bot": bot.bot, "generation": generation, "fingerprint": fingerprint}
        row = models.PointStruct(id=_marker_id(bot), vector={}, payload=marker)
        await _asked(self._client.upsert(MARKERS, [row], wait=True))
        self._markers[bot.bot] = (time.monotonic(), marker)


async def _asked(call: Awaitable[T], within_s: float = TIMEOUT_S) -> T:
    try:
        async with asyncio.timeout(within_s):
            return await call
    except _AWAY as problem:
        raise StoreAway(str(problem)[:300] or type(problem).__name__) from problem


def _dimensions(ops: Sequence[Op]) -> int:
    points = (point for op in ops if isinstance(op, Upsert) for point in op.points)
    return next((len(point.dense) // 4 for point in points if point.dense is not None), DIMENSIONS)


def _marker_id(bot: BotScope) -> str:
    return str(uuid.uuid5(_NAMESPACE, bot.bot))


def _row(bot: BotScope, point: Point) -> models.PointStruct:
    vectors: dict[str, Any] = {"words": _sparse(point.words)}
    if point.dense is not None:
        vectors["dense"] = _floats(point.dense)
    payload: dict[str, Any] = {
        "tenant": bot.tenant,
        "bot": bot.bot,
        "doc": point.document,
        "lang": point.words.language,
    }
    payload |= {"from": point.from_epoch, "to": point.to_epoch}
    return models.PointStruct(id=point.id, vector=vectors, payload=payload)


def _dense_request(bot: BotScope, dense: bytes, generation: int, limit: int) -> models.QueryRequest:
    return models.QueryRequest(
        query=_floats(dense), using="dense", filter=_visible(bot, generation), limit=limit, with_payload=["doc"]
    )


def _words_request(bot: BotScope, words: Sparse, generation: int, limit: int) -> models.QueryRequest:
    return models.QueryRequest(
        query=_sparse(words),
        using="words",
        filter=_visible(bot, generation, _is("lang", words.language)),
        params=models.SearchParams(idf=models.IdfCorpusParams(corpus=_of(bot))),
        limit=limit,
        with_payload=["doc"],
    )


def _sparse(words: Sparse) -> models.SparseVector:
    return models.SparseVector(indices=list(words.indices), values=list(words.values))


def _floats(vector: bytes) -> list[float]:
    return array.array("f", vector).tolist()


def _is(key: str, value: str) -> models.FieldCondition:
    return models.FieldCondition(key=key, match=models.MatchValue(value=value))


def _of(bot: BotScope, *more: models.Condition) -> models.Filter:
    """Every filter begins here: bot and tenant, so that none can be forgotten."""
    return models.Filter(must=[_is("bot", bot.bot), _is("tenant", bot.tenant), *more])


def _visible(bot: BotScope, generation: int, *more: models.Condition) -> models.Filter:
    return _of(
        bot,
        models.FieldCondition(key="from", range=models.Range(lte=generation)),
        models.FieldCondition(key="to", range=models.Range(gt=generation)),
        *more,
    )


def _hit(point: models.ScoredPoint) -> Hit:
    return Hit(str(point.id), (point.payload or {}).get("doc", ""), float(point.score))
