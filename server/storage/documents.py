"""Documents, their chunks and vectors: the truth of which the vector index is a rebuildable copy.

A chunk is visible at knowledge epoch G when `from_epoch <= G < to_epoch`; `flip` makes a new state of a document
visible in one transaction, together with the bot's epoch. The work itself is in the outbox (see queues.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from sqlalchemy import ColumnElement, and_, delete, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import CursorResult
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge.records import FOREVER, BotScope, StoredChunk
from server import errors
from server.ids import BotId, DocumentId, TenantId, new_id
from server.storage.cursors import fetch_page
from server.storage.database import Database, now
from server.storage.records import DocumentRecord, DocumentStatus, Page
from server.storage.tables import BotRow, ChunkRow, DocumentRow, EmbeddingRow, OutboxRow
from server.storage.valkey import key

# Generations kept after they were replaced: turns that began before a flip still read theirs.
KEPT_EPOCHS = 3
BATCH = 500
_LIKE_ESCAPE = "\\"


class Stored(Protocol):
    """A file as storage/files.py put it away."""

    @property
    def sha256(self) -> str: ...
    @property
    def size_bytes(self) -> int: ...


class EpochMoved(Exception):
    """Another document of the bot became visible meanwhile: stage again on top of it."""


class Superseded(Exception):
    """A newer upload or a removal has overtaken this work, or another worker has its lease."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewChunk:
    """A chunk as the flip writes it; all but `text` may also change on one that is kept."""

    id: str
    key: str
    ordinal: int
    text: str
    heading: str
    place: str
    page: int | None
    char_from: int
    char_to: int
    language: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """A staged state of one document: `kept` chunks move, `added` appear, `closed` vanish, all at `epoch`."""

    document: DocumentId
    version: int
    epoch: int
    title: str
    pages: int | None
    kept: Sequence[NewChunk]
    added: Sequence[NewChunk]
    closed: Sequence[str]
    note: str | None = None


def channel(tenant: TenantId, bot: BotId) -> str:
    """Where changes of a bot's documents are published."""
    return key(tenant, "documents", bot)


def as_json(document: DocumentRecord) -> dict[str, Any]:
    """A document as it is published and shown over REST."""
    return {
        "id": document.id,
        "bot_id": document.bot_id,
        "name": document.name,
        "title": document.title,
        "media_type": document.media_type,
        "size_bytes": document.size_bytes,
        "version": document.version,
        "live_version": document.live_version,
        "status": document.status,
        "progress": document.progress,
        "error": document.error,
        "pages": document.pages,
        "chunk_count": document.chunk_count,
        "created_at": document.created_at.isoformat(),
        "updated_at": document.updated_at.isoformat(),
    }


def change_event(document: DocumentRecord, *, removed: bool = False) -> bytes:
    """What is published on `channel`: {"event": "document" or "removed", "data": ...}."""
    body = {"event": "removed" if removed else "document", "data": as_json(document)}
    return json.dumps(body, separators=(",", ":")).encode()


# Documents ---------------------------------------------------------------------------------------------------------
async def create_document(
    db: Database, tenant: TenantId, bot: BotId, *, name: str, media_type: str, stored: Stored
) -> DocumentRecord:
    """Add a document, or a new version of the one of that name, with the work to index it; raises NotFound for the bot.

    The old version stays in searches until the new one is ready.
    """
    async with db.transaction() as session:
        await _lock_bot(session, tenant, bot)
        row = await _find_by_name(session, tenant, bot, name)
        replaced = [row.sha256] if row is not None and row.sha256 != stored.sha256 else []
        if row is None:
            row = DocumentRow(id=new_id("document"), tenant_id=tenant, bot_id=bot, name=name, version=0)
            row.media_type, row.size_bytes, row.sha256 = media_type, stored.size_bytes, stored.sha256
            session.add(row)
        row.media_type, row.size_bytes, row.sha256 = media_type, stored.size_bytes, stored.sha256
        row.version += 1
        await session.flush()
        _queue_again(row)
        session.add(_work(tenant, row, "ingest", {"version": row.version, "replaced": replaced}))
        await session.flush()
        return record_of(row)


