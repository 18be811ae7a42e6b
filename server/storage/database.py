"""The SQL door: engine, sessions, and the scope that keeps one tenant from another.

SQLite serves one machine, PostgreSQL many; the same functions run on both. Every query function in this room takes a
TenantId, and `tests/unit/storage/test_tenant_scope.py` fails one that does not.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, MetaData, TypeDecorator, event, text
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase

from server import errors

NAMING = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """All tables; named constraints, so that migrations can drop them on every database."""

    metadata = MetaData(naming_convention=NAMING)


class Utc(TypeDecorator[datetime]):
    """An instant: stored in UTC, read with its zone (SQLite forgets it)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value if value is None or value.tzinfo else value.replace(tzinfo=UTC)


Json = JSON(none_as_null=True)


def now() -> datetime:
    """This instant in UTC."""
    return datetime.now(UTC)


class Database:
    """One engine per process; `session()` reads, `transaction()` writes."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine: AsyncEngine = create_async_engine(url, **_engine_options(url))
        if self.is_sqlite:
            event.listen(self.engine.sync_engine, "connect", _prepare_sqlite)
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        # SQLite has one writer: waiting here is cheaper than being refused there and trying again.
        self._writing: AbstractAsyncContextManager[Any] = asyncio.Lock() if self.is_sqlite else nullcontext()

    @property
    def is_sqlite(self) -> bool:
        """Whether this is the one-machine database."""
        return self.url.startswith("sqlite")

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """A session for reading."""
        with _documented_failures():
            async with self._sessions() as session:
                yield session

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """A session that commits at its end, or rolls back if its body raises."""
        with _documented_failures():
            async with self._writing, self._sessions.begin() as session:
                yield session

    async def is_up(self) -> bool:
        """Whether the database answers a trivial query."""
        try:
            async with self._sessions() as session:
                await session.execute(text("SELECT 1"))
        except (SQLAlchemyError, OSError):
            return False
        return True

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()


# SQLSTATE classes of a database that cannot do it now: connection, rollback, resources, locks, shutdown.
_NOT_NOW = frozenset({"08", "40", "53", "55", "57"})
_BAD_DATA = "22"


@contextmanager
def _documented_failures() -> Iterator[None]:
    """Say what the database cannot do in our own terms; a violated constraint is left to the caller, who knows why."""
    try:
        yield
    except IntegrityError:
        raise
    except (DBAPIError, PoolTimeoutError, OSError) as failure:
        documented = _documented(failure)
        if documented is None:
            raise
        raise documented from failure


def _documented(failure: DBAPIError | PoolTimeoutError | OSError) -> errors.ParlourError | None:
    if not isinstance(failure, DBAPIError):
        return errors.Unavailable("The database is away.", retry_after_s=1)
    original = failure.orig
    state = str(getattr(original, "sqlstate", None) or "")
    # asyncpg refuses some values before they are sent: a ValueError that looks like a broken connection.
    if (
        isinstance(failure, DataError)
        or state.startswith(_BAD_DATA)
        or isinstance(getattr(original, "__cause__", None), ValueError)
    ):
        return errors.BadMessage("A value cannot be stored.")
    if state == "53100" or "disk is full" in str(original):
        return errors.StorageFull()
    if (
        isinstance(failure, OperationalError | InterfaceError)
        or failure.connection_invalidated
        or state[:2] in _NOT_NOW
    ):
        return errors.Unavailable("The database is busy or away.", retry_after_s=1)
    return None


def _engine_options(url: str) -> dict[str, Any]:
    # A statement's values are people's words: they must not ride into a log on an error's text.
    options: dict[str, Any] = {"hide_parameters": True, "pool_size": 10, "max_overflow": 10}
    if not url.startswith("sqlite"):
        return options | {"pool_pre_ping": True}
    # A private memory database lives in one connection, which pools itself.
    return {"hide_parameters": True} if ":memory:" in url else options | {"connect_args": {"timeout": 5.0}}


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    """WAL lets readers go on while one writes; FULL makes an acknowledged row survive; deleted text is overwritten."""
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000", "foreign_keys=ON", "secure_delete=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
