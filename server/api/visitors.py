"""What a widget asks for: its configuration, a token, and the stream where sockets are blocked."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime, timedelta
from time import monotonic
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import Field

from server import errors
from server.api.auth import bearer
from server.api.requests import Body, StrictRoute, services_of
from server.api.sse import PING, SSE_HEADERS, event_text
from server.hub.admission import check_origin, normal_origin, own_origins
from server.hub.commands import Speaker
from server.hub.follower import Place
from server.ids import new_id
from server.services import Services
from server.storage import conversations, credentials, tenants
from server.storage.database import now
from server.storage.records import BotRecord, ConversationRecord, VisitorRecord
from server.storage.secrets import VisitorClaims
from server.strict_json import loads

router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["visitors"])
MAX_COMMAND_BYTES = 65_536
TOKEN_GRACE = timedelta(seconds=25)
Frame = dict[str, Any] | None


class TokenRequest(Body):
    renewal_token: Annotated[str | None, Field(max_length=200)] = None
    new_conversation: bool = False
    locale: Annotated[str | None, Field(max_length=35, pattern=r"^[A-Za-z0-9-]+$")] = None


async def find_public_bot(request: Request, bot: str) -> tuple[BotRecord, str]:
    """The bot and the asking origin; raises BotUnknown, OriginMissing, OriginNotAllowed, TenantSuspended."""
    services = services_of(request)
    record = await credentials.find_bot(services.db, bot)
    if record is None:
        raise errors.BotUnknown
    origin = check_origin(_origin_of(request), record.config.allowed_origins, own_origins(services.settings.url))
    tenant = await tenants.get_tenant(services.db, record.tenant_id)
    if tenant is None or tenant.status != "active":
        raise errors.TenantSuspended
    return record, origin


def _origin_of(request: Request) -> str:
    """The Origin header; a same-origin GET has none, but browsers then say so in Sec-Fetch-Site."""
    origin = request.headers.get("origin")
    if origin:
        return origin
    if request.method == "GET" and request.headers.get("sec-fetch-site") == "same-origin":
        return f"{request.url.scheme}://{request.headers.get('host', '')}"
    raise errors.OriginMissing


@router.get("/bots/{bot}/widget-config", operation_id="widgetConfig.get")
async def widget_config(request: Request, bot: str) -> JSONResponse:
    """What the widget shows before anybody writes: public, cached, and only for allowed sites."""
    record, _ = await find_public_bot(request, bot)
    config = record.config
    body = {
        "bot_id": record.id,
        "version": record.version,
        "name": config.name,
        "greeting": config.greeting,
        "starters": list(config.starters),
        "languages": list(config.languages),
        "theme": config.theme.model_dump(mode="json"),
        "avatar": config.avatar.model_dump(mode="json") | {"accent": config.theme.accent},
        "assets": request.app.state.assets.widget(),
        "ai_disclosure": True,
    }
    return JSONResponse(body, headers={"Cache-Control": "private, max-age=60"})


@router.post("/bots/{bot}/visitor-tokens", operation_id="visitorTokens.create", status_code=201)
async def create_token(request: Request, bot: str, body: TokenRequest) -> JSONResponse:
    """A token of 15 minutes for one visitor, one conversation and one site, and what renews it."""
    record, origin = await find_public_bot(request, bot)
    services = services_of(request)
    await services.connect_limit(record.tenant_id, services.address_of(request.scope))
    visitor, renewal = await _visitor(services, record, body)
    conversation = await _conversation(services, record, visitor, body)
    token, expires_at = services.secrets.sign_visitor_token(
        tenant=record.tenant_id, bot=record.id, origin=origin, visitor=visitor.id, conversation=conversation.id,
        life_s=services.settings.token_life_s,
    )  # fmt: skip
    base = services.settings.url
    answer = {
        "token": token,
        "expires_at": expires_at.isoformat(),
        "renewal_token": renewal,
        "visitor_id": visitor.id,
        "conversation_id": conversation.id,
        "websocket_url": f"{base.replace('http', 'ws', 1)}/v1/bots/{record.id}/ws",
        "events_url": f"{base}/v1/conversations/{conversation.id}/events",
    }
    return JSONResponse(answer, 201, {"Cache-Control": "no-store"})


async def _visitor(services: Services, bot: BotRecord, body: TokenRequest) -> tuple[VisitorRecord, str]:
    """The visitor whom the renewal token names, or a new one: a stale token is no error, its owner starts afresh."""
    if body.renewal_token:
        known = await credentials.find_renewal(services.db, bot.id, body.renewal_token)
        if known is not None:
            return known, await conversations.rotate_renewal(services.db, bot.tenant_id, known.id)
    return await conversations.create_visitor(services.db, bot.tenant_id, bot.id, locale=body.locale)


async def _conversation(
    services: Services, bot: BotRecord, visitor: VisitorRecord, body: TokenRequest
) -> ConversationRecord:
    if not body.new_conversation:
        latest = await conversations.latest_conversation(services.db, bot.tenant_id, bot.id, visitor.id)
        if latest is not None:
            return latest
    return await conversations.create_conversation(services.db, bot.tenant_id, bot.id, visitor.id, locale=body.locale)


# The stream over HTTP -------------------------------------------------------------------------------------------------
async def visitor_claims(request: Request, conversation: str) -> VisitorClaims:
    """What the bearer token opens; it must be this conversation, asked from the token's own site."""
    token = bearer(request)
    if token is None:
        raise errors.Unauthorized
    claims = services_of(request).secrets.read_visitor_token(token)
    origin = request.headers.get("origin")
    if claims.conversation != conversation or (origin is not None and normal_origin(origin) != claims.origin):
        raise errors.TokenInvalid
    return claims


