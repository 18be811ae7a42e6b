"""Every route times every kind of credential: a route that is missing in the table turns this red."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from fastapi.routing import APIRoute

from server.app import ROUTERS
from server.ids import TenantId
from server.storage import tenants
from server.storage.database import Database
from tests.running import Running

KINDS = ("nobody", "visitor", "foreign", "viewer", "own")
Statuses = tuple[int, int, int, int, int]

# What each credential gets, in the order of KINDS. `foreign` is another tenant's API key: what it may not see it must
# not even know of, so it gets 404 and never 403.
READ: Statuses = (401, 401, 404, 200, 200)
LIST: Statuses = (401, 401, 200, 200, 200)
ADMIN_LIST: Statuses = (401, 401, 200, 403, 200)
CREATE: Statuses = (401, 401, 201, 403, 201)
CHANGE: Statuses = (401, 401, 404, 403, 200)
ACCEPT: Statuses = (401, 401, 404, 403, 202)
REMOVE: Statuses = (401, 401, 404, 403, 204)
PUBLIC: Statuses = (200, 200, 200, 200, 200)
REDIRECT: Statuses = (307, 307, 307, 307, 307)
UNKNOWN_FILE: Statuses = (404, 404, 404, 404, 404)
OPERATOR: Statuses = (401, 401, 401, 401, 401)

EXPECTED: dict[str, Statuses] = {
    "POST /v1/session": (422, 422, 422, 422, 422),  # an empty form: nobody is signed in by a credential of another kind
    "GET /v1/session": (401, 401, 401, 200, 401),
    "DELETE /v1/session": (401, 401, 204, 204, 204),
    "GET /v1/avatar-looks": LIST,
    "GET /v1/bots": LIST,
    "POST /v1/bots": CREATE,
    "GET /v1/bots/{bot}": READ,
    "PATCH /v1/bots/{bot}": CHANGE,
    "GET /v1/bots/{bot}/versions": READ,
    "DELETE /v1/bots/{bot}": REMOVE,
    "GET /v1/tenants": LIST,
    "POST /v1/tenants": OPERATOR,
    "GET /v1/tenants/{tenant}": READ,
    "PATCH /v1/tenants/{tenant}": CHANGE,
    "PUT /v1/tenants/{tenant}/budget": OPERATOR,
    "GET /v1/api-keys": ADMIN_LIST,
    "POST /v1/api-keys": CREATE,
    "DELETE /v1/api-keys/{key}": REMOVE,
    "GET /v1/bots/{bot}/documents": READ,
    "POST /v1/bots/{bot}/documents": ACCEPT,
    "GET /v1/bots/{bot}/documents/events": READ,
    "GET /v1/documents/{document}": READ,
    "DELETE /v1/documents/{document}": ACCEPT,
    "POST /v1/documents/{document}/reindex": ACCEPT,
    "GET /v1/conversations": LIST,
    "GET /v1/conversations/{conversation}": READ,
    "GET /v1/conversations/{conversation}/messages": READ,
    "DELETE /v1/conversations/{conversation}": REMOVE,
    "POST /v1/bots/{bot}/messages": CHANGE,
    "POST /v1/conversations/{conversation}/messages": CHANGE,
    "GET /v1/bots/{bot}/widget-config": PUBLIC,
    "POST /v1/bots/{bot}/visitor-tokens": (201, 201, 201, 201, 201),
    "GET /v1/conversations/{conversation}/events": (401, 200, 401, 401, 401),
    "POST /v1/conversations/{conversation}/commands": (401, 204, 401, 401, 401),
    "GET /health": PUBLIC,
    "GET /health/live": PUBLIC,
    "GET /health/ready": PUBLIC,
    "GET /metrics": PUBLIC,  # from this machine, without a metrics token; from elsewhere see test_security_edges
    "GET /": REDIRECT,
    "GET /favicon.ico": PUBLIC,
    "GET /widget/v1/loader.js": PUBLIC,
    "GET /widget/{path:path}": UNKNOWN_FILE,
    "GET /demo": PUBLIC,
    "GET /demo/{path:path}": UNKNOWN_FILE,
    "GET /console": REDIRECT,
    "GET /console/{path:path}": PUBLIC,
    "GET /docs": PUBLIC,
    "GET /docs/errors": PUBLIC,
    "GET /docs/{path:path}": UNKNOWN_FILE,
}
BODIES: dict[str, dict[str, object]] = {
    "POST /v1/session": {},
    "POST /v1/bots": {"config": {"name": "Made"}},
    "PATCH /v1/bots/{bot}": {"config": {"greeting": "Hello"}},
    "POST /v1/tenants": {"name": "Made", "owner_email": "made@other.example"},
    "PATCH /v1/tenants/{tenant}": {"name": "Renamed"},
    "PUT /v1/tenants/{tenant}/budget": {"monthly_budget_nanousd": None},
    "POST /v1/api-keys": {"name": "Made"},
    "POST /v1/bots/{bot}/messages": {"text": "Hello"},
    "POST /v1/conversations/{conversation}/messages": {"text": "Hello"},
    "POST /v1/bots/{bot}/visitor-tokens": {},
    "POST /v1/conversations/{conversation}/commands": {"type": "typing", "state": "on"},
}


def routes() -> list[str]:
    """Every route the application serves, as `METHOD /path`."""
    found = [route for module in ROUTERS for route in module.router.routes]
    assert all(isinstance(route, APIRoute) for route in found), "a mount or a raw route needs a row of its own here"
    return sorted(
        f"{method} {route.path}" for route in found if isinstance(route, APIRoute) for method in route.methods or ()
    )


def test_the_table_names_every_route_and_no_other() -> None:
    assert set(routes()) == set(EXPECTED)


@dataclass(frozen=True)
class Account:
    """A tenant with its first API key."""

    id: str
    key: str

    @property
    def header(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}


@pytest.fixture(scope="module")
def client(demo: Running) -> Iterator[httpx.Client]:
    """A client without a credential and without a memory for cookies."""
    with httpx.Client(base_url=demo.url, timeout=60, trust_env=False) as opened:
        yield opened


def open_account(client: httpx.Client) -> Account:
    answer = client.post(
        "/v1/tenants",
        json={"name": "Matrix", "owner_email": f"m{uuid.uuid4().hex[:10]}@matrix.example"},
        headers={"Authorization": "Bearer operator-for-tests"},
    )
    assert answer.status_code == 201, answer.text
    return Account(answer.json()["id"], answer.json()["api_key"])


@pytest.fixture(scope="module")
def own(client: httpx.Client) -> Account:
    return open_account(client)


@pytest.fixture(scope="module")
def foreign(client: httpx.Client) -> Account:
    return open_account(client)


async def open_viewer(database: str, tenant: TenantId) -> tuple[str, str]:
    """A member who may only look, signed in: the cookie's value and the CSRF token."""
    db = Database(database)
    try:
        email = f"v{uuid.uuid4().hex[:10]}@matrix.example"
        member = await tenants.create_member(db, tenant, email, "a password for a test", role="viewer")
        token, session = await tenants.open_console_session(db, tenant, member)
        return token, session.csrf_token
    finally:
        await db.close()


