"""Messages for API users: one question, answered as JSON or as the socket's own events."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import Field

from server import errors
from server.api.auth import Editor, Principal
from server.api.bots import find_own_bot
from server.api.conversations import describe_message, find_own_conversation
from server.api.requests import KEY, Body, StrictRoute, services_of
from server.api.sse import SSE_HEADERS
from server.api.visitors import sse_frames
from server.hub.commands import Speaker, Submitted
from server.ids import ConversationId, MessageId, new_id, new_ulid
from server.protocol import TERMINAL_TYPES
from server.services import Services
from server.storage import bots, conversations
from server.storage.records import BotRecord, ConversationRecord

router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["messages"])
Key = Annotated[str | None, Header(alias="Idempotency-Key", max_length=255)]
STORED_TRIES = 250
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
    conversation = await _conversation(services, principal, record, body, key)
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
        raise errors.NotFound
    return await _answer(services, principal, record, present, body.text, key, accept)


async def _conversation(
    services: Services, principal: Principal, bot: BotRecord, body: NewMessage, key: str | None
) -> ConversationRecord:
    if body.conversation_id is not None:
        found = await find_own_conversation(services.db, principal, body.conversation_id)
        if found.bot_id != bot.id:
            raise errors.NotFound(f"There is no conversation {body.conversation_id[:64]!r} with this bot.")
        return found
    named = _conversation_id(services, bot, key)
    present = await conversations.get_conversation(services.db, principal.tenant_id, named)
    if present is not None:
        return present
    visitor, _ = await conversations.create_visitor(services.db, principal.tenant_id, bot.id, locale=body.locale)
    try:
        return await conversations.create_conversation(
            services.db,
            principal.tenant_id,
            bot.id,
            visitor.id,
            channel="api",
            locale=body.locale,
            conversation_id=named,
        )
    except errors.Conflict:
        # The same request came twice at once: the other one was first.
        return await find_own_conversation(services.db, principal, named)


def _conversation_id(services: Services, bot: BotRecord, key: str | None) -> ConversationId:
    """A new id; with an Idempotency-Key the same one each time, which nobody else can compute."""
    if key is None:
        return ConversationId(new_id("conversation"))
    digest = hmac.digest(services.secrets.derive("conversation ids"), f"{bot.id} {key}".encode(), "sha256")
    return ConversationId(f"conv_{digest.hex()[:32]}")


async def _answer(
    services: Services, principal: Principal, bot: BotRecord, conversation: ConversationRecord, text: str,
    key: str | None, accept: str,
) -> Response:  # fmt: skip
    if key is not None and not KEY.match(key):
        raise errors.BadMessage("Idempotency-Key: 1 to 255 printable ASCII characters.")
    speaker = Speaker(
        tenant=principal.tenant, bot=bot, conversation=conversation.id, visitor=conversation.visitor_id,
        name=new_id("connection"), locale=conversation.locale, channel="api", address=None,
    )  # fmt: skip
    submitted = await services.hub.submit(speaker, client_id=_client_id(key), text=text)
    headers = {"Parlour-Conversation": conversation.id}
    if "text/event-stream" in accept:
        events = services.hub.turn_events(speaker, submitted, cues=True)
        stream = sse_frames(events, submitted.epoch)
        return StreamingResponse(stream, media_type="text/event-stream", headers=SSE_HEADERS | headers)
    return JSONResponse(await _whole(services, speaker, submitted), headers=headers)


def _client_id(key: str | None) -> str:
    """The command's id for an Idempotency-Key: a key may be longer and hold more than a command's id does."""
    return new_ulid() if key is None else "k_" + hashlib.sha256(key.encode()).hexdigest()[:40]


async def _whole(services: Services, speaker: Speaker, submitted: Submitted) -> dict[str, Any]:
    """Wait for the turn's end, then tell the stored answer."""
    last: dict[str, Any] = {}
    async with aclosing(services.hub.turn_events(speaker, submitted)) as events:
        async for frame in events:
            if frame is not None and frame["type"] in TERMINAL_TYPES:
                last = frame
    if last.get("type") == "stream_error":
        raise errors.NoProvider(last["error"]) if last["code"] == "no_provider" else errors.Unavailable(last["error"])
    answer = MessageId(last.get("messageId", submitted.answer_id))
    # The terminal event is told before the row is written, so that nobody waits for the disk.
    for _ in range(STORED_TRIES):
        message = await conversations.get_message(services.db, speaker.tenant.id, speaker.conversation, answer)
        if message is not None:
            return describe_message(message)
        await asyncio.sleep(0.02)
    raise errors.Unavailable("The answer could not be read back.")
