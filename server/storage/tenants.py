"""Tenants, their members, console sessions and API keys."""

from __future__ import annotations

import asyncio
import secrets
from datetime import datetime, timedelta
from typing import Any, cast

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError

from server import errors
from server.ids import ApiKeyId, MemberId, TenantId, new_id
from server.storage.cursors import fetch_page
from server.storage.database import Database, now
from server.storage.records import ApiKeyRecord, ConsoleSession, MemberRecord, Page, Role, TenantRecord
from server.storage.secrets import hash_token, new_api_key, new_token
from server.storage.tables import ApiKeyRow, ConsoleSessionRow, MemberRow, TenantRow

SESSION_LIFE = timedelta(days=7)
_UNSET: Any = object()
# A hash of nothing anybody knows, with argon2's default cost: checking it takes the time a real check takes.
NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHRzb21lc2FsdA$Yy8QnhR2JY1CWPqC8RoTqGjWbXyqW4mCkZ6dQ0Sx4gE"


def read_tenant(row: TenantRow) -> TenantRecord:
    return TenantRecord(
        TenantId(row.id), row.name, row.status, row.monthly_budget_nanousd, row.messages_per_minute, row.created_at
    )


def read_member(row: MemberRow) -> MemberRecord:
    return MemberRecord(MemberId(row.id), TenantId(row.tenant_id), row.email, cast(Role, row.role), row.created_at)


def read_key(row: ApiKeyRow) -> ApiKeyRecord:
    return ApiKeyRecord(
        ApiKeyId(row.id),
        TenantId(row.tenant_id),
        row.name,
        row.last_four,
        row.created_at,
        row.expires_at,
        row.revoked_at,
        row.last_used_at,
    )


async def check_password(stored: str | None, password: str) -> bool:
    """Whether the password matches, off the event loop: a check costs tens of milliseconds on purpose."""
    return await asyncio.to_thread(_verify, stored or NOBODY, password) and stored is not None


def _verify(stored: str, password: str) -> bool:
    try:
        return PasswordHasher().verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


async def create_tenant(
    db: Database, tenant: TenantId, name: str, *, monthly_budget_nanousd: int | None = None
) -> TenantRecord:
    """Open a tenant under an id that the caller made; raises Conflict when that id is in use."""
    row = TenantRow(
        id=tenant,
        name=name,
        status="active",
        monthly_budget_nanousd=monthly_budget_nanousd,
        messages_per_minute=600,
        created_at=now(),
    )
    try:
        async with db.transaction() as session:
            session.add(row)
    except IntegrityError:
        raise errors.Conflict("This tenant exists already.") from None
    return read_tenant(row)


async def get_tenant(db: Database, tenant: TenantId) -> TenantRecord | None:
    """The tenant, or None."""
    async with db.session() as session:
        row = await session.get(TenantRow, tenant)
    return None if row is None else read_tenant(row)


async def update_tenant(
    db: Database,
    tenant: TenantId,
    *,
    name: str = _UNSET,
    monthly_budget_nanousd: int | None = _UNSET,
    status: str = _UNSET,
) -> TenantRecord:
    """Change what is given; raises NotFound."""
    given = {"name": name, "monthly_budget_nanousd": monthly_budget_nanousd, "status": status}
    async with db.transaction() as session:
        row = await session.get(TenantRow, tenant)
        if row is None:
            raise errors.NotFound
        for column, value in given.items():
            if value is not _UNSET:
                setattr(row, column, value)
    return read_tenant(row)


# Members --------------------------------------------------------------------------------------------------------------
async def create_member(
    db: Database, tenant: TenantId, email: str, password: str, role: Role = "owner"
) -> MemberRecord:
    """Add a member; raises Conflict when the e-mail address is in use."""
    hashed = await asyncio.to_thread(PasswordHasher().hash, password)
    row = MemberRow(
        id=new_id("member"),
        tenant_id=tenant,
        email=email.strip().lower(),
        password_hash=hashed,
        role=role,
        created_at=now(),
    )
    try:
        async with db.transaction() as session:
            session.add(row)
    except IntegrityError:
        raise errors.Conflict("This e-mail address is in use.") from None
    return read_member(row)