@dataclass(frozen=True)
class Stage:
    """One tenant's things, made anew for each route, because some routes remove them."""

    ids: dict[str, str]
    headers: dict[str, dict[str, str]]


@pytest.fixture
def stage(request: pytest.FixtureRequest, demo: Running, client: httpx.Client, own: Account, foreign: Account) -> Stage:
    """Fresh things of `own`, and the headers of each kind of caller."""
    route: str = request.getfixturevalue("route")
    bot = client.post("/v1/bots", json={"config": {"name": "Stage"}}, headers=own.header).json()["id"]
    visitor = client.post(f"/v1/bots/{bot}/visitor-tokens", json={}, headers={"Origin": demo.url}).json()
    ids = {"tenant": own.id, "bot": bot, "conversation": visitor["conversation_id"], "path:path": "no/such/file"}
    if "{key}" in route:
        ids["key"] = client.post("/v1/api-keys", json={"name": "Stage"}, headers=own.header).json()["id"]
    if "{document}" in route:
        file = {"file": ("stage.txt", b"A short text.")}
        ids["document"] = client.post(f"/v1/bots/{bot}/documents", files=file, headers=own.header).json()["id"]
    token, csrf = asyncio.run(open_viewer(f"sqlite+aiosqlite:///{demo.data_dir / 'parlour.db'}", TenantId(own.id)))
    headers = {
        "nobody": {},
        "visitor": {"Authorization": f"Bearer {visitor['token']}"},
        "foreign": foreign.header,
        "viewer": {"Cookie": f"parlour_session={token}", "X-CSRF-Token": csrf},
        "own": own.header,
    }
    return Stage(ids, {kind: value | {"Origin": demo.url} for kind, value in headers.items()})


