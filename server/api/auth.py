"""Who is asking: one extractor for every kind of credential, one table of roles."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse

from server import errors
from server.api.requests import Body, StrictRoute, services_of
from server.ids import TenantId
from server.services import Services
from server.storage import credentials, tenants
from server.storage.records import ConsoleSession, TenantRecord

Role = Literal["viewer", "editor", "admin", "owner", "operator"]
RANKS: dict[str, int] = {"viewer": 0, "editor": 1, "admin": 2, "owner": 3}
COOKIE = "parlour_session"
SECURE_COOKIE = "__Host-parlour_session"
URL_CREDENTIALS = frozenset({"token", "access_token", "api_key", "apikey", "key", "authorization"})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["session"])


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking, for which tenant, and what it may do."""

    tenant: TenantRecord
    kind: Literal["api_key", "member"]
    role: str
    name: str

    @property
    def tenant_id(self) -> TenantId:
        """The tenant whose rows this caller may see."""
        return self.tenant.id


def bearer(request: Request) -> str | None:
    """The Authorization header's token; raises for credentials in the URL or a second header."""
    if URL_CREDENTIALS & {name.lower() for name in request.query_params}:
        raise errors.TokenInUrl
    headers = request.headers.getlist("authorization")
    if len(headers) > 1:
        raise errors.TwoCredentials
    if not headers:
        return None
    scheme, _, token = headers[0].partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise errors.Unauthorized("Use Authorization: Bearer.")
    return token.strip()


async def current_principal(request: Request) -> Principal:
    """The caller behind an API key or a console cookie; raises Unauthorized, CsrfFailed, TenantSuspended."""
    services = services_of(request)
    token, cookie = bearer(request), _cookie(request)
    if token is not None and cookie is not None:
        raise errors.TwoCredentials
    if token is not None:
        return await _by_api_key(services, token)
    if cookie is not None:
        return await _by_cookie(services, request, cookie)
    raise errors.Unauthorized


async def still_holds(request: Request) -> bool:
    """Whether the credential a long answer began with is still good."""
    try:
        await current_principal(request)
    except errors.ParlourError:
        return False
    return True


def require(role: Role):  # type: ignore[no-untyped-def]
    """A dependency that lets only callers of this rank or a higher one pass."""

    async def check(principal: Annotated[Principal, Depends(current_principal)]) -> Principal:
        if RANKS[principal.role] < RANKS[role]:
            raise errors.NotPermitted(f"This needs the role {role}.")
        return principal

    return check


Viewer = Annotated[Principal, Depends(require("viewer"))]
Editor = Annotated[Principal, Depends(require("editor"))]
Admin = Annotated[Principal, Depends(require("admin"))]


def require_operator(request: Request) -> None:
    """Only the operator's token opens a tenant; without the setting nobody does."""
    expected = services_of(request).settings.operator_token
    given = bearer(request) or ""
    if not expected or not secrets.compare_digest(given.encode(), expected.encode()):
        raise errors.Unauthorized("The operator's token is needed (PARLOUR_OPERATOR_TOKEN).")


async def _by_api_key(services: Services, token: str) -> Principal:
    record = await credentials.find_api_key(services.db, token)
    if record is None:
        raise errors.Unauthorized
    return Principal(await _active(services, record.tenant_id), "api_key", "admin", record.name)


async def _by_cookie(services: Services, request: Request, cookie: str) -> Principal:
    session = await credentials.find_console_session(services.db, cookie)
    if session is None:
        raise errors.Unauthorized("The session has ended; sign in again.")
    _check_csrf(request, session)
    return Principal(
        await _active(services, session.member.tenant_id), "member", session.member.role, session.member.email
    )


def _check_csrf(request: Request, session: ConsoleSession) -> None:
    if request.method in SAFE_METHODS:
        return
    given = request.headers.get("x-csrf-token", "")
    if not secrets.compare_digest(given.encode(), session.csrf_token.encode()):
        raise errors.CsrfFailed


async def _active(services: Services, tenant: TenantId) -> TenantRecord:
    record = await tenants.get_tenant(services.db, tenant)
    if record is None:
        raise errors.Unauthorized
    if record.status != "active":
        raise errors.TenantSuspended
    return record


def _cookie(request: Request) -> str | None:
    """The session's cookie; on https only the name that browsers let no sibling domain set."""
    return request.cookies.get(SECURE_COOKIE if _is_https(request) else COOKIE)


def _is_https(request: Request) -> bool:
    return services_of(request).settings.url.startswith("https://")


# The console's session ------------------------------------------------------------------------------------------------
class Login(Body):
    email: str
    password: str


@router.post("/session", operation_id="session.open", summary="Sign in to the console")
async def sign_in(login: Login, request: Request) -> JSONResponse:
    """Open a session; the answer's cookie is HttpOnly, its csrf_token goes back with every change."""
    services = services_of(request)
    await services.login_limit(login.email, services.address_of(request.scope))
    member = await credentials.check_login(services.db, login.email, login.password)
    if member is None:
        raise errors.LoginFailed
    token, session = await tenants.open_console_session(services.db, member.tenant_id, member)
    answer = JSONResponse(await _describe(services, session))
    secure = _is_https(request)
    name = SECURE_COOKIE if secure else COOKIE
    answer.set_cookie(name, token, httponly=True, samesite="lax", secure=secure, path="/", expires=session.expires_at)
    return answer


@router.get("/session", operation_id="session.get", summary="Who is signed in")
async def who(request: Request) -> JSONResponse:
    """The member, the tenant and the CSRF token of this session."""
    cookie = _cookie(request)
    session = await credentials.find_console_session(services_of(request).db, cookie) if cookie else None
    if session is None:
        raise errors.Unauthorized("Nobody is signed in.")
    return JSONResponse(await _describe(services_of(request), session))


@router.delete("/session", operation_id="session.close", status_code=204, summary="Sign out")
async def sign_out(request: Request, principal: Viewer) -> Response:
    """End the session; its cookie is worth nothing afterwards."""
    cookie = _cookie(request)
    if cookie:
        await tenants.close_console_session(services_of(request).db, principal.tenant_id, cookie)
    answer = Response(status_code=204)
    answer.delete_cookie(COOKIE, path="/")
    answer.delete_cookie(SECURE_COOKIE, path="/", secure=True)
    return answer


async def _describe(services: Services, session: ConsoleSession) -> dict[str, object]:
    tenant = await _active(services, session.member.tenant_id)
    return {
        "member": {"id": session.member.id, "email": session.member.email, "role": session.member.role},
        "tenant": {"id": tenant.id, "name": tenant.name},
        "csrf_token": session.csrf_token,
    }
