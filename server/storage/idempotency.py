"""Answers of creating requests, kept for a day: the same key again is a replay, never a second create."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError

from server import errors
from server.ids import TenantId
from server.storage.database import Database, now
from server.storage.tables import IdempotencyRow

KEPT = timedelta(hours=24)
# A first request that died without a word frees its key after this long.
ABANDONED = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Begun:
    """This request is the first with its key."""


@dataclass(frozen=True, slots=True)
class Replay:
    """The answer the first request got."""

    status: int
    answer: dict[str, Any]


async def begin(db: Database, tenant: TenantId, key: str, route: str, body_hash: str) -> Begun | Replay:
    """Take the key, or tell the first answer; raises IdempotencyConflict or IdempotencyRunning."""
    for _ in range(2):
        try:
            async with db.transaction() as session:
                # All of the tenant's outdated keys go, so that the table stays as large as one day.
                await session.execute(delete(IdempotencyRow).where(IdempotencyRow.tenant_id == tenant, _outdated()))
                session.add(
                    IdempotencyRow(tenant_id=tenant, key=key, route=route, body_hash=body_hash, created_at=now())
                )
        except IntegrityError:
            async with db.session() as session:
                row = await session.scalar(select(IdempotencyRow).where(*_where(tenant, key, route)))
            if row is not None:
                return _judge(row, body_hash)
        else:
            return Begun()
    raise errors.IdempotencyRunning


def _judge(row: IdempotencyRow, body_hash: str) -> Replay:
    if row.body_hash != body_hash:
        raise errors.IdempotencyConflict
    if row.status is None or row.answer is None:
        raise errors.IdempotencyRunning(retry_after_s=1)
    return Replay(row.status, row.answer)


async def finish(db: Database, tenant: TenantId, key: str, route: str, status: int, answer: dict[str, Any]) -> None:
    """Keep the answer for whoever repeats the request."""
    query = update(IdempotencyRow).where(*_where(tenant, key, route))
    async with db.transaction() as session:
        await session.execute(query.values(status=status, answer=answer))


async def forget(db: Database, tenant: TenantId, key: str, route: str) -> None:
    """Free a key whose request failed."""
    async with db.transaction() as session:
        await session.execute(delete(IdempotencyRow).where(*_where(tenant, key, route)))


def _where(tenant: TenantId, key: str, route: str) -> tuple[Any, ...]:
    return IdempotencyRow.tenant_id == tenant, IdempotencyRow.key == key, IdempotencyRow.route == route


def _outdated() -> Any:
    old = IdempotencyRow.created_at < now() - KEPT
    return old | (IdempotencyRow.status.is_(None) & (IdempotencyRow.created_at < now() - ABANDONED))
