"""From an uploaded file to passages that are found: parse, chunk, embed, stage, flip; and the way back.

Every step can be repeated: reading and cutting are pure, vectors are kept by the hash of their text after every batch,
points have ids made of content and epoch, and one SQL transaction makes the new state visible.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
import uuid
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, TypeVar

from knowledge.chunk import Draft, TooManyChunks
from knowledge.embed import About, EncoderAway
from knowledge.library import Library, Prepared
from knowledge.parse import ParseFailed, ParserDied
from knowledge.records import BotScope
from knowledge.store import (
    Close,
    Delete,
    DeleteDocument,
    KeepOnly,
    Point,
    Stats,
    StoreAway,
    Upsert,
)
from knowledge.store.words import document_words
from server import errors
from server.ids import BotId, DocumentId, TenantId
from server.storage import bots, documents, queues
from server.storage.database import Database
from server.storage.documents import EpochMoved, Flip, NewChunk, Superseded
from server.storage.queues import Work
from server.storage.records import DocumentRecord, DocumentStatus
from server.telemetry import logger

EMBED_BATCH = 32
UPSERT_BATCH = 256
REBUILD_PAGE = 256
# Other documents of the bot may become visible while one is staged; that many in a row is a fault.
MAX_STAGINGS = 50
WAIT_ENCODER_S = 90.0
PROGRESS_EVERY_S = 0.5
PARSED, CUT, EMBEDDED = 0.05, 0.1, 0.95
_NAMESPACE = uuid.UUID("6f1d5c5e-6a57-4b0e-9d0b-0f1f3f6a7c11")
_log = logger("jobs")
Item = TypeVar("Item")


class GivenUp(Exception):
    """This document cannot be indexed; the message is a sentence for its owner."""


class Later(Exception):
    """A part is away: nobody's fault, run again in `after_s` seconds."""

    def __init__(self, reason: str, after_s: float) -> None:
        super().__init__(reason)
        self.after_s = after_s


class FileStore(Protocol):
    """The part of storage/files.py that jobs need."""

    def path(self, tenant: TenantId, sha256: str) -> Path: ...

    async def delete(self, tenant: TenantId, sha256: str) -> None: ...


@dataclass(slots=True, kw_only=True)
class Parts:
    """What jobs work with; `publish` tells whoever watches, and never fails."""

    db: Database
    files: FileStore
    library: Library
    publish: Callable[[str, bytes], Awaitable[None]]
    # One change of a bot's index at a time in this process; two processes are kept apart by the epoch.
    bot_locks: dict[str, asyncio.Lock] = field(default_factory=dict)

    def lock(self, bot: str) -> asyncio.Lock:
        """The lock of one bot's index."""
        return self.bot_locks.setdefault(bot, asyncio.Lock())


@dataclass(slots=True, kw_only=True)
class Run:
    """One run of one piece of work; `progressed` is set when a step was completed for good."""

    parts: Parts
    work: Work
    progressed: bool = False
    _told_at: float = 0.0

    @property
    def tenant(self) -> TenantId:
        return self.work.tenant_id

    @property
    def bot(self) -> BotId:
        return BotId(str(self.work.payload["bot"]))

    @property
    def scope(self) -> BotScope:
        return BotScope(self.tenant, self.bot)

    async def tell(self, document: DocumentRecord, *, removed: bool = False) -> None:
        """Publish a document's state."""
        message = documents.change_event(document, removed=removed)
        await self.parts.publish(documents.channel(self.tenant, document.bot_id), message)

    async def status(self, document: DocumentRecord, status: DocumentStatus, progress: float) -> None:
        """Write and publish how far it is, at most twice a second within one state; raises Superseded."""
        if status == document.status and time.monotonic() - self._told_at < PROGRESS_EVERY_S:
            return
        self._told_at = time.monotonic()
        written = await documents.set_status(
            self.parts.db,
            self.tenant,
            document.id,
            version=document.version,
            status=status,
            progress=round(progress, 3),
        )
        if written is None:
            raise Superseded
        await self.tell(written)


# Ingest ---------------------------------------------------------------------------------------------------------------
async def ingest(run: Run) -> None:
    """Make the newest upload of a document searchable; raises GivenUp, Later, Superseded or ParserDied."""
    parts, work = run.parts, run.work
    document = await documents.get_document(parts.db, run.tenant, DocumentId(work.subject_id))
    if document is None or document.status == "deleting" or document.version != work.payload["version"]:
        raise Superseded
    try:
        if document.live_version != document.version:
            prepared = await _prepare(run, document)
            about = await _encoder(run)
            vectors = await _embed(run, document, about, prepared.drafts)
            async with parts.lock(run.bot):
                await _ensure_index(run, about)
                document = await _stage_and_flip(run, document, about, prepared, vectors)
            await run.tell(document)
        async with parts.lock(run.bot):
            await _tidy(run, document)
    except StoreAway as problem:
        raise Later(str(problem), 2.0) from problem
    except EncoderAway as problem:
        raise Later(str(problem), 3.0) from problem


