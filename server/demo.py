"""The demo: a tenant, a bot and the handbook, made on the first start and kept."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import secrets
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import knowledge
from server import errors
from server.bot import BotConfig
from server.ids import BotId, TenantId, new_id
from server.services import Services
from server.settings import Settings
from server.storage import bots, documents, tenants
from server.storage.records import DocumentRecord

HANDBOOK = Path(knowledge.__file__).parent / "handbook"
OWNER_EMAIL = "owner@demo.example"
LONGEST_INDEXING_S = 300.0
DEMO_BOT = BotConfig(
    name="Nova",
    persona=(
        "You are Nova, the guide of Parlour, a self-hosted chat server with a 3D avatar. "
        "You help people to set it up and to use it. You are friendly, precise and brief."
    ),
    greeting="Hi, I'm Nova! Ask me anything about Parlour: I answer from its own handbook.",
    starters=(
        "How do I put the chat on my website?",
        "Which file formats can I upload?",
        "How do I use my own OpenAI key?",
    ),
    languages=("en", "de", "es", "fr"),
)


@dataclass(frozen=True, slots=True)
class DemoAccess:
    """What the newcomer needs; kept in the data folder, readable by its owner alone."""

    tenant_id: TenantId
    bot_id: BotId
    api_key: str
    owner_email: str
    owner_password: str

    def as_json(self) -> dict[str, str]:
        """The fields of the ready file."""
        return {name: value for name, value in asdict(self).items() if name != "tenant_id"}


async def open_demo(services: Services) -> DemoAccess:
    """The demo tenant and bot: made on the first start, found again on every later one."""
    access = read_access(services.settings)
    if access is None or await bots.get_bot(services.db, access.tenant_id, access.bot_id) is None:
        access = await _create(services)
        _write(_path(services.settings), access)
    await _index_handbook(services, access)
    return access


async def _create(services: Services) -> DemoAccess:
    db, tenant, password = services.db, TenantId(new_id("tenant")), secrets.token_urlsafe(12)
    await tenants.create_tenant(db, tenant, "Demo")
    email = OWNER_EMAIL
    try:
        await tenants.create_member(db, tenant, email, password, role="owner")
    except errors.Conflict:
        # The demo's file was lost but its first owner is still there: an e-mail address is unique.
        email = f"owner-{secrets.token_hex(3)}@demo.example"
        await tenants.create_member(db, tenant, email, password, role="owner")
    _, key = await tenants.create_api_key(db, tenant, "demo")
    bot = await bots.create_bot(db, tenant, DEMO_BOT)
    return DemoAccess(tenant, bot.id, key, email, password)


async def _index_handbook(services: Services, access: DemoAccess) -> None:
    """Upload the pages that are new or changed; the worker does the rest."""
    present = {row.name: row for row in await _documents(services, access)}
    for page in sorted(HANDBOOK.glob("*.md")):
        body = await asyncio.to_thread(page.read_bytes)
        known = present.get(page.name)
        # Compared before it is stored: a start with nothing new writes nothing.
        if known is None or known.sha256 != hashlib.sha256(body).hexdigest():
            await _upload(services, access, page.name, body)


async def _upload(services: Services, access: DemoAccess, name: str, body: bytes) -> None:
    stored = await services.files.put(access.tenant_id, _whole(body), max_bytes=services.settings.max_upload_bytes)
    document = await documents.create_document(
        services.db, access.tenant_id, access.bot_id, name=name, media_type="text/markdown", stored=stored
    )
    await services.queue.enqueue_ingest(access.tenant_id, document)


async def _whole(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def _documents(services: Services, access: DemoAccess) -> tuple[DocumentRecord, ...]:
    found = await documents.list_documents(services.db, access.tenant_id, access.bot_id, limit=100, cursor=None)
    return found.data


async def announce(services: Services, access: DemoAccess) -> None:
    """Print the progress of the first indexing, then the addresses and the login."""
    await _print_progress(services, access)
    url = services.settings.url
    lines = [
        "",
        "  Parlour is ready.",
        "",
        f"  Demo page   {url}/demo",
        f"  Console     {url}/console/",
        f"  Sign in     {access.owner_email}   password: {access.owner_password}",
        f"  API docs    {url}/docs",
        "",
        f"  Answers     {_answers_from(services)}",
        "  Ctrl-C stops everything; your data stays in " + str(services.settings.data_dir),
        "",
    ]
    print("\n".join(lines), flush=True)


def _answers_from(services: Services) -> str:
    names = [target.name for target in services.gateway.targets]
    if len(names) == 1:
        return "from the handbook's own sentences (set OPENAI_API_KEY or PARLOUR_LOCAL_MODEL=default for a model)"
    return " > ".join(names)


async def _print_progress(services: Services, access: DemoAccess) -> None:
    shown, deadline = "", asyncio.get_running_loop().time() + LONGEST_INDEXING_S
    while asyncio.get_running_loop().time() < deadline:
        rows = await _documents(services, access)
        done = sum(row.status in {"ready", "failed"} for row in rows)
        if done == len(rows):
            break
        line = f"Indexing the handbook: {done} of {len(rows)} pages"
        if line != shown and done < len(rows):
            print(line, flush=True)
            shown = line
        await asyncio.sleep(0.25)
    if shown:
        print("Indexing the handbook: done", flush=True)
    for row in await _documents(services, access):
        if row.status == "failed":
            print(f"  {row.name}: {row.error}", flush=True)


def read_access(settings: Settings) -> DemoAccess | None:
    """The demo's credentials, or None where there is no demo."""
    try:
        body: dict[str, Any] = json.loads(_path(settings).read_text())
        return DemoAccess(**body)
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _path(settings: Settings) -> Path:
    return settings.data_dir / "demo.json"


def _write(path: Path, access: DemoAccess) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(asdict(access), file, indent=2)