async def requeue_document(db: Database, tenant: TenantId, document: DocumentId) -> DocumentRecord:
    """Index the stored file once more; raises NotFound."""
    async with db.transaction() as session:
        row = await _locked(session, tenant, document)
        row.version += 1
        _queue_again(row)
        session.add(_work(tenant, row, "ingest", {"version": row.version, "replaced": []}))
        await session.flush()
        return record_of(row)


async def begin_removal(db: Database, tenant: TenantId, document: DocumentId) -> DocumentRecord:
    """Take a document out of every search at once, with the work to delete it everywhere; raises NotFound."""
    async with db.transaction() as session:
        row = await _locked(session, tenant, document)
        epoch = await _next_epoch(session, tenant, BotId(row.bot_id))
        open_ = and_(ChunkRow.tenant_id == tenant, ChunkRow.document_id == document, ChunkRow.to_epoch > epoch)
        await session.execute(update(ChunkRow).where(open_).values(to_epoch=epoch))
        if row.status != "deleting":
            session.add(_work(tenant, row, "remove", {}))
        row.status, row.updated_at = "deleting", now()
        row.version += 1  # work on an upload that is still running finds itself overtaken
        await session.flush()
        return record_of(row)


async def get_document(db: Database, tenant: TenantId, document: DocumentId) -> DocumentRecord | None:
    """One document, None when there is none."""
    async with db.session() as session:
        row = await session.scalar(
            select(DocumentRow).where(DocumentRow.tenant_id == tenant, DocumentRow.id == document)
        )
        return None if row is None else record_of(row)


async def list_documents(
    db: Database, tenant: TenantId, bot: BotId, *, limit: int, cursor: str | None
) -> Page[DocumentRecord]:
    """A bot's documents, newest first; raises BadCursor."""
    query = select(DocumentRow).where(DocumentRow.tenant_id == tenant, DocumentRow.bot_id == bot)
    async with db.session() as session:
        return await fetch_page(
            session, query, DocumentRow.created_at, DocumentRow.id, limit=limit, cursor=cursor, read=record_of
        )


async def all_documents(db: Database, tenant: TenantId, bot: BotId) -> tuple[DocumentRecord, ...]:
    """Every document of a bot."""
    async with db.session() as session:
        rows = await session.scalars(
            select(DocumentRow).where(DocumentRow.tenant_id == tenant, DocumentRow.bot_id == bot)
        )
        return tuple(map(record_of, rows))


async def set_status(
    db: Database,
    tenant: TenantId,
    document: DocumentId,
    *,
    version: int,
    status: DocumentStatus,
    progress: float,
    error: str | None = None,
) -> DocumentRecord | None:
    """Tell how far the work on a version is; None when that version is no longer the newest."""
    async with db.transaction() as session:
        await session.execute(
            update(DocumentRow)
            .where(DocumentRow.tenant_id == tenant, DocumentRow.id == document)
            .where(DocumentRow.version == version, DocumentRow.status != "deleting")
            .values(status=status, progress=progress, error=error, updated_at=now())
        )
        row = await _find(session, tenant, document)
        return record_of(row) if row is not None and row.version == version and row.status == status else None


# Indexing ----------------------------------------------------------------------------------------------------------
async def open_chunks(db: Database, tenant: TenantId, document: DocumentId) -> dict[str, str]:
    """The ids of a document's chunks that are visible now, by key."""
    async with db.session() as session:
        rows = await session.execute(
            select(ChunkRow.key, ChunkRow.id).where(
                ChunkRow.tenant_id == tenant, ChunkRow.document_id == document, ChunkRow.to_epoch == FOREVER
            )
        )
        return {row.key: row.id for row in rows}


async def chunk_epochs(db: Database, tenant: TenantId, document: DocumentId) -> dict[str, int]:
    """The ids of all of a document's chunks with the epoch from which each is invisible."""
    async with db.session() as session:
        rows = await session.execute(
            select(ChunkRow.id, ChunkRow.to_epoch).where(ChunkRow.tenant_id == tenant, ChunkRow.document_id == document)
        )
        return {row.id: row.to_epoch for row in rows}


async def count_chunks(db: Database, tenant: TenantId, bot: BotId) -> int:
    """How many chunks of a bot there are, whatever their epoch: as many as its index should have points."""
    async with db.session() as session:
        query = select(func.count()).select_from(ChunkRow)
        return await session.scalar(query.where(ChunkRow.tenant_id == tenant, ChunkRow.bot_id == bot)) or 0