async def _prepare(run: Run, document: DocumentRecord) -> Prepared:
    path = run.parts.files.path(run.tenant, document.sha256)
    if not await asyncio.to_thread(path.exists):
        raise GivenUp("The stored file is missing. Upload it again.")
    await run.status(document, "parsing", 0.01)
    try:
        parsed = await run.parts.library.read(path, document.media_type)
        await run.status(document, "parsing", PARSED)
        return await run.parts.library.cut(parsed, document.name)
    except (ParseFailed, TooManyChunks) as problem:
        raise GivenUp(str(problem)) from problem


async def _encoder(run: Run) -> About:
    """The encoder, waited for while it loads."""
    deadline = time.monotonic() + WAIT_ENCODER_S
    while True:
        try:
            return await run.parts.library.about()
        except EncoderAway:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(0.25)


async def _embed(run: Run, document: DocumentRecord, about: About, drafts: Sequence[Draft]) -> dict[str, bytes]:
    """Vectors by hash: from earlier runs and versions where the text is the same, else computed and kept at once."""
    texts = {draft.sha256: draft.embedded for draft in drafts if about.knows(draft.language)}
    vectors = await documents.known_vectors(run.parts.db, run.tenant, about.fingerprint, list(texts))
    missing = [sha256 for sha256 in texts if sha256 not in vectors]
    await run.status(document, "embedding", CUT)
    async with aclosing(_encoded(run, missing, texts)) as batches:
        async for fresh in batches:
            await documents.keep_vectors(run.parts.db, run.tenant, about.fingerprint, fresh)
            vectors |= fresh
            run.progressed = True
            share = len(vectors) / max(len(texts), 1)
            await run.status(_embedding(document), "embedding", CUT + (EMBEDDED - CUT) * share)
    return vectors


async def _encoded(
    run: Run, missing: Sequence[str], texts: Mapping[str, str]
) -> AsyncGenerator[dict[str, bytes], None]:
    """Vectors batch by batch; the next batch is computed while its caller stores the last one."""
    encoder = run.parts.library.encoder
    batches = [list(batch) for batch in _batches(missing, EMBED_BATCH)]
    ahead: asyncio.Task[list[bytes]] | None = None
    try:
        for number, batch in enumerate(batches):
            now = ahead or asyncio.create_task(encoder.embed_chunks([texts[sha256] for sha256 in batch]))
            embedded = await now
            following = batches[number + 1 : number + 2]
            ahead = (
                asyncio.create_task(encoder.embed_chunks([texts[sha256] for sha256 in following[0]]))
                if following
                else None
            )
            yield dict(zip(batch, embedded, strict=True))
    finally:
        if ahead is not None:
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)


def _embedding(document: DocumentRecord) -> DocumentRecord:
    """The record as it stands while it is embedded, so that progress is told sparingly."""
    return replace(document, status="embedding")


async def _stage_and_flip(
    run: Run, document: DocumentRecord, about: About, prepared: Prepared, vectors: dict[str, bytes]
) -> DocumentRecord:
    """Put the new points in place, invisible, and switch; staged again when another document was faster."""
    parts = run.parts
    for _ in range(MAX_STAGINGS):
        epoch = await bots.knowledge_epoch(parts.db, run.tenant, run.bot) + 1
        staged = await _staged(run, document, prepared, epoch)
        points = [_point(document.id, draft, vectors, chunk.id, epoch) for draft, chunk in _added(prepared, staged)]
        for some in _batches(points, UPSERT_BATCH):
            await parts.library.store.apply(
                run.scope, [Upsert(tuple(some))], generation=epoch, fingerprint=about.fingerprint
            )
        try:
            return await documents.flip(parts.db, run.tenant, run.bot, staged)
        except (EpochMoved, Superseded) as problem:
            await _unstage(run, document, points, about)
            if isinstance(problem, Superseded):
                raise
    raise RuntimeError("the bot's knowledge never stood still")


