"""How requests are read: strict JSON, bounded bodies, one id each, answers to repeated creates."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Coroutine
from typing import Annotated, Any

from fastapi import Header, Query, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict

from server import errors, strict_json
from server.ids import TenantId
from server.services import Services
from server.storage import idempotency

MAX_JSON_BYTES = 256 * 1024
KEY = re.compile(r"^[\x21-\x7e]{1,255}$")

Limit = Annotated[int, Query(ge=1, le=100)]
Cursor = Annotated[str | None, Query(max_length=500)]


class Body(BaseModel):
    """A request's body: unknown fields are an error, so that a typing mistake never passes for success."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, str_max_length=100_000)


class StrictRequest(Request):
    """A request whose JSON passes our one strict reader."""

    async def body(self) -> bytes:
        """The whole body, refused while reading when it grows over the limit."""
        if not hasattr(self, "_body"):
            received = bytearray()
            async for part in self.stream():
                received += part
                if len(received) > MAX_JSON_BYTES:
                    raise errors.TooLarge
            self._body = bytes(received)
        return self._body

    async def json(self) -> Any:
        """The body as one JSON object."""
        return strict_json.loads(await self.body())

    def check_media_type(self) -> None:
        """Refuse a body that is not plain JSON; a request without a body passes, and fails later for what it lacks."""
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if self.headers.get("content-encoding", "identity") != "identity":
            raise errors.UnsupportedMedia("Compressed bodies are not read.")
        if kind != "application/json" and (kind or self.headers.get("content-length", "0") != "0"):
            raise errors.UnsupportedMedia("Send application/json.")


class StrictRoute(APIRoute):
    """A route that reads its JSON strictly."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        inner = super().get_route_handler()

        async def handler(request: Request) -> Response:
            reading = StrictRequest(request.scope, request.receive)
            if self.body_field is not None:
                reading.check_media_type()
            return await inner(reading)

        return handler


def services_of(request: Request) -> Services:
    """The services of this application."""
    services: Services = request.app.state.services
    return services


async def once(
    request: Request,
    tenant: TenantId,
    body: BaseModel | None,
    create: Callable[[], Awaitable[tuple[int, dict[str, Any]]]],
) -> JSONResponse:
    """Run a create, or replay its answer when the same Idempotency-Key comes again.

    A create that fails frees its key: the caller may send it again.
    """
    key = request.headers.get("idempotency-key")
    if key is None:
        status, answer = await create()
        return JSONResponse(answer, status)
    if not KEY.match(key):
        raise errors.BadMessage("Idempotency-Key: 1 to 255 printable ASCII characters.")
    db = services_of(request).db
    route = f"{request.method} {request.url.path}"
    digest = hashlib.sha256(
        json.dumps(body.model_dump(mode="json") if body else None, sort_keys=True).encode()
    ).hexdigest()
    begun = await idempotency.begin(db, tenant, key, route, digest)
    if isinstance(begun, idempotency.Replay):
        return JSONResponse(begun.answer, begun.status, {"Idempotency-Replayed": "true"})
    try:
        status, answer = await create()
    except BaseException:
        await idempotency.forget(db, tenant, key, route)
        raise
    await idempotency.finish(db, tenant, key, route, status, answer)
    return JSONResponse(answer, status)


IfMatch = Annotated[str | None, Header(max_length=40)]


def if_version(header: str | None) -> int | None:
    """The version that If-Match names, or None; raises VersionConflict for what can never match."""
    if header is None or header.strip() == "*":
        return None
    text = header.strip().removeprefix("W/").strip('"')
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise errors.VersionConflict("If-Match must hold the ETag of the bot.")
    return int(text)


def page(data: list[dict[str, Any]], next_cursor: str | None) -> dict[str, Any]:
    """A list's answer."""
    return {"data": data, "next_cursor": next_cursor, "has_more": next_cursor is not None}