async def known_vectors(db: Database, tenant: TenantId, fingerprint: str, hashes: Sequence[str]) -> dict[str, bytes]:
    """Vectors that were computed before, by the hash of their text; only of this tenant."""
    found: dict[str, bytes] = {}
    async with db.session() as session:
        for at in range(0, len(hashes), BATCH):
            rows = await session.execute(
                select(EmbeddingRow.sha256, EmbeddingRow.vector).where(
                    EmbeddingRow.tenant_id == tenant,
                    EmbeddingRow.fingerprint == fingerprint,
                    EmbeddingRow.sha256.in_(hashes[at : at + BATCH]),
                )
            )
            found.update((row.sha256, row.vector) for row in rows)
    return found


async def keep_vectors(db: Database, tenant: TenantId, fingerprint: str, vectors: Mapping[str, bytes]) -> None:
    """Store vectors, so that a crash or a later version need not compute them again."""
    rows = [
        {"tenant_id": tenant, "sha256": sha256, "fingerprint": fingerprint, "vector": vector}
        for sha256, vector in vectors.items()
    ]
    dialect = sqlite if db.is_sqlite else postgresql
    async with db.transaction() as session:
        # Two workers may compute the same text at once; the vectors are the same too.
        await session.execute(dialect.insert(EmbeddingRow).on_conflict_do_nothing(), rows)


async def flip(db: Database, tenant: TenantId, bot: BotId, staged: Flip) -> DocumentRecord:
    """Make a staged state visible: one transaction; raises EpochMoved or Superseded and then changes nothing."""
    async with db.transaction() as session:
        moved = await session.execute(
            update(BotRow)
            .where(BotRow.tenant_id == tenant, BotRow.id == bot, BotRow.knowledge_epoch == staged.epoch - 1)
            .values(knowledge_epoch=staged.epoch)
        )
        if _count(moved) != 1:
            raise EpochMoved
        row = await _find(session, tenant, staged.document)
        if row is None or row.version != staged.version or row.status == "deleting":
            raise Superseded
        await _write_chunks(session, tenant, bot, staged)
        row.title, row.pages, row.chunk_count = staged.title[:500], staged.pages, len(staged.kept) + len(staged.added)
        row.live_version, row.status, row.progress, row.error = staged.version, "ready", 1.0, staged.note
        row.updated_at = now()
        await session.flush()
        return record_of(row)


async def _write_chunks(session: AsyncSession, tenant: TenantId, bot: BotId, staged: Flip) -> None:
    mine = and_(ChunkRow.tenant_id == tenant, ChunkRow.document_id == staged.document)
    for at in range(0, len(staged.closed), BATCH):
        some = staged.closed[at : at + BATCH]
        await session.execute(update(ChunkRow).where(mine, ChunkRow.id.in_(some)).values(to_epoch=staged.epoch))
    for chunk in staged.kept:
        await session.execute(update(ChunkRow).where(mine, ChunkRow.id == chunk.id).values(**_moving(chunk)))
    rows = [
        {**_moving(chunk), "id": chunk.id, "key": chunk.key, "text": chunk.text, "heading": chunk.heading}
        | {"tenant_id": tenant, "bot_id": bot, "document_id": staged.document, "language": chunk.language}
        | {"sha256": chunk.sha256, "from_epoch": staged.epoch, "to_epoch": FOREVER}
        for chunk in staged.added
    ]
    for at in range(0, len(rows), BATCH):
        await session.execute(insert(ChunkRow), rows[at : at + BATCH])


def _moving(chunk: NewChunk) -> dict[str, Any]:
    """What may differ between two versions of a document for one and the same chunk."""
    return {
        "ordinal": chunk.ordinal,
        "place": chunk.place[:500],
        "page": chunk.page,
        "char_from": chunk.char_from,
        "char_to": chunk.char_to,
    }


async def collect(db: Database, tenant: TenantId, bot: BotId, epoch: int) -> list[str]:
    """Delete a bot's chunks that no running turn can still see; returns their ids for the index."""
    async with db.transaction() as session:
        dead = and_(ChunkRow.tenant_id == tenant, ChunkRow.bot_id == bot, ChunkRow.to_epoch <= epoch - KEPT_EPOCHS)
        gone = await session.execute(delete(ChunkRow).where(dead).returning(ChunkRow.id, ChunkRow.sha256))
        rows = gone.all()
        await _forget_vectors(session, tenant, [row.sha256 for row in rows])
        return [row.id for row in rows]


