"""Brings the database to the newest schema; safe when several processes start at once."""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from server.storage.database import Database

MIGRATIONS = Path(__file__).with_name("migrations")
# Any fixed number: whoever migrates this database on PostgreSQL holds this lock.
ADVISORY_LOCK = 7_215_001


async def migrate(db: Database) -> None:
    """Upgrade to the newest revision; a database that is there already costs one query."""
    async with _alone(db), db.engine.connect() as connection:
        if db.is_sqlite:
            await connection.run_sync(_upgrade)
        else:
            await connection.execute(text(f"SELECT pg_advisory_lock({ADVISORY_LOCK})"))
            try:
                await connection.run_sync(_upgrade)
            finally:
                await connection.execute(text(f"SELECT pg_advisory_unlock({ADVISORY_LOCK})"))
        await connection.commit()


def _upgrade(connection: Connection) -> None:
    config = configuration()
    config.attributes["connection"] = connection
    newest = ScriptDirectory.from_config(config).get_current_head()
    if MigrationContext.configure(connection).get_current_revision() != newest:
        command.upgrade(config, "head")


def configuration() -> Config:
    """Alembic's settings: they live here, there is no ini file to forget."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


@asynccontextmanager
async def _alone(db: Database) -> AsyncIterator[None]:
    """SQLite has no lock that outlives a statement, so processes on one file take turns by a file beside it."""
    name = db.engine.url.database
    if not db.is_sqlite or not name or name == ":memory:":
        yield
        return
    with Path(f"{name}.migrate.lock").open("a") as lock:
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
        yield
