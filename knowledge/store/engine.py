"""The embedded engine: one shard per bot on disk, owned by one process, because its calls hold the interpreter lock.

Isolation by construction: a bot's shard holds nobody else's points, has its own word statistics, and dropping it
removes a folder. The write-ahead log is on, so an acknowledged change survives kill -9 without a flush.
"""

from __future__ import annotations

import array
import json
import re
import shutil
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import qdrant_edge as edge

OPEN_SHARDS = 128
BATCH = 256
PAGE = 1000
# Of a new shard whose first change holds no dense vector.
DIMENSIONS = 384
_SAFE = re.compile(r"^[A-Za-z0-9_-]{1,64}$")


class Shard:
    """One bot's open shard and its marker file."""

    def __init__(self, folder: Path, dimensions: int) -> None:
        self.folder = folder
        self._marker = folder / "marker.json"
        points = folder / "points"
        if points.exists():
            self.engine = edge.EdgeShard.load(str(points))
        else:
            points.mkdir(parents=True, mode=0o700)
            self.engine = edge.EdgeShard.create(str(points), _config(dimensions))

        self._values = read_marker(folder)

    def marker(self) -> dict[str, Any]:
        """What the shard says of itself: tenant, generation, fingerprint."""
        return self._values

    def mark(self, **values: Any) -> None:
        """Write the marker anew, all or nothing."""
        self._values = values
        fresh = self._marker.with_suffix(".new")
        fresh.write_text(json.dumps(values))
        fresh.replace(self._marker)

    def close(self) -> None:
        """Flush and give the files up."""
        with suppress(Exception):  # the folder may be gone: then there is nothing to flush
            self.engine.flush()
        self.engine.close()


def read_marker(folder: Path) -> dict[str, Any]:
    """The marker of a bot's folder; empty when there is none or it cannot be read."""
    try:
        found = json.loads((folder / "marker.json").read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _config(dimensions: int) -> edge.EdgeConfig:
    return edge.EdgeConfig(
        vectors={"dense": edge.EdgeVectorParams(size=dimensions, distance=edge.Distance.Cosine)},
        sparse_vectors={"words": edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)},
        max_search_threads=1,
        wal_enabled=True,
    )


class Engine:
    """All shards under one folder; the least recently used are closed. Not thread-safe: one caller at a time."""

    def __init__(self, folder: Path, open_shards: int = OPEN_SHARDS) -> None:
        self._folder = folder
        self._limit = open_shards
        self._open: OrderedDict[str, Shard] = OrderedDict()

    def apply(self, tenant: str, bot: str, ops: Sequence[Sequence[Any]], generation: int, fingerprint: str) -> None:
        """Apply [name, argument...] changes in order, then move the marker."""
        if self._exists(bot) and self._shard(tenant, bot).marker().get("fingerprint", fingerprint) != fingerprint:
            self.drop(tenant, bot)
        shard = self._shard(tenant, bot, _dimensions(ops))
        for name, *arguments in ops:
            for operation in OPERATIONS[name](*arguments):
                shard.engine.update(operation)
        shard.mark(tenant=tenant, generation=generation, fingerprint=fingerprint)

    def search(
        self, tenant: str, bot: str, *, generation: int, dense: bytes | None, words: Sequence[Sequence[Any]], limit: int
    ) -> list[list[list[Any]]]:
        """The hits [id, document, score] of the dense leg, then of all word legs together."""
        if not self._exists(bot):
            return [[], []]
        shard = self._shard(tenant, bot)
        if shard.marker().get("generation", -1) < 0:
            return [[], []]  # it is being built: what it holds is not all there is
        requests = [_dense_request(dense, generation, limit)] if dense is not None else []
        requests += [
            _words_request(indices, values, language, generation, limit) for indices, values, language in words
        ]
        answers = shard.engine.query_batch(edge.QueryBatchRequest(requests)) if requests else []
        legs = [[_hit(point) for point in answer] for answer in answers]
        dense_leg = legs.pop(0) if dense is not None else []
        return [dense_leg, sorted((hit for leg in legs for hit in leg), key=lambda hit: -hit[2])[:limit]]

    def scroll(self, tenant: str, bot: str, generation: int | None, after: str | None) -> list[Any]:
        """A page of ids and the offset of the next, None at the end."""
        if not self._exists(bot):
            return [[], None]
        condition = None if generation is None else _visible(generation)
        request = edge.ScrollRequest(limit=PAGE, offset=after, filter=condition, with_payload=False, with_vector=False)
        records, following = self._shard(tenant, bot).engine.scroll(request)
        return [[str(record.id) for record in records], None if following is None else str(following)]

    def drop(self, tenant: str, bot: str) -> None:
        """Close a shard and remove its folder."""
        folder = self._path(bot)
        if folder.exists() and read_marker(folder).get("tenant", tenant) != tenant:
            raise PermissionError("this bot belongs to another tenant")
        shard = self._open.pop(bot, None)
        if shard is not None:
            shard.close()
        shutil.rmtree(folder, ignore_errors=True)

    def stats(self, tenant: str, bot: str) -> dict[str, Any]:
        """Points and marker; generation -1 when there is no shard."""
        if not self._exists(bot):
            return {"points": 0, "generation": -1, "fingerprint": ""}
        shard = self._shard(tenant, bot)
        marker = shard.marker()
        count = int(shard.engine.count(edge.CountRequest(exact=True)))
        return {
            "points": count,
            "generation": marker.get("generation", -1),
            "fingerprint": marker.get("fingerprint", ""),
        }

    def bots(self) -> list[list[str]]:
        """[tenant, bot] of every folder."""
        folders = [folder for folder in self._folder.glob("*") if folder.is_dir() and _SAFE.match(folder.name)]
        return [[str(read_marker(folder).get("tenant", "")), folder.name] for folder in folders]

    def ping(self) -> bool:
        """Whether the engine answers."""
        return True

    def close(self) -> None:
        """Close every shard."""
        while self._open:
            self._open.popitem()[1].close()

    def _path(self, bot: str) -> Path:
        if not _SAFE.match(bot):
            raise ValueError("this is not a bot's id")
        return self._folder / bot

    def _exists(self, bot: str) -> bool:
        return bot in self._open or (self._path(bot) / "points").exists()

    def _shard(self, tenant: str, bot: str, dimensions: int = DIMENSIONS) -> Shard:
        shard = self._open.pop(bot, None)
        if shard is None:
            shard = self._load(self._path(bot), dimensions)
        self._open[bot] = shard
        owner = shard.marker().get("tenant", tenant)
        if owner != tenant:
            raise PermissionError("this bot belongs to another tenant")
        return shard

    def _load(self, folder: Path, dimensions: int) -> Shard:
        while len(self._open) >= self._limit:
            self._open.popitem(last=False)[1].close()
        try:
            return Shard(folder, dimensions)
        except Exception:
            # The index is a cache of the database: a folder that cannot be read is set aside and built anew.
            broken = folder.with_suffix(".broken")
            shutil.rmtree(broken, ignore_errors=True)
            if folder.exists():
                folder.replace(broken)
            return Shard(folder, dimensions)


