"""Bots and tenants as the hub needs them: read at most every few seconds, so a reconnect storm is free."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Generic, TypeVar

from server import errors
from server.ids import BotId, TenantId
from server.storage import credentials, tenants

if TYPE_CHECKING:
    from server.storage.database import Database
    from server.storage.records import BotRecord, TenantRecord

FRESH_S = 2.0
STALE_S = 300.0
MAX_ENTRIES = 4_000
K = TypeVar("K")
V = TypeVar("V")


class _Kept(Generic[K, V]):
    """Values by key for a short while; an old one is better than none while the database is away."""

    def __init__(self, read: Callable[[K], Awaitable[V | None]]) -> None:
        self._read = read
        self._kept: dict[K, tuple[float, V | None]] = {}

    async def get(self, key: K) -> V | None:
        found = self._kept.get(key)
        now = time.monotonic()
        if found is not None and now - found[0] < FRESH_S:
            return found[1]
        try:
            value = await self._read(key)
        except errors.ParlourError:
            raise
        except Exception:
            if found is not None and now - found[0] < STALE_S:
                return found[1]
            raise errors.Unavailable("The database is away.", retry_after_s=1.0) from None
        if len(self._kept) >= MAX_ENTRIES:
            self._kept.clear()
        self._kept[key] = (now, value)
        return value


class Directory:
    """Looks up bots and tenants by id."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._bots: _Kept[BotId, BotRecord] = _Kept(self._read_bot)
        self._tenants: _Kept[TenantId, TenantRecord] = _Kept(self._read_tenant)

    async def _read_bot(self, bot: BotId) -> BotRecord | None:
        return await credentials.find_bot(self._db, bot)

    async def _read_tenant(self, tenant: TenantId) -> TenantRecord | None:
        return await tenants.get_tenant(self._db, tenant)

    async def bot(self, bot: BotId) -> BotRecord:
        """The bot; raises BotUnknown."""
        record = await self._bots.get(bot)
        if record is None:
            raise errors.BotUnknown
        return record

    async def tenant(self, tenant: TenantId) -> TenantRecord:
        """The tenant; raises NotFound or TenantSuspended."""
        record = await self._tenants.get(tenant)
        if record is None:
            raise errors.NotFound
        if record.status != "active":
            raise errors.TenantSuspended
        return record
