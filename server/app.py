"""The ASGI application over one Services: routes, middleware, error pages."""

from __future__ import annotations

import re
import time
from typing import Any

from fastapi import FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server import __version__
from server.api import auth, bots, conversations, documents, messages, operations, pages, tenants, visitors
from server.api.problems import add_problem_handlers
from server.ids import BotId, new_id
from server.services import Services

ROUTERS = (auth, bots, tenants, documents, conversations, messages, visitors, operations, pages)
DESCRIPTION = (
    "Bots that answer from your own documents. Errors are RFC 9457 problems; every code stands at /docs/errors."
)
# Called by the widget from the sites that embed it: no cookie ever counts here, so any origin may read the answer,
# and the handlers decide by the bot's list of origins.
VISITOR_ROUTES = re.compile(r"/v1/(bots/[^/]+/(widget-config|visitor-tokens)|conversations/[^/]+/(events|commands))")
EXPOSED = "Retry-After, X-Request-Id"


def create_app(services: Services, *, demo_bot: BotId | None = None, assets: pages.Assets | None = None) -> ASGIApp:
    """The application: sockets go to the hub as they are, everything else through the REST routes."""
    rest = FastAPI(
        title="Parlour", version=__version__, description=DESCRIPTION, docs_url=None, redoc_url=None,
        openapi_url="/openapi.json", separate_input_output_schemas=False,
    )  # fmt: skip
    rest.state.services = services
    rest.state.assets = assets or pages.Assets()
    rest.state.demo_bot = demo_bot
    add_problem_handlers(rest)
    for module in ROUTERS:
        rest.include_router(module.router)
    return Front(services, rest)


class Front:
    """Sorts connections by kind, gives each request its id, counts it, and answers for other origins."""

    def __init__(self, services: Services, rest: FastAPI) -> None:
        self._services = services
        self.rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._services.hub.websocket(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await self._lifespan(receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["request_id"] = new_id("request")
        headers = Headers(scope=scope)
        cross_origin = _cross_origin_headers(scope, headers)
        if scope["method"] == "OPTIONS" and cross_origin and "access-control-request-method" in headers:
            await _preflight(send, cross_origin)
            return
        started, status = time.perf_counter(), "500"

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
                answer = MutableHeaders(scope=message)
                answer["X-Request-Id"] = scope["request_id"]
                answer.update(cross_origin)
                answer.setdefault("X-Content-Type-Options", "nosniff")
                if scope["path"].startswith("/v1/"):
                    # Tokens, keys and people's words: nothing of it belongs into a shared cache.
                    answer.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            await self.rest(scope, receive, send_with_headers)
        finally:
            self._count(scope, status, time.perf_counter() - started)

    def _count(self, scope: Scope, status: str, seconds: float) -> None:
        # The route's template, never the path: a path would make a label of every id.
        route = getattr(scope.get("route"), "path", "unknown")
        telemetry = self._services.telemetry
        telemetry.http_requests.labels(scope["method"], route, status).inc()
        telemetry.http_duration.labels(scope["method"], route).observe(seconds)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        """The services are opened before the server and closed after it; there is nothing to do in between."""
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return


def _cross_origin_headers(scope: Scope, headers: Headers) -> dict[str, Any]:
    origin = headers.get("origin")
    if origin is None or not VISITOR_ROUTES.fullmatch(scope["path"]):
        return {}
    return {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": EXPOSED, "Vary": "Origin"}


async def _preflight(send: Send, cross_origin: dict[str, Any]) -> None:
    headers = cross_origin | {
        "Access-Control-Allow-Methods": "GET, POST",
        "Access-Control-Allow-Headers": "Authorization, Content-Type, Last-Event-ID, Parlour-Connection",
        "Access-Control-Max-Age": "7200",
    }
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": 204, "headers": raw})
    await send({"type": "http.response.body", "body": b""})