def _dimensions(ops: Sequence[Sequence[Any]]) -> int:
    dense = (row[2] for name, *arguments in ops if name == "upsert" for row in arguments[0] if row[2] is not None)
    return len(next(dense, bytes(4 * DIMENSIONS))) // 4


def _upsert(rows: Sequence[Sequence[Any]]) -> list[edge.UpdateOperation]:
    points = [_point(row) for row in rows]
    return [edge.UpdateOperation.upsert_points(points[at : at + BATCH]) for at in range(0, len(points), BATCH)]


def _point(row: Sequence[Any]) -> edge.Point:
    point_id, document, dense, (indices, values, language), from_epoch, to_epoch = row
    vectors: dict[str, Any] = {"words": edge.SparseVector(list(indices), list(values))}
    if dense is not None:
        vectors["dense"] = floats(dense)
    return edge.Point(point_id, vectors, {"doc": document, "lang": language, "from": from_epoch, "to": to_epoch})


def _close(ids: Sequence[str], epoch: int) -> list[edge.UpdateOperation]:
    if not ids:
        return []
    # By filter: closing a point that is not there is then no error, so the change can be repeated.
    chosen = edge.Filter(must=[edge.HasIdCondition(set(ids))])
    return [edge.UpdateOperation.set_payload_by_filter(chosen, {"to": epoch})]


def _delete(ids: Sequence[str]) -> list[edge.UpdateOperation]:
    return [edge.UpdateOperation.delete_points(list(ids))] if ids else []


def _delete_document(document: str) -> list[edge.UpdateOperation]:
    return [edge.UpdateOperation.delete_points_by_filter(edge.Filter(must=[_is("doc", document)]))]


def _keep_only(document: str, ids: Sequence[str]) -> list[edge.UpdateOperation]:
    if not ids:
        return _delete_document(document)
    others = edge.Filter(must=[_is("doc", document)], must_not=[edge.HasIdCondition(set(ids))])
    return [edge.UpdateOperation.delete_points_by_filter(others)]


OPERATIONS: dict[str, Any] = {
    "upsert": _upsert,
    "close": _close,
    "delete": _delete,
    "delete_document": _delete_document,
    "keep_only": _keep_only,
}


def floats(vector: bytes) -> list[float]:
    """Little-endian float32 bytes as numbers."""
    return array.array("f", vector).tolist()


def _dense_request(dense: bytes, generation: int, limit: int) -> edge.QueryRequest:
    query = edge.Query.Nearest(floats(dense), using="dense")
    return edge.QueryRequest(query=query, limit=limit, filter=_visible(generation), with_payload=True)


def _words_request(
    indices: Sequence[int], values: Sequence[float], language: str, generation: int, limit: int
) -> edge.QueryRequest:
    query = edge.Query.Nearest(edge.SparseVector(list(indices), list(values)), using="words")
    condition = _visible(generation, _is("lang", language))
    return edge.QueryRequest(query=query, limit=limit, filter=condition, with_payload=True)


def _visible(generation: int, *more: edge.FieldCondition) -> edge.Filter:
    return edge.Filter(
        must=[
            edge.FieldCondition(key="from", range=edge.RangeFloat(lte=float(generation))),
            edge.FieldCondition(key="to", range=edge.RangeFloat(gt=float(generation))),
            *more,
        ]
    )


def _is(key: str, value: str) -> edge.FieldCondition:
    return edge.FieldCondition(key=key, match=edge.MatchValue(value))


def _hit(point: edge.ScoredPoint) -> list[Any]:
    return [str(point.id), (point.payload or {}).get("doc", ""), float(point.score)]
