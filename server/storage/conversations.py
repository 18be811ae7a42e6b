"""Visitors, conversations and messages."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from server import errors
from server.ids import BotId, ConversationId, MessageId, TenantId, VisitorId, new_id
from server.storage.cursors import fetch_page
from server.storage.database import Database, now
from server.storage.records import ConversationRecord, MessageRecord, Page, VisitorRecord
from server.storage.secrets import hash_token, new_token
from server.storage.tables import BotRow, ConversationRow, MessageRow, VisitorRow

_MESSAGE_FIELDS = tuple(entry.name for entry in fields(MessageRecord))
# Writers of one conversation queue at its row, so one try is enough; more are for a row that vanished in between.
ADD_TRIES = 3


def read_visitor(row: VisitorRow) -> VisitorRecord:
    """A row as a record."""
    return VisitorRecord(VisitorId(row.id), TenantId(row.tenant_id), BotId(row.bot_id), row.locale, row.created_at)


def _read_conversation(row: ConversationRow) -> ConversationRecord:
    return ConversationRecord(
        ConversationId(row.id),
        TenantId(row.tenant_id),
        BotId(row.bot_id),
        VisitorId(row.visitor_id),
        row.channel,
        row.locale,
        row.page,
        row.created_at,
        row.updated_at,
    )


def _read_message(row: MessageRow) -> MessageRecord:
    return MessageRecord(**{name: getattr(row, name) for name in _MESSAGE_FIELDS})


# Visitors -------------------------------------------------------------------------------------------------------------
async def create_visitor(
    db: Database, tenant: TenantId, bot: BotId, *, locale: str | None = None
) -> tuple[VisitorRecord, str]:
    """A new visitor and its renewal token, which is stored as a hash only; raises NotFound for a foreign bot."""
    token, moment = new_token(), now()
    row = VisitorRow(
        id=new_id("visitor"),
        tenant_id=tenant,
        bot_id=bot,
        renewal_hash=hash_token(token),
        locale=locale,
        created_at=moment,
        seen_at=moment,
    )
    owned = select(BotRow.id).where(BotRow.tenant_id == tenant, BotRow.id == bot)
    await _add_below(db, owned, row)
    return read_visitor(row), token


async def rotate_renewal(db: Database, tenant: TenantId, visitor: VisitorId) -> str:
    """A new renewal token; the one before is worth nothing from now on. Raises NotFound."""
    token = new_token()
    query = update(VisitorRow).where(VisitorRow.tenant_id == tenant, VisitorRow.id == visitor)
    async with db.transaction() as session:
        rotated = await session.execute(query.values(renewal_hash=hash_token(token), seen_at=now()))
        if not rotated.rowcount:  # type: ignore[attr-defined]
            raise errors.NotFound("There is no such visitor.")
    return token


async def _add_below(db: Database, owner: Any, row: VisitorRow | ConversationRow) -> None:
    """Add a row whose owner the tenant must have: the key of another tenant's row would satisfy the database."""
    try:
        async with db.transaction() as session:
            if await session.scalar(owner) is None:
                raise errors.NotFound
            session.add(row)
    except IntegrityError:
        raise errors.Conflict("This id is in use, or its owner has just been deleted.") from None


# Conversations --------------------------------------------------------------------------------------------------------
async def create_conversation(
    db: Database,
    tenant: TenantId,
    bot: BotId,
    visitor: VisitorId,
    *,
    channel: str = "widget",
    locale: str | None = None,
    page: str | None = None,
    conversation_id: ConversationId | None = None,
) -> ConversationRecord:
    """Open a conversation of a visitor with a bot; raises NotFound for a foreign visitor, Conflict for a used id."""
    moment = now()
    row = ConversationRow(
        id=conversation_id or new_id("conversation"),
        tenant_id=tenant,
        bot_id=bot,
        visitor_id=visitor,
        channel=channel,
        locale=locale,
        page=page,
        created_at=moment,
        updated_at=moment,
    )
    owned = select(VisitorRow.id).where(
        VisitorRow.tenant_id == tenant, VisitorRow.bot_id == bot, VisitorRow.id == visitor
    )
    await _add_below(db, owned, row)
    return _read_conversation(row)


async def get_conversation(db: Database, tenant: TenantId, conversation: ConversationId) -> ConversationRecord | None:
    """The tenant's conversation, or None."""
    query = select(ConversationRow).where(ConversationRow.tenant_id == tenant, ConversationRow.id == conversation)
    async with db.session() as session:
        row = await session.scalar(query)
    return None if row is None else _read_conversation(row)


async def latest_conversation(
    db: Database, tenant: TenantId, bot: BotId, visitor: VisitorId
) -> ConversationRecord | None:
    """The conversation this visitor had last, or None."""
    query = (
        select(ConversationRow)
        .where(
            ConversationRow.tenant_id == tenant, ConversationRow.bot_id == bot, ConversationRow.visitor_id == visitor
        )
        .order_by(ConversationRow.created_at.desc(), ConversationRow.id.desc())
        .limit(1)
    )
    async with db.session() as session:
        row = await session.scalar(query)
    return None if row is None else _read_conversation(row)


