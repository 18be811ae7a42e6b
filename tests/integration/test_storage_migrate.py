"""Migrations: alone, together, up and down, and whole or not at all."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

from server.bot import BotConfig
from server.ids import TenantId
from server.storage import bots, tenants
from server.storage import migrate as migrating
from server.storage.database import Base, Database
from server.storage.migrate import configuration, migrate

ROOT = Path(__file__).parents[2]
MIGRATE = (
    "import asyncio, sys; from server.storage.database import Database; from server.storage.migrate import migrate; \
asyncio.run(migrate(Database(sys.argv[1])))"
)


async def tables_of(db: Database) -> set[str]:
    async with db.engine.connect() as connection:
        return set(await connection.run_sync(lambda sync: inspect(sync).get_table_names()))


async def test_processes_that_start_at_once_migrate_once(empty_db: Database) -> None:
    command_line = [sys.executable, "-c", MIGRATE, empty_db.url]
    processes = [
        await asyncio.create_subprocess_exec(*command_line, cwd=ROOT, stderr=subprocess.PIPE) for _ in range(3)
    ]
    for process in processes:
        _, problems = await process.communicate()
        assert process.returncode == 0, problems.decode()
    assert set(Base.metadata.tables) < await tables_of(empty_db)


async def test_callers_of_one_process_too(empty_db: Database) -> None:
    await asyncio.gather(*(migrate(empty_db) for _ in range(4)))
    assert set(Base.metadata.tables) < await tables_of(empty_db)


async def test_up_down_up(empty_db: Database) -> None:
    await migrate(empty_db)
    async with empty_db.engine.begin() as connection:
        await connection.run_sync(downgrade)
    assert await tables_of(empty_db) == {"alembic_version"}
    await migrate(empty_db)
    await migrate(empty_db)
    await tenants.create_tenant(empty_db, TenantId("ten_1"), "A")
    assert (await bots.create_bot(empty_db, TenantId("ten_1"), BotConfig())).version == 1


def downgrade(connection: Connection) -> None:
    config = configuration()
    config.attributes["connection"] = connection
    command.downgrade(config, "base")


async def test_the_schema_is_what_the_tables_say(db: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, Base.metadata))

    async with db.engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_a_migration_that_fails_leaves_nothing(empty_db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = migrating._upgrade

    def broken(connection: Connection) -> None:
        whole(connection)
        connection.execute(text("SELECT nonsense"))

    monkeypatch.setattr(migrating, "_upgrade", broken)
    with pytest.raises(Exception, match="nonsense"):
        await migrate(empty_db)
    assert await tables_of(empty_db) == set()
    monkeypatch.setattr(migrating, "_upgrade", whole)
    await migrate(empty_db)
    assert set(Base.metadata.tables) < await tables_of(empty_db)


async def test_foreign_keys_hold_after_a_migration(tmp_path: Path) -> None:
    db = Database(f"sqlite+aiosqlite:///{tmp_path / 'test.db'}")
    await migrate(db)
    async with asyncio.TaskGroup() as group:
        for _ in range(6):
            group.create_task(foreign_keys_are_on(db))
    await db.close()


async def foreign_keys_are_on(db: Database) -> None:
    async with db.session() as session:
        assert await session.scalar(text("PRAGMA foreign_keys")) == 1
        assert await session.scalar(text("PRAGMA secure_delete")) == 1
