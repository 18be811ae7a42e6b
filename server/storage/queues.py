"""Work that must happen: the outbox in SQL is the truth, arq's queue in Valkey only wakes a worker.

A row is written together with its cause, leased while it runs {owner, fence, until}, and swept until it is done; so a
lost Valkey, a killed worker or a full queue delays work and never loses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

import msgpack
from arq.connections import ArqRedis
from redis.exceptions import RedisError
from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.engine import CursorResult

from server import errors
from server.ids import TenantId
from server.storage.database import Database, now
from server.storage.records import DocumentRecord
from server.storage.tables import BotRow, OutboxRow
from server.storage.valkey import Valkey
from server.telemetry import logger

QUEUE = "parlour:jobs"
JOB = "run_work"
LEASE_S = 10.0
# Runs that ended without a word (kill -9, a crash) before the work is given up; progress starts the count anew.
MAX_TRIES = 5
_log = logger("queues")


@dataclass(frozen=True, slots=True)
class Work:
    """One row of the outbox, as a worker holds it; `fence` grows with every lease, so that a late owner is noticed."""

    id: str
    tenant_id: TenantId
    kind: str
    subject_id: str
    payload: Mapping[str, Any]
    tries: int
    fence: int


class Subject(Protocol):
    """What work is about: a document, in every present case."""

    @property
    def id(self) -> str: ...
    @property
    def version(self) -> int: ...


def pack(value: Any) -> bytes:
    """arq's serialiser: MessagePack, since a pickle in a queue is code."""
    return bytes(msgpack.packb(value, use_bin_type=True, default=str))


def unpack(data: bytes) -> Any:
    """The inverse of `pack`."""
    return msgpack.unpackb(data, raw=False, strict_map_key=False)


class Queue:
    """Wakes workers; what it cannot tell them now they find in the outbox within seconds."""

    def __init__(self, pool: ArqRedis) -> None:
        self.pool = pool

    async def enqueue(self, tenant: TenantId, work: str) -> None:
        """Wake a worker for a row of the outbox; a second call for the same row does nothing."""
        try:
            await self.pool.enqueue_job(JOB, tenant, work, _job_id=work)
        except (RedisError, OSError):
            _log.warning("queue is away, the sweep will find the work", extra={"job": work, "part": "valkey"})

    async def enqueue_ingest(self, tenant: TenantId, document: DocumentRecord) -> None:
        """Wake a worker for a document that was uploaded."""
        await self._wake(tenant, document)

    async def enqueue_removal(self, tenant: TenantId, document: DocumentRecord) -> None:
        """Wake a worker for a document that is to be deleted."""
        await self._wake(tenant, document)

    async def depth(self) -> int:
        """Jobs waiting or running; raises Unavailable."""
        try:
            return int(await self.pool.zcard(QUEUE))
        except (RedisError, OSError) as problem:
            raise errors.Unavailable("The queue is away.") from problem

    async def close(self) -> None:
        """Close what this object opened: nothing, its connections are the Valkey pool's."""

    async def _wake(self, tenant: TenantId, subject: Subject) -> None:
        # One hint per version; the worker looks up which row of the outbox it means.
        hint = f"{subject.id}:{subject.version}"
        await self.enqueue(tenant, hint)


async def open_queue(valkey: Valkey) -> Queue:
    """A queue over the process's own Valkey connections."""
    pool = ArqRedis(
        pool_or_conn=valkey.commands.connection_pool,
        job_serializer=pack,
        job_deserializer=unpack,
        default_queue_name=QUEUE,
    )
    return Queue(pool)


# The outbox --------------------------------------------------------------------------------------------------------
def _free(at: Any) -> ColumnElement[bool]:
    return and_(OutboxRow.done_at.is_(None), or_(OutboxRow.lease_until.is_(None), OutboxRow.lease_until < at))


async def find_work(db: Database, tenant: TenantId, hint: str) -> str | None:
    """The open row of the outbox that a hint (`document:version`, or a row's own id) means."""
    subject = hint.split(":", 1)[0]
    async with db.session() as session:
        query = select(OutboxRow.id).where(OutboxRow.tenant_id == tenant, OutboxRow.done_at.is_(None))
        query = query.where(or_(OutboxRow.id == hint, OutboxRow.subject_id == subject))
        return await session.scalar(query.order_by(OutboxRow.id.desc()).limit(1))


async def tenants_with_work(db: Database) -> list[TenantId]:
    """Tenants that have work nobody is at; the sweep's first question."""
    async with db.session() as session:
        rows = await session.scalars(select(OutboxRow.tenant_id).where(_free(now())).distinct())
        return [TenantId(tenant) for tenant in rows]


async def free_work(db: Database, tenant: TenantId, *, limit: int = 100) -> list[str]:
    """A tenant's rows without a live lease, oldest first."""
    async with db.session() as session:
        query = select(OutboxRow.id).where(OutboxRow.tenant_id == tenant, _free(now()))
        return list(await session.scalars(query.order_by(OutboxRow.id).limit(limit)))