async def conversation_ids(db: Database, tenant: TenantId, bot: BotId) -> tuple[ConversationId, ...]:
    """The ids of every conversation of a bot."""
    query = select(ConversationRow.id).where(ConversationRow.tenant_id == tenant, ConversationRow.bot_id == bot)
    async with db.session() as session:
        return tuple(ConversationId(row) for row in await session.scalars(query))


async def list_conversations(
    db: Database, tenant: TenantId, *, bot: BotId | None = None, limit: int, cursor: str | None
) -> Page[ConversationRecord]:
    """The tenant's conversations, newest first."""
    query = select(ConversationRow).where(ConversationRow.tenant_id == tenant)
    if bot is not None:
        query = query.where(ConversationRow.bot_id == bot)
    async with db.session() as session:
        return await fetch_page(
            session,
            query,
            ConversationRow.created_at,
            ConversationRow.id,
            limit=limit,
            cursor=cursor,
            read=_read_conversation,
        )


async def delete_conversation(db: Database, tenant: TenantId, conversation: ConversationId) -> bool:
    """Remove a conversation with its messages; False when the tenant has no such conversation."""
    query = delete(ConversationRow).where(ConversationRow.tenant_id == tenant, ConversationRow.id == conversation)
    async with db.transaction() as session:
        return bool((await session.execute(query)).rowcount)  # type: ignore[attr-defined]


# Messages -------------------------------------------------------------------------------------------------------------
def content_hash(text: str) -> str:
    """By what a repeated message is told from another one under the same id."""
    return hashlib.sha256(text.encode()).hexdigest()


async def add_visitor_message(
    db: Database,
    tenant: TenantId,
    conversation: ConversationId,
    *,
    client_id: str,
    text: str,
    author: dict[str, Any],
    sentiment: str | None = None,
    intent: str | None = None,
    sentiment_score: float | None = None,
) -> tuple[MessageRecord, bool]:
    """Store a visitor's message once: the same `client_id` again gives the first one and True.

    Raises IdempotencyConflict when that id came with another text, NotFound for a foreign conversation.
    """
    known = await _by_client_id(db, tenant, conversation, client_id)
    if known is None:
        values = {
            "id": new_id("message"),
            "client_id": client_id,
            "content_hash": content_hash(text),
            "role": "user",
            "author": author,
            "text": text,
            "sentiment": sentiment,
            "sentiment_score": sentiment_score,
            "intent": intent,
        }
        added = await _add(db, tenant, conversation, values)
        if added is not None:
            return _read_message(added), False
        known = await _by_client_id(db, tenant, conversation, client_id)
    if known is None:
        raise errors.Conflict("The message could not be stored.")
    if known.content_hash != content_hash(text):
        raise errors.IdempotencyConflict
    return _read_message(known), True


async def add_answer(
    db: Database,
    tenant: TenantId,
    conversation: ConversationId,
    *,
    id: MessageId,  # noqa: A002
    **values: Any,
) -> MessageRecord:
    """Store an answer under its id; the same id again changes nothing. `values` are fields of MessageRecord."""
    values = {"id": id, "role": "assistant", "client_id": None} | values
    added = await _add(db, tenant, conversation, values)
    if added is None:
        present = await get_message(db, tenant, conversation, id)
        if present is None:
            raise errors.Conflict("This answer's id is in use in another conversation.")
        return present
    return _read_message(added)


async def _add(
    db: Database, tenant: TenantId, conversation: ConversationId, values: dict[str, Any]
) -> MessageRow | None:
    """Append a row at the next ordinal; None when its id or client id is there already."""
    for _ in range(ADD_TRIES):
        try:
            async with db.transaction() as session:
                await _touch(session, tenant, conversation)
                row = MessageRow(
                    tenant_id=tenant,
                    conversation_id=conversation,
                    ordinal=await _next_ordinal(session, tenant, conversation),
                    created_at=now(),
                    **{"status": "complete"} | values,
                )
                session.add(row)
        except IntegrityError:
            if await _is_there(db, tenant, conversation, values):
                return None
        else:
            return row
    raise errors.Conflict("This message's id is in use elsewhere.")


async def _touch(session: AsyncSession, tenant: TenantId, conversation: ConversationId) -> None:
    """Mark the conversation as changed; this also proves it is the tenant's, and on PostgreSQL makes writers queue."""
    query = update(ConversationRow).where(ConversationRow.tenant_id == tenant, ConversationRow.id == conversation)
    changed = await session.execute(query.values(updated_at=now()))
    if not changed.rowcount:  # type: ignore[attr-defined]
        raise errors.NotFound("There is no such conversation.")


