"""Messages for API users: one question, answered as JSON or as the socket's own events."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import Field

from server import errors
from server.api.auth import Editor, Principal
from server.api.bots import find_own_bot
from server.api.conversations import describe_message, find_own_conversation
from server.api.requests import KEY, Body, StrictRoute, services_of
from server.api.sse import SSE_HEADERS, with_pings
from server.api.visitors import sse_frames
from server.hub.submit import Submitted
from server.ids import MessageId, new_ulid
from server.protocol import TERMINAL_TYPES
from server.services import Services
from server.storage import bots, conversations
from server.storage.records import BotRecord, ConversationRecord

router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["messages"])
Key = Annotated[str | None, Header(alias="Idempotency-Key", max_length=255)]
Accept = Annotated[str, Header(max_length=500)]


class NewMessage(Body):
    text: Annotated[str, Field(max_length=16_000)]
    conversation_id: Annotated[str | None, Field(max_length=64)] = None
    locale: Annotated[str | None, Field(max_length=35, pattern=r"^[A-Za-z0-9-]+$")] = None


class NextMessage(Body):
    text: Annotated[str, Field(max_length=16_000)]


@router.post("/bots/{bot}/messages", operation_id="messages.create", response_model=None)
async def ask(
    request: Request, bot: str, body: NewMessage, principal: Editor, key: Key = None, accept: Accept = "*/*"
) -> Response:
    """Ask a bot; without conversation_id a new conversation begins. `Accept: text/event-stream` streams the answer."""
    services = services_of(request)
    record = await find_own_bot(services.db, principal, bot)
    conversation = await _conversation(services, principal, record, body)
    return await _answer(services, principal, record, conversation, body.text, key, accept)


@router.post("/conversations/{conversation}/messages", operation_id="conversations.ask", response_model=None)
async def ask_again(
    request: Request, conversation: str, body: NextMessage, principal: Editor, key: Key = None, accept: Accept = "*/*"
) -> Response:
    """Ask in a conversation that exists."""
    services = services_of(request)
    present = await find_own_conversation(services.db, principal, conversation)
    record = await bots.get_bot(services.db, principal.tenant_id, present.bot_id)
    if record is None:
        raise errors.NotFound()
    return await _answer(services, principal, record, present, body.text, key, accept)


async def _conversation(services: Services, principal: Principal, bot: BotRecord, body: NewMessage) -> ConversationRecord:
    if body.conversation_id is not None:
        found = await find_own_conversation(services.db, principal, body.conversation_id)
        if found.bot_id != bot.id:
            raise errors.NotFound(f"There is no conversation {body.conversation_id[:64]!r} with this bot.")
        return found
    visitor, _ = await conversations.create_visitor(services.db, principal.tenant_id, bot.id, locale=body.locale)
    return await conversations.create_conversation(
        services.db, principal.tenant_id, bot.id, visitor.id, channel="api", locale=body.locale
    )


async def _answer(
    services: Services, principal: Principal, bot: BotRecord, conversation: ConversationRecord, text: str,
    key: str | None, accept: str,
) -> Response:  # fmt: skip
    if key is not None and not KEY.match(key):
        raise errors.BadMessage("Idempotency-Key: 1 to 255 printable ASCII characters.")
    submitted = await services.hub.submit(
        tenant=principal.tenant, bot=bot, conversation=conversation, client_id=(key or new_ulid())[:64], text=text
    )
    headers = {"Parlour-Conversation": conversation.id}
    if "text/event-stream" in accept:
        stream = with_pings(sse_frames(services.hub.turn_events(principal.tenant_id, conversation.id, submitted)))
        return StreamingResponse(stream, media_type="text/event-stream", headers=SSE_HEADERS | headers)
    return JSONResponse(await _whole(services, principal, conversation, submitted), headers=headers)


async def _whole(
    services: Services, principal: Principal, conversation: ConversationRecord, submitted: Submitted
) -> dict[str, Any]:
    """Wait for the turn's end, then tell the stored answer."""
    last: dict[str, Any] = {}
    async for frame in services.hub.turn_events(principal.tenant_id, conversation.id, submitted):
        if frame["type"] in TERMINAL_TYPES:
            last = frame
    if last.get("type") == "stream_error":
        raise errors.NoProvider(last["error"]) if last["code"] == "no_provider" else errors.Unavailable(last["error"])
    message = await conversations.get_message(
        services.db, principal.tenant_id, conversation.id, MessageId(last.get("messageId", submitted.answer_id))
    )
    if message is None:
        raise errors.Unavailable("The answer could not be read back.")
    return describe_message(message)
