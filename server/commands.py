"""The short commands: ask a running server, look whether everything is in place, make a key."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from server.api.pages import Assets
from server.demo import read_access
from server.embedded import make_folders, sockets_of
from server.ids import TenantId
from server.llm.catalog import open_targets
from server.settings import Settings
from server.storage import tenants
from server.storage.database import Database
from server.storage.migrate import migrate

LONGEST_ANSWER_S = 120


def _print(as_json: bool, body: dict[str, Any], text: str) -> None:
    print(json.dumps(body) if as_json else text)


def _fail(text: str) -> int:
    print(f"parlour: {text}", file=sys.stderr)
    return 1


async def ask(settings: Settings, question: str, *, bot: str | None, as_json: bool) -> int:
    """Ask the demo bot (or `bot`) of the server that runs on this data folder; prints the answer and its sources."""
    access = read_access(settings)
    if access is None:
        return _fail("there is no demo in this data folder; start one with `parlour serve --demo`")
    address = f"{settings.url}/v1/bots/{bot or access.bot_id}/messages"
    request = urllib.request.Request(  # noqa: S310 - the address is built from our own settings
        address,
        json.dumps({"text": question}).encode(),
        {"Authorization": f"Bearer {access.api_key}", "Content-Type": "application/json", "Accept": "application/json"},
    )
    try:
        message = await asyncio.to_thread(_fetch, request)
    except urllib.error.HTTPError as failure:
        return _fail(str(json.loads(failure.read()).get("detail", failure.reason)))
    except OSError as failure:
        return _fail(f"no server at {settings.url} ({failure}); start it with `parlour serve --demo`")
    sources = [f"  [{row['n']}] {row['title']}, {row.get('place', '')}" for row in message["sources"] or []]
    _print(as_json, message, "\n".join([message["text"], *sources]))
    return 0


def _fetch(request: urllib.request.Request) -> dict[str, Any]:
    with urllib.request.urlopen(request, timeout=LONGEST_ANSWER_S) as answer:  # noqa: S310 - see above
        body: dict[str, Any] = json.load(answer)
    return body


async def new_key(settings: Settings, tenant: str | None, name: str, *, as_json: bool) -> int:
    """Make an API key; it is printed once and stored only as a hash."""
    if not settings.database_url and not settings.data_dir.exists():
        return _fail(f"there is no data folder {settings.data_dir}; name it with PARLOUR_DATA_DIR")
    db = Database(settings.database)
    try:
        await migrate(db)
        access = read_access(settings)
        owner = TenantId(tenant) if tenant else (access.tenant_id if access else None)
        if owner is None or await tenants.get_tenant(db, owner) is None:
            return _fail("there is no such tenant; name one with --tenant")
        record, key = await tenants.create_api_key(db, owner, name)
        _print(as_json, {"id": record.id, "tenant_id": owner, "key": key}, key)
        return 0
    finally:
        await db.close()


# Doctor ---------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: whether it is well, and what to do if not."""

    part: str
    ok: bool
    detail: str


async def doctor(settings: Settings, *, as_json: bool) -> int:
    """Look at everything a start needs; 1 when something is missing."""
    findings = [await look(settings) for look in LOOKS]
    lines = [f"{'ok  ' if row.ok else 'FAIL'}  {row.part:<12} {row.detail}" for row in findings]
    body = {"findings": [{"part": row.part, "ok": row.ok, "detail": row.detail} for row in findings]}
    _print(as_json, body, "\n".join(lines))
    return 0 if all(row.ok for row in findings) else 1


async def _data(settings: Settings) -> Finding:
    make_folders(settings)
    free = shutil.disk_usage(settings.data_dir).free
    return Finding("data folder", free > 500_000_000, f"{settings.data_dir}, {free / 1e9:.1f} GB free")


async def _port(settings: Settings) -> Finding:
    with socket.socket() as probe:
        taken = probe.connect_ex((settings.host, settings.port)) == 0
    text = "a server answers" if taken else "free"
    return Finding("port", True, f"{settings.host}:{settings.port}: {text}")


async def _browser_side(settings: Settings) -> Finding:
    built = Assets().built
    return Finding("widget", built, "built" if built else "not built: run `make build`")


async def _database(settings: Settings) -> Finding:
    db = Database(settings.database)
    try:
        up = await db.is_up()
    finally:
        await db.close()
    kind = "SQLite" if db.is_sqlite else "PostgreSQL"
    return Finding("database", up, kind if up else f"{kind} does not answer: check PARLOUR_DATABASE_URL")


async def _valkey(settings: Settings) -> Finding:
    if settings.redis_url:
        return Finding("valkey", True, "a server of your own (PARLOUR_REDIS_URL)")
    path = sockets_of(settings).valkey
    return Finding("valkey", True, f"embedded, {'running' if path.exists() else 'starts with the server'}")


async def _models(settings: Settings) -> Finding:
    names = [target.name for target in open_targets(os.environ)]
    if settings.local_model:
        names.insert(0, "local")
    names = [name for name in names if not name.startswith("rules")]
    return Finding("models", True, " > ".join(names) or "none: the bot quotes the documents")


LOOKS: tuple[Callable[[Settings], Awaitable[Finding]], ...] = (_data, _port, _browser_side, _database, _valkey, _models)