async def _unstage(run: Run, document: DocumentRecord, points: Sequence[Point], about: About) -> None:
    """Take back what did not become visible; a second worker on the same document may have made the same points live."""
    live = await documents.chunk_epochs(run.parts.db, run.tenant, document.id)
    undo = Delete(tuple(point.id for point in points if point.id not in live))
    epoch = await bots.knowledge_epoch(run.parts.db, run.tenant, run.bot)
    await run.parts.library.store.apply(run.scope, [undo], generation=epoch, fingerprint=about.fingerprint)


async def _staged(run: Run, document: DocumentRecord, prepared: Prepared, epoch: int) -> Flip:
    """What this version keeps of the last one, adds to it and closes."""
    open_ = await documents.open_chunks(run.parts.db, run.tenant, document.id)
    kept: list[NewChunk] = []
    added: list[NewChunk] = []
    for key, draft in zip(_keys(document.id, prepared.drafts), prepared.drafts, strict=True):
        known = open_.pop(key, None)
        (added if known is None else kept).append(_new_chunk(known or point_id(key, epoch), key, draft))
    return Flip(
        document=document.id,
        version=document.version,
        epoch=epoch,
        title=prepared.title,
        pages=prepared.pages,
        kept=kept,
        added=added,
        closed=list(open_.values()),
    )


def _keys(document: str, drafts: Sequence[Draft]) -> Iterator[str]:
    """Content addresses within a document; equal texts are told apart by their count."""
    seen: Counter[str] = Counter()
    for draft in drafts:
        seen[draft.sha256] += 1
        yield hashlib.sha256(f"{document}:{draft.sha256}:{seen[draft.sha256]}".encode()).hexdigest()


def point_id(key: str, epoch: int) -> str:
    """The id of a chunk that appears at an epoch: text that comes back later is a new point."""
    return str(uuid.uuid5(_NAMESPACE, f"{key}:{epoch}"))


def _new_chunk(chunk_id: str, key: str, draft: Draft) -> NewChunk:
    return NewChunk(
        id=chunk_id,
        key=key,
        ordinal=draft.ordinal,
        text=draft.text,
        heading=draft.heading,
        place=draft.place,
        page=draft.page,
        char_from=draft.char_from,
        char_to=draft.char_to,
        language=draft.language,
        sha256=draft.sha256,
    )


def _added(prepared: Prepared, staged: Flip) -> Iterator[tuple[Draft, NewChunk]]:
    added = {chunk.ordinal: chunk for chunk in staged.added}
    return ((draft, added[draft.ordinal]) for draft in prepared.drafts if draft.ordinal in added)


def _point(document: str, draft: Draft, vectors: dict[str, bytes], chunk_id: str, epoch: int) -> Point:
    words = document_words(draft.embedded, draft.language)
    return Point(id=chunk_id, document=document, dense=vectors.get(draft.sha256), words=words, from_epoch=epoch)


async def _tidy(run: Run, document: DocumentRecord) -> None:
    """After a flip: close what it replaced, delete what no turn can see, and files that nothing needs."""
    parts = run.parts
    epoch = await bots.knowledge_epoch(parts.db, run.tenant, run.bot)
    dead = await documents.collect(parts.db, run.tenant, run.bot, epoch)
    left = await documents.chunk_epochs(parts.db, run.tenant, document.id)
    closed: dict[int, list[str]] = {}
    for chunk_id, to_epoch in left.items():
        if to_epoch <= epoch:
            closed.setdefault(to_epoch, []).append(chunk_id)
    ops = [Close(tuple(ids), at) for at, ids in closed.items()]
    about = await parts.library.about()
    await parts.library.store.apply(
        run.scope,
        [*ops, KeepOnly(document.id, tuple(left)), Delete(tuple(dead))],
        generation=epoch,
        fingerprint=about.fingerprint,
    )
    for sha256 in run.work.payload.get("replaced", ()):
        await _forget_file(run, sha256)


async def _forget_file(run: Run, sha256: str) -> None:
    if not await documents.is_file_used(run.parts.db, run.tenant, sha256):
        await run.parts.files.delete(run.tenant, sha256)


# Remove ---------------------------------------------------------------------------------------------------------------
async def remove(run: Run) -> None:
    """Delete a document from index, database and disk; it left all searches when its removal was asked for."""
    parts, document = run.parts, DocumentId(run.work.subject_id)
    found = await documents.get_document(parts.db, run.tenant, document)
    if found is not None and found.status != "deleting":
        raise Superseded
    try:
        async with parts.lock(run.bot):
            await _delete_points(run, document)
    except StoreAway as problem:
        raise Later(str(problem), 2.0) from problem
    try:
        gone = await documents.erase(parts.db, run.tenant, document)
    except errors.NotFound:
        return
    if gone is None:
        raise Superseded
    await _forget_file(run, gone.sha256)
    await run.tell(gone, removed=True)