async def erase(db: Database, tenant: TenantId, document: DocumentId) -> DocumentRecord | None:
    """Delete a document's rows, chunks and vectors; returns what it was.

    None when it is no longer being removed, since somebody uploaded it again; raises NotFound when it is gone already.
    """
    async with db.transaction() as session:
        row = await _locked(session, tenant, document)
        if row.status != "deleting":
            return None
        mine = and_(ChunkRow.tenant_id == tenant, ChunkRow.document_id == document)
        gone = await session.execute(delete(ChunkRow).where(mine).returning(ChunkRow.sha256))
        await _forget_vectors(session, tenant, [row.sha256 for row in gone.all()])
        record = record_of(row)
        await session.delete(row)
        return record


async def is_file_used(db: Database, tenant: TenantId, sha256: str) -> bool:
    """Whether a document still needs the file of this content."""
    async with db.session() as session:
        query = select(DocumentRow.id).where(DocumentRow.tenant_id == tenant, DocumentRow.sha256 == sha256).limit(1)
        return await session.scalar(query) is not None


@dataclass(frozen=True, slots=True)
class IndexedChunk:
    """What the index is rebuilt from."""

    id: str
    document_id: str
    heading: str
    text: str
    language: str
    sha256: str
    from_epoch: int
    to_epoch: int


async def indexed_chunks(
    db: Database, tenant: TenantId, bot: BotId, *, after: str | None, limit: int
) -> list[IndexedChunk]:
    """A page of a bot's chunks by id, whatever their epoch."""
    query = select(ChunkRow).where(ChunkRow.tenant_id == tenant, ChunkRow.bot_id == bot)
    if after is not None:
        query = query.where(ChunkRow.id > after)
    async with db.session() as session:
        rows = (await session.scalars(query.order_by(ChunkRow.id).limit(limit))).all()
    return [
        IndexedChunk(
            row.id, row.document_id, row.heading, row.text, row.language, row.sha256, row.from_epoch, row.to_epoch
        )
        for row in rows
    ]


# What the library reads --------------------------------------------------------------------------------------------
class Records:
    """Fulfils `knowledge.records.Records` from SQL: every answer is limited to the scope's tenant and bot."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def chunks(self, scope: BotScope, ids: Sequence[str], *, epoch: int) -> list[StoredChunk]:
        """Visible chunks of these ids."""
        if not ids:
            return []
        return await self._read(scope, epoch, ChunkRow.id.in_(ids), len(ids))

    async def languages(self, scope: BotScope, *, epoch: int) -> frozenset[str]:
        """Languages of the visible chunks."""
        async with self._db.session() as session:
            rows = await session.scalars(select(ChunkRow.language).where(_visible(scope, epoch)).distinct())
            return frozenset(rows)

    async def containing(self, scope: BotScope, words: Sequence[str], *, epoch: int, limit: int) -> list[StoredChunk]:
        """Visible chunks that hold one of the words."""
        if not words:
            return []
        hits = [func.lower(ChunkRow.text).like(f"%{_escaped(word)}%", escape=_LIKE_ESCAPE) for word in words]
        return await self._read(scope, epoch, or_(*hits), limit)

    async def _read(self, scope: BotScope, epoch: int, condition: ColumnElement[bool], limit: int) -> list[StoredChunk]:
        query = (
            select(ChunkRow, DocumentRow.title, DocumentRow.name)
            .join(DocumentRow, and_(DocumentRow.id == ChunkRow.document_id, DocumentRow.tenant_id == scope.tenant))
            .where(_visible(scope, epoch), condition)
            .limit(limit)
        )
        async with self._db.session() as session:
            return [_stored(row, title or name) for row, title, name in await session.execute(query)]


def _visible(scope: BotScope, epoch: int) -> ColumnElement[bool]:
    return and_(
        ChunkRow.tenant_id == scope.tenant,
        ChunkRow.bot_id == scope.bot,
        ChunkRow.from_epoch <= epoch,
        ChunkRow.to_epoch > epoch,
    )


def _stored(row: ChunkRow, title: str) -> StoredChunk:
    return StoredChunk(
        id=row.id,
        document_id=row.document_id,
        title=title,
        ordinal=row.ordinal,
        text=row.text,
        heading=row.heading,
        place=row.place,
        page=row.page,
        char_from=row.char_from,
        char_to=row.char_to,
        language=row.language,
    )


def _escaped(word: str) -> str:
    for special in (_LIKE_ESCAPE, "%", "_"):
        word = word.replace(special, _LIKE_ESCAPE + special)
    return word.lower()


# Parts -------------------------------------------------------------------------------------------------------------
def record_of(row: DocumentRow) -> DocumentRecord:
    """The value of a row."""
    return DocumentRecord(
        id=DocumentId(row.id),
        tenant_id=TenantId(row.tenant_id),
        bot_id=BotId(row.bot_id),
        name=row.name,
        title=row.title,
        media_type=row.media_type,
        size_bytes=row.size_bytes,
        sha256=row.sha256,
        version=row.version,
        live_version=row.live_version or 0,
        status=cast(DocumentStatus, row.status),
        progress=row.progress or 0.0,
        error=row.error,
        pages=row.pages,
        chunk_count=row.chunk_count or 0,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _queue_again(row: DocumentRow) -> None:
    row.status, row.progress, row.error, row.updated_at = "queued", 0.0, None, now()


def _work(tenant: TenantId, row: DocumentRow, kind: str, payload: dict[str, Any]) -> OutboxRow:
    payload = {"bot": row.bot_id, **payload}
    return OutboxRow(id=new_id("job"), tenant_id=tenant, kind=kind, subject_id=row.id, payload=payload)


async def _lock_bot(session: AsyncSession, tenant: TenantId, bot: BotId) -> None:
    """Take the bot's row by a write: SQLite must write first, PostgreSQL then serialises uploads of one bot."""
    touched = await session.execute(
        update(BotRow)
        .where(BotRow.tenant_id == tenant, BotRow.id == bot)
        .values(knowledge_epoch=BotRow.knowledge_epoch)
    )
    if _count(touched) != 1:
        raise errors.NotFound("There is no such bot.")


