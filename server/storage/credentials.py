"""Turns a credential or a public id into its tenant: the only functions of this room that are given none."""

from __future__ import annotations

import contextlib
import re
from datetime import timedelta

from sqlalchemy import and_, select, update

from server import errors
from server.ids import BotId
from server.storage.bots import read_bot
from server.storage.conversations import read_visitor
from server.storage.database import Database, now
from server.storage.records import ApiKeyRecord, BotRecord, ConsoleSession, MemberRecord, VisitorRecord
from server.storage.secrets import hash_token, looks_like_api_key
from server.storage.tables import ApiKeyRow, BotRow, ConsoleSessionRow, MemberRow, VisitorRow
from server.storage.tenants import check_password, read_key, read_member

# `last_used_at` is for people: once a minute is exact enough, and a write for every request is not free.
USED_EVERY = timedelta(minutes=1)
LONGEST_TOKEN = 200
_BOT = re.compile(r"[A-Za-z0-9_.-]{1,64}")


async def find_api_key(db: Database, key: str) -> ApiKeyRecord | None:
    """The live key with this value, or None; notes when it was last used."""
    if not looks_like_api_key(key):
        return None
    async with db.session() as session:
        row = await session.scalar(select(ApiKeyRow).where(ApiKeyRow.key_hash == hash_token(key)))
    if row is None or row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= now()):
        return None
    if row.last_used_at is None or now() - row.last_used_at > USED_EVERY:
        # A busy database must not make a good key worthless.
        with contextlib.suppress(errors.Unavailable, errors.StorageFull):
            async with db.transaction() as session:
                await session.execute(update(ApiKeyRow).where(ApiKeyRow.id == row.id).values(last_used_at=now()))
    return read_key(row)


async def check_login(db: Database, email: str, password: str) -> MemberRecord | None:
    """The member with this e-mail address and password; an unknown address takes as long as a wrong password."""
    async with db.session() as session:
        row = await session.scalar(select(MemberRow).where(MemberRow.email == email.strip().lower()))
    matches = await check_password(row.password_hash if row else None, password)
    return read_member(row) if row is not None and matches else None


async def find_console_session(db: Database, token: str) -> ConsoleSession | None:
    """The open console session behind a cookie, or None."""
    if not token or len(token) > LONGEST_TOKEN:
        return None
    query = (
        select(ConsoleSessionRow, MemberRow)
        .join(
            MemberRow,
            and_(MemberRow.id == ConsoleSessionRow.member_id, MemberRow.tenant_id == ConsoleSessionRow.tenant_id),
        )
        .where(ConsoleSessionRow.token_hash == hash_token(token), ConsoleSessionRow.expires_at > now())
    )
    async with db.session() as session:
        found = (await session.execute(query)).first()
    if found is None:
        return None
    return ConsoleSession(read_member(found[1]), found[0].csrf_token, found[0].expires_at)


async def find_bot(db: Database, bot: str) -> BotRecord | None:
    """A bot by its publishable id: every site that embeds it shows that id to the world."""
    if not _BOT.fullmatch(bot):
        return None
    async with db.session() as session:
        row = await session.get(BotRow, bot)
    return None if row is None else read_bot(row)


async def find_renewal(db: Database, bot: BotId, token: str) -> VisitorRecord | None:
    """The visitor of this bot whose renewal token this is, or None."""
    if not token or len(token) > LONGEST_TOKEN:
        return None
    query = select(VisitorRow).where(VisitorRow.bot_id == bot, VisitorRow.renewal_hash == hash_token(token))
    async with db.session() as session:
        row = await session.scalar(query)
    return None if row is None else read_visitor(row)