def path_of(route: str, ids: dict[str, str]) -> str:
    path = route.partition(" ")[2]
    for name, value in ids.items():
        path = path.replace("{" + name + "}", value)
    assert "{" not in path, f"{route} names something this test does not make"
    return path


def status_of(client: httpx.Client, route: str, stage: Stage, kind: str) -> int:
    """Ask once; only the head of the answer is read, because some answers never end."""
    method = route.partition(" ")[0]
    files = {"file": ("a.txt", b"A short text.")} if route == "POST /v1/bots/{bot}/documents" else None
    with client.stream(
        method, path_of(route, stage.ids), headers=stage.headers[kind], json=BODIES.get(route), files=files
    ) as answer:
        assert "set-cookie" not in answer.headers or route == "DELETE /v1/session"
        return answer.status_code


@pytest.mark.parametrize("route", sorted(EXPECTED))
def test_each_credential_gets_what_the_table_says(client: httpx.Client, route: str, stage: Stage) -> None:
    # `own` comes last: it is the one that may remove what the others ask for.
    found = {kind: status_of(client, route, stage, kind) for kind in KINDS}
    assert found == dict(zip(KINDS, EXPECTED[route], strict=True))


@pytest.mark.parametrize(
    "route", [route for route in sorted(EXPECTED) if EXPECTED[route][2] == 404 != EXPECTED[route][0]]
)
def test_a_foreign_thing_looks_like_one_that_never_was(client: httpx.Client, route: str, stage: Stage) -> None:
    """No oracle: but for the id and the request's own number, the two answers are one."""
    method, seen = route.partition(" ")[0], []
    ghosts = {name: f"{value[:-6]}ZZZZZZ" for name, value in stage.ids.items()}
    files = {"file": ("a.txt", b"A short text.")} if route == "POST /v1/bots/{bot}/documents" else None
    for ids in (stage.ids, ghosts):
        answer = client.request(
            method, path_of(route, ids), headers=stage.headers["foreign"], json=BODIES.get(route), files=files
        )
        text = answer.text.replace(answer.headers["x-request-id"], "")
        for value in ids.values():
            text = text.replace(value, "ID")
        seen.append((answer.status_code, text))
    assert seen[0] == seen[1]
    assert seen[0][0] == 404


@pytest.mark.parametrize("route", [route for route in sorted(EXPECTED) if EXPECTED[route][4] in {201, 202, 204}])
def test_a_cookie_alone_changes_nothing(client: httpx.Client, route: str, stage: Stage) -> None:
    """Whatever changes something through the console's cookie needs the CSRF token, too."""
    if EXPECTED[route][0] != 401:
        pytest.skip("public")
    headers = {name: value for name, value in stage.headers["viewer"].items() if name != "X-CSRF-Token"}
    method = route.partition(" ")[0]
    answer = client.request(method, path_of(route, stage.ids), headers=headers, json=BODIES.get(route))
    assert (answer.status_code, answer.json()["code"]) == (403, "csrf_failed")


@pytest.mark.parametrize("route", [route for route in sorted(EXPECTED) if EXPECTED[route][:2] == (401, 401)])
def test_two_credentials_are_one_too_many(client: httpx.Client, route: str, stage: Stage) -> None:
    if route in {"POST /v1/tenants", "PUT /v1/tenants/{tenant}/budget", "GET /v1/session"}:
        pytest.skip("reads one kind of credential only")
    headers = stage.headers["viewer"] | {"Authorization": stage.headers["own"]["Authorization"]}
    method = route.partition(" ")[0]
    answer = client.request(method, path_of(route, stage.ids), headers=headers, json=BODIES.get(route))
    assert (answer.status_code, answer.json()["code"]) == (400, "two_credentials")