async def _next_epoch(session: AsyncSession, tenant: TenantId, bot: BotId) -> int:
    await session.execute(
        update(BotRow)
        .where(BotRow.tenant_id == tenant, BotRow.id == bot)
        .values(knowledge_epoch=BotRow.knowledge_epoch + 1)
    )
    query = select(BotRow.knowledge_epoch).where(BotRow.tenant_id == tenant, BotRow.id == bot)
    return await session.scalar(query) or 0


async def _locked(session: AsyncSession, tenant: TenantId, document: DocumentId) -> DocumentRow:
    touched = await session.execute(
        update(DocumentRow)
        .where(DocumentRow.tenant_id == tenant, DocumentRow.id == document)
        .values(version=DocumentRow.version)
    )
    row = await _find(session, tenant, document)
    if _count(touched) != 1 or row is None:
        raise errors.NotFound("There is no such document.")
    return row


async def _find(session: AsyncSession, tenant: TenantId, document: DocumentId) -> DocumentRow | None:
    query = select(DocumentRow).where(DocumentRow.tenant_id == tenant, DocumentRow.id == document)
    return await session.scalar(query)


async def _find_by_name(session: AsyncSession, tenant: TenantId, bot: BotId, name: str) -> DocumentRow | None:
    query = select(DocumentRow).where(DocumentRow.tenant_id == tenant, DocumentRow.bot_id == bot)
    return await session.scalar(query.where(DocumentRow.name == name))


async def _forget_vectors(session: AsyncSession, tenant: TenantId, hashes: Sequence[str]) -> None:
    """Delete vectors whose text stands in no chunk of the tenant any more."""
    for at in range(0, len(hashes), BATCH):
        some = list(hashes[at : at + BATCH])
        query = select(ChunkRow.sha256).where(ChunkRow.tenant_id == tenant, ChunkRow.sha256.in_(some))
        used = set(await session.scalars(query))
        unused = [sha256 for sha256 in some if sha256 not in used]
        await session.execute(
            delete(EmbeddingRow).where(EmbeddingRow.tenant_id == tenant, EmbeddingRow.sha256.in_(unused))
        )


def _count(result: Any) -> int:
    return result.rowcount if isinstance(result, CursorResult) else 0
