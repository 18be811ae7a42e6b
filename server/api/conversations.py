"""Conversations and their messages, as the tenant sees them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from server import errors
from server.api.auth import Admin, Principal, Viewer
from server.api.requests import Cursor, Limit, StrictRoute, page, services_of
from server.ids import BotId, ConversationId
from server.storage import conversations
from server.storage.database import Database
from server.storage.records import ConversationRecord, MessageRecord

router = APIRouter(prefix="/v1/conversations", route_class=StrictRoute, tags=["conversations"])


def describe_conversation(conversation: ConversationRecord) -> dict[str, Any]:
    """A conversation as REST shows it."""
    return {
        "id": conversation.id,
        "bot_id": conversation.bot_id,
        "visitor_id": conversation.visitor_id,
        "channel": conversation.channel,
        "locale": conversation.locale,
        "page": conversation.page,
        "created_at": conversation.created_at.isoformat(),
        "updated_at": conversation.updated_at.isoformat(),
    }


def describe_message(message: MessageRecord) -> dict[str, Any]:
    """A message as REST shows it; fields that a role does not have are null."""
    shown = (
        "id", "conversation_id", "role", "author", "text", "status", "reply_to", "replaced_by", "sentiment", "sentiment_score",
        "intent", "animation", "sources", "suggestions", "finish_reason", "provider", "model", "usage", "cost_nanousd", "cached",
        "ttft_ms", "total_ms", "rating",
    )  # fmt: skip
    return {name: getattr(message, name) for name in shown} | {"created_at": message.created_at.isoformat()}


async def find_own_conversation(db: Database, principal: Principal, conversation: str) -> ConversationRecord:
    """The caller's conversation; a foreign one is as unknown as one that never was."""
    record = await conversations.get_conversation(db, principal.tenant_id, ConversationId(conversation))
    if record is None:
        raise errors.NotFound(f"There is no conversation {conversation[:64]!r}.")
    return record


@router.get("", operation_id="conversations.list")
async def list_conversations(
    request: Request,
    principal: Viewer,
    bot_id: Annotated[str | None, Query(max_length=64)] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """The tenant's conversations, newest first."""
    bot = BotId(bot_id) if bot_id else None
    found = await conversations.list_conversations(
        services_of(request).db, principal.tenant_id, bot=bot, limit=limit, cursor=cursor
    )
    return page([describe_conversation(row) for row in found.data], found.next_cursor)


@router.get("/{conversation}", operation_id="conversations.get")
async def get_conversation(request: Request, conversation: str, principal: Viewer) -> dict[str, Any]:
    """One conversation."""
    return describe_conversation(await find_own_conversation(services_of(request).db, principal, conversation))


@router.get("/{conversation}/messages", operation_id="conversations.messages")
async def list_messages(
    request: Request, conversation: str, principal: Viewer, limit: Limit = 50, cursor: Cursor = None
) -> dict[str, Any]:
    """The messages of a conversation, oldest first, with what the server knows of each."""
    services = services_of(request)
    record = await find_own_conversation(services.db, principal, conversation)
    found = await conversations.list_messages(services.db, principal.tenant_id, record.id, limit=limit, cursor=cursor)
    return page([describe_message(row) for row in found.data], found.next_cursor)


@router.delete("/{conversation}", operation_id="conversations.delete", status_code=204)
async def delete_conversation(request: Request, conversation: str, principal: Admin) -> Response:
    """Remove a conversation and its messages."""
    services = services_of(request)
    record = await find_own_conversation(services.db, principal, conversation)
    await services.remove_conversation(principal.tenant_id, record.id)
    return Response(status_code=204)
