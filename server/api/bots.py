"""Bots: their versioned configuration."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import ValidationError

from server import errors
from server.api.auth import Admin, Editor, Principal, Viewer
from server.api.requests import Body, Cursor, IfMatch, Limit, StrictRoute, if_version, once, page, services_of
from server.bot import LOOKS, BotConfig
from server.ids import BotId
from server.storage import bots
from server.storage.database import Database
from server.storage.records import BotRecord

router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["bots"])


class BotChange(Body):
    """The whole configuration or some of its fields; what is left out stays as it is."""

    config: dict[str, Any]


def describe_bot(bot: BotRecord) -> dict[str, Any]:
    """A bot as REST shows it."""
    return {
        "id": bot.id,
        "version": bot.version,
        "knowledge_epoch": bot.knowledge_epoch,
        "config": bot.config.model_dump(mode="json"),
        "created_at": bot.created_at.isoformat(),
        "updated_at": bot.updated_at.isoformat(),
    }


async def find_own_bot(db: Database, principal: Principal, bot: str) -> BotRecord:
    """The caller's bot; a foreign one is as unknown as one that never was."""
    record = await bots.get_bot(db, principal.tenant_id, BotId(bot))
    if record is None:
        raise errors.NotFound(f"There is no bot {bot[:64]!r}.")
    return record


def merge_config(present: BotConfig | None, change: dict[str, Any]) -> BotConfig:
    """The configuration after a change, checked whole; raises BadMessage or UnknownField with a pointer per field."""
    base = present.model_dump(mode="json") if present else {}
    merged = base | {
        name: base[name] | value
        if isinstance(value, dict) and isinstance(base.get(name), dict) and name != "animations"
        else value
        for name, value in change.items()
    }
    try:
        return BotConfig.model_validate(merged)
    except ValidationError as failure:
        raise config_error(failure) from None


def config_error(failure: ValidationError) -> errors.ParlourError:
    """What is wrong with a configuration, field by field."""
    rows = [
        {
            "pointer": "/config/" + "/".join(str(part) for part in row["loc"]),
            "code": "unknown_field" if row["type"] == "extra_forbidden" else "bad_value",
            "detail": row["msg"],
        }
        for row in failure.errors(include_url=False, include_context=False, include_input=False)[:50]
    ]
    kind = errors.UnknownField if any(row["code"] == "unknown_field" for row in rows) else errors.BadMessage
    return kind(f"{rows[0]['pointer']}: {rows[0]['detail']}", errors=rows)


def _tagged(bot: BotRecord, status: int = 200) -> JSONResponse:
    return JSONResponse(describe_bot(bot), status, {"ETag": f'"{bot.version}"'})


@router.get("/avatar-looks", operation_id="avatarLooks.list")
async def list_looks(principal: Viewer) -> dict[str, Any]:
    """The presets of the built-in avatar."""
    return {"data": list(LOOKS), "next_cursor": None, "has_more": False}


@router.get("/bots", operation_id="bots.list")
async def list_bots(request: Request, principal: Viewer, limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
    """The tenant's bots, newest first."""
    found = await bots.list_bots(services_of(request).db, principal.tenant_id, limit=limit, cursor=cursor)
    return page([describe_bot(bot) for bot in found.data], found.next_cursor)


@router.post("/bots", operation_id="bots.create", status_code=201)
async def create_bot(request: Request, body: BotChange, principal: Editor) -> JSONResponse:
    """Make a bot; fields left out take their defaults."""

    async def create() -> tuple[int, dict[str, Any]]:
        config = merge_config(None, body.config)
        return 201, describe_bot(await bots.create_bot(services_of(request).db, principal.tenant_id, config))

    return await once(request, principal.tenant_id, body, create)


@router.get("/bots/{bot}", operation_id="bots.get")
async def get_bot(request: Request, bot: str, principal: Viewer) -> JSONResponse:
    """One bot, with its version as ETag."""
    return _tagged(await find_own_bot(services_of(request).db, principal, bot))


@router.patch("/bots/{bot}", operation_id="bots.update")
async def update_bot(
    request: Request, bot: str, body: BotChange, principal: Editor, if_match: IfMatch = None
) -> JSONResponse:
    """Make a new version; with If-Match only if nobody else did meanwhile (412)."""
    services = services_of(request)
    present = await find_own_bot(services.db, principal, bot)
    config = merge_config(present.config, body.config)
    changed = await bots.update_bot(
        services.db, principal.tenant_id, present.id, config, if_version=if_version(if_match)
    )
    return _tagged(changed)


@router.get("/bots/{bot}/versions", operation_id="bots.versions")
async def list_versions(request: Request, bot: str, principal: Viewer) -> dict[str, Any]:
    """Every configuration this bot has had, newest first."""
    services = services_of(request)
    present = await find_own_bot(services.db, principal, bot)
    rows = await bots.list_versions(services.db, principal.tenant_id, present.id)
    return page(
        [
            {"version": v.version, "config": v.config.model_dump(mode="json"), "created_at": v.created_at.isoformat()}
            for v in rows
        ],
        None,
    )


@router.delete("/bots/{bot}", operation_id="bots.delete", status_code=204)
async def delete_bot(request: Request, bot: str, principal: Admin) -> Response:
    """Remove a bot with its conversations, documents and vectors."""
    services = services_of(request)
    present = await find_own_bot(services.db, principal, bot)
    await services.remove_bot(present)
    return Response(status_code=204)