async def list_members(db: Database, tenant: TenantId) -> tuple[MemberRecord, ...]:
    """Every member of the tenant, oldest first."""
    query = select(MemberRow).where(MemberRow.tenant_id == tenant).order_by(MemberRow.created_at, MemberRow.id)
    async with db.session() as session:
        return tuple(read_member(row) for row in await session.scalars(query))


async def set_password(db: Database, tenant: TenantId, member: MemberId, password: str) -> None:
    """Change a member's password and end its console sessions; raises NotFound."""
    hashed = await asyncio.to_thread(PasswordHasher().hash, password)
    async with db.transaction() as session:
        changed = await session.execute(
            update(MemberRow).where(MemberRow.tenant_id == tenant, MemberRow.id == member).values(password_hash=hashed)
        )
        if not changed.rowcount:  # type: ignore[attr-defined]
            raise errors.NotFound("There is no such member.")
        await session.execute(
            delete(ConsoleSessionRow).where(
                ConsoleSessionRow.tenant_id == tenant, ConsoleSessionRow.member_id == member
            )
        )


async def open_console_session(db: Database, tenant: TenantId, member: MemberRecord) -> tuple[str, ConsoleSession]:
    """Open a session of a week: the cookie's value (stored as a hash only) and the session; raises NotFound."""
    if member.tenant_id != tenant:
        raise errors.NotFound("There is no such member.")
    token = new_token()
    session_row = ConsoleSessionRow(
        token_hash=hash_token(token),
        tenant_id=tenant,
        member_id=member.id,
        csrf_token=secrets.token_urlsafe(32),
        created_at=now(),
        expires_at=now() + SESSION_LIFE,
    )
    async with db.transaction() as session:
        await session.execute(
            delete(ConsoleSessionRow).where(ConsoleSessionRow.tenant_id == tenant, ConsoleSessionRow.expires_at < now())
        )
        session.add(session_row)
    return token, ConsoleSession(member, session_row.csrf_token, session_row.expires_at)


async def close_console_session(db: Database, tenant: TenantId, token: str) -> None:
    """End a session; ending one that is over is no error."""
    async with db.transaction() as session:
        await session.execute(
            delete(ConsoleSessionRow).where(
                ConsoleSessionRow.tenant_id == tenant, ConsoleSessionRow.token_hash == hash_token(token)
            )
        )


# API keys -------------------------------------------------------------------------------------------------------------
async def create_api_key(
    db: Database, tenant: TenantId, name: str, *, expires_at: datetime | None = None
) -> tuple[ApiKeyRecord, str]:
    """Make a key: the record, and the key itself, which is stored as a hash only."""
    key = new_api_key()
    row = ApiKeyRow(
        id=new_id("api_key"),
        tenant_id=tenant,
        name=name,
        key_hash=hash_token(key),
        last_four=key[-4:],
        created_at=now(),
        expires_at=expires_at,
    )
    async with db.transaction() as session:
        session.add(row)
    return read_key(row), key


async def list_api_keys(db: Database, tenant: TenantId, *, limit: int, cursor: str | None) -> Page[ApiKeyRecord]:
    """The tenant's keys, newest first, the revoked ones too."""
    query = select(ApiKeyRow).where(ApiKeyRow.tenant_id == tenant)
    async with db.session() as session:
        return await fetch_page(
            session, query, ApiKeyRow.created_at, ApiKeyRow.id, limit=limit, cursor=cursor, read=read_key
        )


async def revoke_api_key(db: Database, tenant: TenantId, key: ApiKeyId) -> bool:
    """Make a key worthless; False when the tenant has no such key."""
    query = update(ApiKeyRow).where(ApiKeyRow.tenant_id == tenant, ApiKeyRow.id == key)
    async with db.transaction() as session:
        revoked = await session.execute(query.values(revoked_at=func.coalesce(ApiKeyRow.revoked_at, now())))
        return bool(revoked.rowcount)  # type: ignore[attr-defined]