async def take_work(db: Database, tenant: TenantId, work: str, owner: str) -> Work | None:
    """Lease a row for ten seconds and count the try; None when it is done or somebody else is at it."""
    at = now()
    async with db.transaction() as session:
        taken = await session.execute(
            update(OutboxRow)
            .where(OutboxRow.tenant_id == tenant, OutboxRow.id == work, _free(at))
            .values(
                lease_owner=owner,
                lease_fence=OutboxRow.lease_fence + 1,
                lease_until=at + timedelta(seconds=LEASE_S),
                tries=OutboxRow.tries + 1,
            )
        )
        if _count(taken) != 1:
            return None
        row = await session.scalar(select(OutboxRow).where(OutboxRow.tenant_id == tenant, OutboxRow.id == work))
        if row is None:
            return None
        return Work(row.id, tenant, row.kind, row.subject_id, row.payload, row.tries, row.lease_fence)


async def keep_work(db: Database, tenant: TenantId, work: Work, *, progressed: bool = False) -> bool:
    """Renew a lease; False when it is no longer ours. Progress forgives earlier tries: this is no poison."""
    values: dict[str, Any] = {"lease_until": now() + timedelta(seconds=LEASE_S)}
    if progressed:
        values["tries"] = 1
    return await _change(db, tenant, work, values)


async def return_work(
    db: Database, tenant: TenantId, work: Work, *, after_s: float = 0.0, blameless: bool = True
) -> bool:
    """Give a row back, to be run again `after_s` seconds from now; a blameless run does not count as a try."""
    until = now() + timedelta(seconds=after_s)
    values: dict[str, Any] = {"lease_owner": None, "lease_until": until}
    if blameless:
        values["tries"] = max(work.tries - 1, 0)
    return await _change(db, tenant, work, values)


async def finish_work(db: Database, tenant: TenantId, work: Work, *, error: str | None = None) -> bool:
    """Mark a row as done, for good; False when the lease was lost."""
    return await _change(db, tenant, work, {"done_at": now(), "lease_until": None, "error": error and error[:500]})


async def _change(db: Database, tenant: TenantId, work: Work, values: dict[str, Any]) -> bool:
    async with db.transaction() as session:
        changed = await session.execute(
            update(OutboxRow)
            .where(OutboxRow.tenant_id == tenant, OutboxRow.id == work.id, OutboxRow.lease_fence == work.fence)
            .where(OutboxRow.done_at.is_(None))
            .values(**values)
        )
        return _count(changed) == 1


async def add_work(
    db: Database, tenant: TenantId, *, work: str, kind: str, subject: str, payload: dict[str, Any]
) -> bool:
    """Add a row that no change of a document causes; False when an open one of this kind and subject exists."""
    async with db.transaction() as session:
        open_ = select(OutboxRow.id).where(
            OutboxRow.tenant_id == tenant,
            OutboxRow.kind == kind,
            OutboxRow.subject_id == subject,
            OutboxRow.done_at.is_(None),
        )
        if await session.scalar(open_.limit(1)) is not None:
            return False
        session.add(OutboxRow(id=work, tenant_id=tenant, kind=kind, subject_id=subject, payload=payload))
        return True


async def has_work_for(db: Database, tenant: TenantId, bot: str, *, besides: str = "") -> bool:
    """Whether anything is still to be done for a bot: then its index may rightly differ for a moment."""
    async with db.session() as session:
        query = select(OutboxRow.payload).where(OutboxRow.tenant_id == tenant, OutboxRow.done_at.is_(None))
        rows = await session.scalars(query.where(OutboxRow.id != besides))
        return any(payload.get("bot") == bot for payload in rows)


async def is_bot_gone(db: Database, tenant: TenantId, bot: str) -> bool:
    """Whether a bot is in the database no more."""
    async with db.session() as session:
        query = select(BotRow.id).where(BotRow.id == bot)
        if tenant:
            query = query.where(BotRow.tenant_id == tenant)
        return await session.scalar(query) is None


async def forget_done(db: Database, tenant: TenantId, *, older_than_s: float) -> None:
    """Delete finished rows of a tenant."""
    before = now() - timedelta(seconds=older_than_s)
    async with db.transaction() as session:
        rows = await session.scalars(
            select(OutboxRow).where(
                OutboxRow.tenant_id == tenant, OutboxRow.done_at.is_not(None), OutboxRow.done_at < before
            )
        )
        for row in rows.all():
            await session.delete(row)


async def indexed_bots(db: Database) -> list[tuple[TenantId, str, int]]:
    """Every bot with knowledge and its epoch, for comparing SQL with the index."""
    async with db.session() as session:
        rows = await session.execute(
            select(BotRow.tenant_id, BotRow.id, BotRow.knowledge_epoch).where(BotRow.knowledge_epoch > 0)
        )
        return [(TenantId(tenant), bot, epoch) for tenant, bot, epoch in rows]


def _count(result: Any) -> int:
    return result.rowcount if isinstance(result, CursorResult) else 0
