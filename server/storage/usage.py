"""The ledger of attempts at providers: append-only, priced when it was written."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from server import errors
from server.ids import BotId, TenantId
from server.storage.database import Database, now
from server.storage.tables import UsageRow


async def add_usage(db: Database, tenant: TenantId, rows: Sequence[dict[str, Any]]) -> None:
    """Write ledger rows; a row whose id is there already is left as it is, so a settle may be repeated."""
    for row in rows:
        try:
            async with db.transaction() as session:
                session.add(UsageRow(tenant_id=tenant, created_at=now(), **row))
        except IntegrityError as failure:
            # Only a row that is there already may be passed over: anything else would lose money silently.
            if not await _is_there(db, tenant, row["id"]):
                raise errors.Conflict("This row cannot be added to the ledger.") from failure


async def _is_there(db: Database, tenant: TenantId, row_id: str) -> bool:
    async with db.session() as session:
        query = select(UsageRow.id).where(UsageRow.tenant_id == tenant, UsageRow.id == row_id)
        return await session.scalar(query) is not None


async def spent_since(db: Database, tenant: TenantId, since: datetime, *, bot: BotId | None = None) -> int:
    """What the tenant (or one bot) has spent since an instant, in nano-USD."""
    query = select(func.coalesce(func.sum(UsageRow.cost_nanousd), 0)).where(
        UsageRow.tenant_id == tenant, UsageRow.created_at >= since
    )
    if bot is not None:
        query = query.where(UsageRow.bot_id == bot)
    async with db.session() as session:
        return int(await session.scalar(query) or 0)
