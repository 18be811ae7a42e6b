"""For operators: health, metrics, the API's own description."""

from __future__ import annotations

import ipaddress
import secrets

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST

from server import errors
from server.api.auth import bearer
from server.api.requests import services_of

router = APIRouter(tags=["operations"])
FORWARDED = {"forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip"}


@router.get("/health/live", operation_id="health.live", summary="Does the process turn?")
async def live() -> dict[str, str]:
    """200 as long as the event loop answers."""
    return {"status": "live"}


@router.get("/health/ready", operation_id="health.ready", summary="Does it take new work?")
async def ready(request: Request) -> JSONResponse:
    """200 when new visitors are welcome, 503 while starting or draining."""
    services = services_of(request)
    state = services.readiness()
    return JSONResponse({"status": state}, 200 if state == "ready" else 503)


@router.get("/health", operation_id="health.get", summary="Up, or degraded")
async def health(request: Request) -> JSONResponse:
    """One word for everybody; the state of each part only for the machine itself or the metrics token."""
    services = services_of(request)
    parts = await services.part_states()
    word = "ok" if all(state == "ok" for state in parts.values()) else "degraded"
    body: dict[str, object] = {"status": word}
    if _may_look(request):
        body["parts"] = parts
    return JSONResponse(body)


@router.get("/metrics", operation_id="metrics.get", summary="Prometheus text")
async def metrics(request: Request) -> Response:
    """Every metric of this process; from loopback, or with PARLOUR_METRICS_TOKEN."""
    if not _may_look(request):
        raise errors.Unauthorized("Metrics need the token of PARLOUR_METRICS_TOKEN.")
    services = services_of(request)
    await services.refresh_gauges()
    return Response(services.telemetry.render(), media_type=CONTENT_TYPE_LATEST)


def _may_look(request: Request) -> bool:
    settings = services_of(request).settings
    if settings.metrics_token:
        return secrets.compare_digest((bearer(request) or "").encode(), settings.metrics_token.encode())
    # Behind a proxy every peer is local: then the token is the only way. A page that points its own name at this
    # machine is told by that name in the Host header.
    if settings.public_url or FORWARDED & set(request.headers):
        return False
    return request.client is not None and _is_loopback(request.client.host) and _is_loopback(request.url.hostname or "")


def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
