"""Tenants and their API keys."""

from __future__ import annotations

import json
import secrets
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from server import errors
from server.api.auth import Admin, Viewer, require_operator
from server.api.requests import Body, Cursor, Limit, StrictRoute, once, page, services_of
from server.ids import ApiKeyId, TenantId, new_id
from server.storage import tenants
from server.storage.records import ApiKeyRecord, TenantRecord

router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["tenants"])
Name = Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[^\x00-\x1f\x7f]+$")]
Money = Annotated[int | None, Field(ge=0, le=9_000_000_000_000_000)]


class NewTenant(Body):
    name: Name
    owner_email: Annotated[str, Field(pattern=r"^[^@\s]{1,64}@[^@\s]{1,189}$")]
    monthly_budget_nanousd: Money = None


class TenantChange(Body):
    name: Name | None = None
    monthly_budget_nanousd: Money = None


class Budget(Body):
    monthly_budget_nanousd: Money


class NewApiKey(Body):
    name: Name
    expires_at: datetime | None = None


def describe_tenant(tenant: TenantRecord) -> dict[str, Any]:
    """A tenant as REST shows it."""
    return {
        "id": tenant.id,
        "name": tenant.name,
        "status": tenant.status,
        "monthly_budget_nanousd": tenant.monthly_budget_nanousd,
        "messages_per_minute": tenant.messages_per_minute,
        "created_at": tenant.created_at.isoformat(),
    }


def describe_key(key: ApiKeyRecord) -> dict[str, Any]:
    """An API key as REST shows it: never the key itself."""
    return {
        "id": key.id,
        "name": key.name,
        "last_four": key.last_four,
        "created_at": key.created_at.isoformat(),
        "expires_at": key.expires_at.isoformat() if key.expires_at else None,
        "revoked_at": key.revoked_at.isoformat() if key.revoked_at else None,
        "last_used_at": key.last_used_at.isoformat() if key.last_used_at else None,
    }


@router.get("/tenants", operation_id="tenants.list")
async def list_tenants(principal: Viewer) -> dict[str, Any]:
    """The caller's tenant: the only one it can know of."""
    return page([describe_tenant(principal.tenant)], None)


@router.post("/tenants", operation_id="tenants.create", status_code=201, dependencies=[Depends(require_operator)])
async def create_tenant(request: Request, body: NewTenant) -> JSONResponse:
    """Open a tenant with an owner and a first API key; the operator's token is needed. Both secrets are shown once."""
    db = services_of(request).db
    tenant, password = TenantId(new_id("tenant")), secrets.token_urlsafe(12)
    record = await tenants.create_tenant(db, tenant, body.name, monthly_budget_nanousd=body.monthly_budget_nanousd)
    owner = await tenants.create_member(db, tenant, body.owner_email, password, role="owner")
    _, key = await tenants.create_api_key(db, tenant, "first key")
    answer = describe_tenant(record) | {"owner": {"email": owner.email, "password": password}, "api_key": key}
    return JSONResponse(answer, 201)


@router.get("/tenants/{tenant}", operation_id="tenants.get")
async def get_tenant(tenant: str, principal: Viewer) -> dict[str, Any]:
    """The caller's tenant."""
    if tenant != principal.tenant_id:
        raise errors.NotFound
    return describe_tenant(principal.tenant)


@router.patch("/tenants/{tenant}", operation_id="tenants.update")
async def update_tenant(request: Request, tenant: str, body: TenantChange, principal: Admin) -> dict[str, Any]:
    """Change the name, or lower the monthly budget: the models are paid by the operator, who alone may raise it."""
    if tenant != principal.tenant_id:
        raise errors.NotFound
    changes = body.model_dump(exclude_unset=True)
    if changes.get("name", "") is None:
        raise errors.BadMessage("/name: a tenant has a name")
    if "monthly_budget_nanousd" in changes and _raises(
        principal.tenant.monthly_budget_nanousd, changes["monthly_budget_nanousd"]
    ):
        raise errors.NotPermitted("A tenant may lower its budget; the operator raises it.")
    return describe_tenant(await tenants.update_tenant(services_of(request).db, principal.tenant_id, **changes))


def _raises(present: int | None, wanted: int | None) -> bool:
    """Whether a budget would grow; None is no limit."""
    return present is not None and (wanted is None or wanted > present)


@router.put("/tenants/{tenant}/budget", operation_id="tenants.setBudget", dependencies=[Depends(require_operator)])
async def set_budget(request: Request, tenant: str, body: Budget) -> dict[str, Any]:
    """Set a tenant's monthly budget (null: no limit); the operator's token is needed."""
    changed = await tenants.update_tenant(
        services_of(request).db, TenantId(tenant), monthly_budget_nanousd=body.monthly_budget_nanousd
    )
    return describe_tenant(changed)


@router.get("/api-keys", operation_id="apiKeys.list")
async def list_keys(request: Request, principal: Admin, limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
    """The tenant's API keys, without the keys."""
    found = await tenants.list_api_keys(services_of(request).db, principal.tenant_id, limit=limit, cursor=cursor)
    return page([describe_key(key) for key in found.data], found.next_cursor)


@router.post("/api-keys", operation_id="apiKeys.create", status_code=201)
async def create_key(request: Request, body: NewApiKey, principal: Admin) -> JSONResponse:
    """Make a key; it is in this answer and never shown again, so a repeat with the same Idempotency-Key is refused."""
    if body.expires_at is not None and body.expires_at.tzinfo is None:
        raise errors.BadMessage("/expires_at: say the time zone")

    async def create() -> tuple[int, dict[str, Any]]:
        db = services_of(request).db
        record, shown_once["key"] = await tenants.create_api_key(
            db, principal.tenant_id, body.name, expires_at=body.expires_at
        )
        return 201, describe_key(record)

    # The stored answer must not hold the secret: the key joins the first answer only.
    shown_once: dict[str, str] = {}
    answer = await once(request, principal.tenant_id, body, create)
    return JSONResponse(json.loads(bytes(answer.body)) | shown_once, answer.status_code) if shown_once else answer


@router.delete("/api-keys/{key}", operation_id="apiKeys.revoke", status_code=204)
async def revoke_key(request: Request, key: str, principal: Admin) -> Response:
    """Make a key worthless at once."""
    if not await tenants.revoke_api_key(services_of(request).db, principal.tenant_id, ApiKeyId(key)):
        raise errors.NotFound
    return Response(status_code=204)
