"""Bots and their versions."""

from __future__ import annotations

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from server import errors
from server.bot import BotConfig
from server.ids import BotId, TenantId, new_id
from server.storage.cursors import fetch_page
from server.storage.database import Database, now
from server.storage.records import BotRecord, Page
from server.storage.tables import BotRow, BotVersionRow


def read_bot(row: BotRow | BotVersionRow) -> BotRecord:
    """A bot, or one of its earlier versions, as a record."""
    config = BotConfig.model_validate(row.config)
    if isinstance(row, BotVersionRow):
        return BotRecord(
            BotId(row.bot_id), TenantId(row.tenant_id), row.version, config, 0, row.created_at, row.created_at
        )
    return BotRecord(
        BotId(row.id), TenantId(row.tenant_id), row.version, config, row.knowledge_epoch, row.created_at, row.updated_at
    )


async def create_bot(db: Database, tenant: TenantId, config: BotConfig, *, bot_id: BotId | None = None) -> BotRecord:
    """Make a bot with version 1; raises Conflict when its id is in use."""
    moment = now()
    row = BotRow(
        id=bot_id or new_id("bot"),
        tenant_id=tenant,
        version=1,
        config=config.model_dump(mode="json"),
        knowledge_epoch=0,
        created_at=moment,
        updated_at=moment,
    )
    try:
        async with db.transaction() as session:
            session.add(row)
            await session.flush()
            session.add(_version_of(row))
    except IntegrityError:
        raise errors.Conflict("This bot exists already, or its tenant does not.") from None
    return read_bot(row)


def _version_of(row: BotRow) -> BotVersionRow:
    return BotVersionRow(
        bot_id=row.id, tenant_id=row.tenant_id, version=row.version, config=row.config, created_at=row.updated_at
    )


async def get_bot(db: Database, tenant: TenantId, bot: BotId) -> BotRecord | None:
    """The tenant's bot, or None."""
    async with db.session() as session:
        row = await session.scalar(select(BotRow).where(BotRow.tenant_id == tenant, BotRow.id == bot))
    return None if row is None else read_bot(row)


async def list_bots(db: Database, tenant: TenantId, *, limit: int, cursor: str | None) -> Page[BotRecord]:
    """The tenant's bots, newest first."""
    query = select(BotRow).where(BotRow.tenant_id == tenant)
    async with db.session() as session:
        return await fetch_page(session, query, BotRow.created_at, BotRow.id, limit=limit, cursor=cursor, read=read_bot)


async def update_bot(
    db: Database, tenant: TenantId, bot: BotId, config: BotConfig, *, if_version: int | None = None
) -> BotRecord:
    """Make a new version; raises NotFound, or VersionConflict when the bot is not at `if_version` any more."""
    async with db.transaction() as session:
        row = await _locked(session, tenant, bot)
        if if_version is not None and row.version != if_version:
            raise errors.VersionConflict(f"The bot is at version {row.version}, not {if_version}.")
        row.version, row.config, row.updated_at = row.version + 1, config.model_dump(mode="json"), now()
        session.add(_version_of(row))
    return read_bot(row)


async def _locked(session: AsyncSession, tenant: TenantId, bot: BotId) -> BotRow:
    """Take the bot's row by a write: SQLite locks nothing by reading, and PostgreSQL waits here just as well."""
    mine = (BotRow.tenant_id == tenant, BotRow.id == bot)
    await session.execute(update(BotRow).where(*mine).values(version=BotRow.version))
    row = await session.scalar(select(BotRow).where(*mine))
    if row is None:
        raise errors.NotFound("There is no such bot.")
    return row


async def list_versions(db: Database, tenant: TenantId, bot: BotId) -> tuple[BotRecord, ...]:
    """Every version of a bot, newest first."""
    query = (
        select(BotVersionRow)
        .where(BotVersionRow.tenant_id == tenant, BotVersionRow.bot_id == bot)
        .order_by(BotVersionRow.version.desc())
    )
    async with db.session() as session:
        return tuple(read_bot(row) for row in await session.scalars(query))


async def knowledge_epoch(db: Database, tenant: TenantId, bot: BotId) -> int:
    """The visible state of the bot's documents; 0 for a bot without any."""
    async with db.session() as session:
        epoch = await session.scalar(select(BotRow.knowledge_epoch).where(BotRow.tenant_id == tenant, BotRow.id == bot))
    return epoch or 0


async def delete_bot(db: Database, tenant: TenantId, bot: BotId) -> bool:
    """Remove a bot and every row that belongs to it; False when the tenant has no such bot."""
    query = delete(BotRow).where(BotRow.tenant_id == tenant, BotRow.id == bot)
    async with db.transaction() as session:
        return bool((await session.execute(query)).rowcount)  # type: ignore[attr-defined]