async def _speaker(request: Request, claims: VisitorClaims) -> Speaker:
    services = services_of(request)
    return await services.hub.speaker(claims, name=new_id("connection"), address=services.address_of(request.scope))


@router.get(
    "/conversations/{conversation}/events", operation_id="conversations.events", response_class=StreamingResponse
)
async def events(
    request: Request,
    conversation: str,
    history: Annotated[int, Query(ge=0, le=50)] = 30,
    caps: Annotated[str, Query(max_length=200)] = "",
    coalesce_ms: Annotated[int, Query(ge=0, le=5000)] = 0,
    last_event_id: Annotated[str | None, Header(max_length=120)] = None,
) -> StreamingResponse:
    """The same frames as the socket's, as server-sent events; Last-Event-ID resumes."""
    claims = await visitor_claims(request, conversation)
    services = services_of(request)
    group = services.hub.admission.admit(services.address_of(request.scope), monotonic())
    frames = services.hub.events(
        await _speaker(request, claims), after=parse_event_id(last_event_id), history=history,
        cues="cues" in caps.split(","), coalesce_ms=coalesce_ms, expires_at=claims.expires_at.isoformat(),
    )  # fmt: skip
    stream = sse_frames(closing_at(counted(frames, services, group), claims.expires_at))
    return StreamingResponse(stream, media_type="text/event-stream", headers=SSE_HEADERS)


def parse_event_id(text: str | None) -> Place | None:
    """`epoch:seq` as a position; anything else is no position, and the stream starts afresh."""
    epoch, found, seq = (text or "").partition(":")
    if not found or not seq.isascii() or not seq.isdigit() or len(seq) > 15:
        return None
    return Place(epoch, int(seq))


async def counted(frames: AsyncGenerator[Frame, None], services: Services, group: str) -> AsyncGenerator[Frame, None]:
    """The same frames; the place of this stream among its address's connections is given back at the end."""
    try:
        async with aclosing(frames):
            async for frame in frames:
                yield frame
    finally:
        services.hub.admission.release(group)


async def closing_at(frames: AsyncGenerator[Frame, None], moment: datetime) -> AsyncGenerator[Frame, None]:
    """The frames until the token ends; then one that says why, so that the widget comes back with a new token."""
    async with aclosing(frames):
        async for frame in frames:
            yield frame
            if now() >= moment + TOKEN_GRACE:
                yield {"type": "close", "code": 4014, "reason": "token_expired"}
                return


async def sse_frames(frames: AsyncGenerator[Frame, None], epoch: str = "") -> AsyncGenerator[str, None]:
    """Frames as events: only durable ones carry an id, so that a resume never starts at an ephemeral one.

    A None is a moment without news: a comment keeps proxies from cutting the stream.
    """
    yield "retry: 1000\n\n"
    # Closed here, not by the collector: a reader who leaves must not leave a follower behind.
    async with aclosing(frames):
        async for frame in frames:
            if frame is None:
                yield PING
                continue
            if frame["type"] == "welcome":
                epoch = frame["epoch"]
            seq = frame.get("seq") if frame["type"] != "welcome" else None
            yield event_text(frame["type"], frame, f"{epoch}:{seq}" if seq is not None else None)


@router.post("/conversations/{conversation}/commands", operation_id="conversations.command")
async def command(request: Request, conversation: str) -> Response:
    """One client frame; answers with the ack, or nothing (204)."""
    claims = await visitor_claims(request, conversation)
    services = services_of(request)
    body = await request.body()
    if len(body) > MAX_COMMAND_BYTES:
        raise errors.TooLarge
    await services.command_limit(claims.tenant, claims.visitor)
    frame = services.frames.check(loads(body))
    answer = await services.hub.command(await _speaker(request, claims), dict(frame))
    return Response(status_code=204) if answer is None else JSONResponse(answer)
