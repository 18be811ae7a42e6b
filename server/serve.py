"""`parlour serve`: children, database, services, application, server; then in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

from server.app import create_app
from server.demo import DemoAccess, announce, open_demo
from server.embedded import ChildFailed, Children, Owner, embedded_children, make_folders, worker_child
from server.hub.serve import listen, make_server
from server.jobs.worker import run_worker
from server.llm.local import LocalModelFailed
from server.services import Services, open_services
from server.settings import SettingError, Settings
from server.telemetry import logger

_log = logger("serve")


@dataclass(frozen=True, slots=True)
class Family:
    """The children this process owns; empty when another process on the data folder owns them."""

    children: Children
    is_owner: bool


async def serve(settings: Settings, *, demo: bool, ready_file: Path | None) -> int:
    """Run until SIGTERM or Ctrl-C; 0 after a clean drain, 1 when something could not start."""
    try:
        # Bound first: a port in use must be told before anything starts.
        listening = listen(settings.host, settings.port)
    except OSError as problem:
        print(f"parlour: cannot listen on {settings.host}:{settings.port}: {problem.strerror}", file=sys.stderr)
        return 1
    settings = replace(settings, port=listening.getsockname()[1])
    try:
        async with AsyncExitStack() as stack:
            stack.callback(listening.close)
            family = await stack.enter_async_context(open_family(settings))
            services = await stack.enter_async_context(open_services(settings, family.children))
            access = await open_demo(services) if demo else None
            await run_server(settings, services, family, listening, access, ready_file)
    except (ChildFailed, LocalModelFailed, SettingError, PermissionError) as problem:
        print(f"parlour: {problem}", file=sys.stderr)
        return 1
    return 0


async def run_server(
    settings: Settings, services: Services, family: Family, listening: socket.socket, access: DemoAccess | None,
    ready_file: Path | None,
) -> None:  # fmt: skip
    """Serve HTTP; beside it start the worker and tell the addresses once everything is ready."""
    app = create_app(services, demo_bot=access.bot_id if access else None)
    server = make_server(app, settings, lambda: services.hub)
    background = asyncio.create_task(_beside(settings, services, family, access, ready_file))
    # The server raises the signal that ended it once more when it is done; the parts must still be closed after it.
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, _already_heard)
    try:
        await server.serve(sockets=[listening])
    finally:
        background.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await background


def _already_heard(_signal: int, _frame: FrameType | None) -> None:
    """The drain is over: what follows is an orderly end."""


async def _beside(
    settings: Settings,
    services: Services,
    family: Family,
    access: DemoAccess | None,
    ready_file: Path | None,
) -> None:
    try:
        if family.is_owner and settings.worker:
            await family.children.start(worker_child(settings.run_dir / "worker.ready"))
        services.mark_ready()
        if access is not None:
            await announce(services, access)
        else:
            print(f"Parlour listens on {settings.url}", flush=True)
        if ready_file is not None:
            write_ready_file(ready_file, settings, access)
    except asyncio.CancelledError:
        raise
    except Exception:
        # Without this the server would go on half started and nobody would know why.
        _log.exception("the start did not finish")


def write_ready_file(path: Path, settings: Settings, access: DemoAccess | None) -> None:
    """Write the addresses (and the demo's credentials) readable by us alone, whole or not at all."""
    body = {"url": settings.url, "console_url": f"{settings.url}/console/"}
    if access is not None:
        body |= {"demo_url": f"{settings.url}/demo", **access.as_json()}
    part = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(body, file, indent=2)
    part.replace(path)


async def work(settings: Settings, ready_file: Path | None) -> None:
    """`parlour worker`: on a machine of its own it brings the children it needs, beside a server it uses the server's."""
    async with open_family(settings):
        await run_worker(settings, ready_file=ready_file)


@asynccontextmanager
async def open_family(settings: Settings) -> AsyncIterator[Family]:
    """Own the data folder's children, or use those of the process that does."""
    make_folders(settings)
    owner, children = Owner(settings), Children(settings.run_dir)
    is_owner = owner.take()
    try:
        if is_owner:
            for child in embedded_children(settings):
                await children.start(child)
        yield Family(children, is_owner)
    finally:
        await children.stop()
        owner.free()