async def _next_ordinal(session: AsyncSession, tenant: TenantId, conversation: ConversationId) -> int:
    query = select(func.max(MessageRow.ordinal)).where(
        MessageRow.tenant_id == tenant, MessageRow.conversation_id == conversation
    )
    return (await session.scalar(query) or 0) + 1


async def _is_there(db: Database, tenant: TenantId, conversation: ConversationId, values: dict[str, Any]) -> bool:
    if (
        values["client_id"] is not None
        and await _by_client_id(db, tenant, conversation, values["client_id"]) is not None
    ):
        return True
    async with db.session() as session:
        query = select(MessageRow.id).where(MessageRow.tenant_id == tenant, MessageRow.id == values["id"])
        return await session.scalar(query) is not None


async def _by_client_id(
    db: Database, tenant: TenantId, conversation: ConversationId, client_id: str
) -> MessageRow | None:
    query = select(MessageRow).where(
        MessageRow.tenant_id == tenant, MessageRow.conversation_id == conversation, MessageRow.client_id == client_id
    )
    async with db.session() as session:
        return await session.scalar(query)


async def get_message(
    db: Database, tenant: TenantId, conversation: ConversationId, message: MessageId
) -> MessageRecord | None:
    """One message of a conversation, or None."""
    async with db.session() as session:
        row = await session.scalar(_one(tenant, conversation, message))
    return None if row is None else _read_message(row)


def _one(tenant: TenantId, conversation: ConversationId, message: MessageId) -> Any:
    return select(MessageRow).where(
        MessageRow.tenant_id == tenant, MessageRow.conversation_id == conversation, MessageRow.id == message
    )


async def answer_to(
    db: Database, tenant: TenantId, conversation: ConversationId, message: MessageId
) -> MessageRecord | None:
    """The newest stored answer to a visitor's message, or None."""
    query = (
        select(MessageRow)
        .where(
            MessageRow.tenant_id == tenant,
            MessageRow.conversation_id == conversation,
            MessageRow.reply_to == message,
            MessageRow.role == "assistant",
        )
        .order_by(MessageRow.ordinal.desc())
        .limit(1)
    )
    async with db.session() as session:
        row = await session.scalar(query)
    return None if row is None else _read_message(row)


async def messages_before(
    db: Database, tenant: TenantId, conversation: ConversationId, *, before: MessageId | None, limit: int
) -> tuple[MessageRecord, ...]:
    """The last `limit` messages before one (or the newest), oldest first, without replaced answers.

    Raises MessageUnknown when `before` is not in this conversation.
    """
    query = select(MessageRow).where(
        MessageRow.tenant_id == tenant, MessageRow.conversation_id == conversation, MessageRow.status != "replaced"
    )
    async with db.session() as session:
        if before is not None:
            anchor = await session.scalar(_one(tenant, conversation, before))
            if anchor is None:
                raise errors.MessageUnknown
            query = query.where(MessageRow.ordinal < anchor.ordinal)
        rows = (await session.scalars(query.order_by(MessageRow.ordinal.desc()).limit(limit))).all()
    return tuple(_read_message(row) for row in reversed(rows))


async def list_messages(
    db: Database, tenant: TenantId, conversation: ConversationId, *, limit: int, cursor: str | None
) -> Page[MessageRecord]:
    """The messages of a conversation, oldest first; the cursor is the ordinal of the last one shown."""
    query = select(MessageRow).where(MessageRow.tenant_id == tenant, MessageRow.conversation_id == conversation)
    if cursor is not None:
        if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 9:
            raise errors.BadCursor
        query = query.where(MessageRow.ordinal > int(cursor))
    async with db.session() as session:
        rows = (await session.scalars(query.order_by(MessageRow.ordinal).limit(limit + 1))).all()
    shown = rows[:limit]
    return Page(tuple(_read_message(row) for row in shown), str(shown[-1].ordinal) if len(rows) > limit else None)


async def mark_replaced(db: Database, tenant: TenantId, message: MessageId, by: MessageId) -> None:
    """Take an answer out of the conversation because a newer one stands for it."""
    query = update(MessageRow).where(MessageRow.tenant_id == tenant, MessageRow.id == message)
    async with db.transaction() as session:
        await session.execute(query.values(status="replaced", replaced_by=by))


async def rate_message(
    db: Database, tenant: TenantId, conversation: ConversationId, message: MessageId, rating: str, comment: str | None
) -> None:
    """Keep what the visitor thinks of an answer; raises MessageUnknown."""
    query = update(MessageRow).where(
        MessageRow.tenant_id == tenant,
        MessageRow.conversation_id == conversation,
        MessageRow.id == message,
        MessageRow.role == "assistant",
    )
    async with db.transaction() as session:
        rated = await session.execute(query.values(rating=rating, rating_comment=comment))
        if not rated.rowcount:  # type: ignore[attr-defined]
            raise errors.MessageUnknown
