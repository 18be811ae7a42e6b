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
from sqlalchemy import Connection

from server.storage.database import Database

MIGRATIONS = Path(__file__).with_name("migrations")
# Any fixed number: whoever migrates this database on PostgreSQL holds this lock, until its transaction is over.
ADVISORY_LOCK = 7_215_001
# By database: a migration happens whole or not at all. SQLite changes a table by copying and dropping it, and a drop
# deletes what refers to it unless foreign keys are off; inside a transaction they cannot be switched.
_BEFORE: dict[bool, tuple[str, ...]] = {
    True: ("PRAGMA foreign_keys=OFF", "BEGIN IMMEDIATE"),
    False: (f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})",),
}


async def migrate(db: Database) -> None:
    """Upgrade to the newest revision; a database that is there already costs one query."""
    async with _alone(db), db.engine.connect() as connection:
        for statement in _BEFORE[db.is_sqlite]:
            await connection.exec_driver_sql(statement)
        try:
            await connection.run_sync(_upgrade)
            await connection.commit()
        finally:
            await connection.rollback()
            if db.is_sqlite:
                await connection.exec_driver_sql("PRAGMA foreign_keys=ON")


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
    with await asyncio.to_thread(Path(f"{name}.migrate.lock").open, "a") as lock:
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
        yield