async def _delete_points(run: Run, document: DocumentId) -> None:
    stats = await run.parts.library.store.stats(run.scope)
    if stats.generation < 0:
        return
    epoch = await bots.knowledge_epoch(run.parts.db, run.tenant, run.bot)
    await run.parts.library.store.apply(
        run.scope, [DeleteDocument(document)], generation=epoch, fingerprint=stats.fingerprint
    )


# Rebuild --------------------------------------------------------------------------------------------------------------
async def rebuild(run: Run) -> None:
    """Make a bot's index anew from the database: after a lost folder, a restored backup or another encoder."""
    if await queues.has_work_for(run.parts.db, run.tenant, run.bot, besides=run.work.id):
        raise Later("other work of this bot comes first", 5.0)
    try:
        about = await _encoder(run)
        async with run.parts.lock(run.bot):
            stats = await run.parts.library.store.stats(run.scope)
            if is_behind(stats, about, await documents.count_chunks(run.parts.db, run.tenant, run.bot)):
                await _rebuild(run, about)
    except StoreAway as problem:
        raise Later(str(problem), 2.0) from problem
    except EncoderAway as problem:
        raise Later(str(problem), 3.0) from problem


async def _ensure_index(run: Run, about: About) -> None:
    """Never stage onto an index that lacks the bot's other documents, or holds another encoder's vectors."""
    stats = await run.parts.library.store.stats(run.scope)
    if stats.generation >= 0 and stats.fingerprint == about.fingerprint:
        return
    if await documents.count_chunks(run.parts.db, run.tenant, run.bot) or stats.points:
        await _rebuild(run, about)


async def _rebuild(run: Run, about: About) -> None:
    parts, after = run.parts, None
    _log.info("index is rebuilt", extra={"bot": run.bot, "tenant": run.tenant})
    await parts.library.store.drop(run.scope)
    while rows := await documents.indexed_chunks(parts.db, run.tenant, run.bot, after=after, limit=REBUILD_PAGE):
        vectors = await _vectors_of(run, about, rows)
        points = [_indexed_point(row, vectors) for row in rows]
        # A generation below zero says "not complete": searches use words from SQL until it is.
        await parts.library.store.apply(
            run.scope, [Upsert(tuple(points))], generation=-1, fingerprint=about.fingerprint
        )
        after = rows[-1].id
        run.progressed = True
    epoch = await bots.knowledge_epoch(parts.db, run.tenant, run.bot)
    await parts.library.store.apply(run.scope, [], generation=epoch, fingerprint=about.fingerprint)


async def _vectors_of(run: Run, about: About, rows: Sequence[documents.IndexedChunk]) -> dict[str, bytes]:
    texts = {row.sha256: f"{row.heading}\n{row.text}" if row.heading else row.text for row in rows}
    known = {row.sha256 for row in rows if about.knows(row.language)}
    vectors = await documents.known_vectors(run.parts.db, run.tenant, about.fingerprint, sorted(known))
    for batch in _batches([sha256 for sha256 in texts if sha256 in known and sha256 not in vectors], EMBED_BATCH):
        fresh = await run.parts.library.encoder.embed_chunks([texts[sha256] for sha256 in batch])
        await documents.keep_vectors(run.parts.db, run.tenant, about.fingerprint, dict(zip(batch, fresh, strict=True)))
        vectors |= dict(zip(batch, fresh, strict=True))
    return vectors


def _indexed_point(row: documents.IndexedChunk, vectors: dict[str, bytes]) -> Point:
    words = document_words(f"{row.heading}\n{row.text}" if row.heading else row.text, row.language)
    return Point(
        id=row.id,
        document=row.document_id,
        dense=vectors.get(row.sha256),
        words=words,
        from_epoch=row.from_epoch,
        to_epoch=row.to_epoch,
    )


def is_behind(stats: Stats, about: About, chunks: int) -> bool:
    """Whether a bot's index is not what the database says it should be."""
    if stats.generation < 0:
        return chunks > 0
    return stats.points != chunks or (chunks > 0 and stats.fingerprint != about.fingerprint)


def _batches(values: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    return (values[at : at + size] for at in range(0, len(values), size))


# What each kind of work does; a new kind is a row.
KINDS: dict[str, Callable[[Run], Awaitable[None]]] = {"ingest": ingest, "remove": remove, "rebuild": rebuild}

__all__ = [
    "KINDS",
    "GivenUp",
    "Later",
    "ParserDied",
    "Parts",
    "Run",
    "Superseded",
    "ingest",
    "is_behind",
    "rebuild",
    "remove",
]
