"""The Valkey door: one pool with deadlines, one connection for pub/sub, scripts by hash, keys by one function.

No caller waits longer than 300 ms for a command: Valkey holds nothing that cannot be replaced, so a slow one counts as
away. A broken connection is tried once more, a slow one is not. The pool blocks instead of raising when it is full,
because a burst is not a failure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis import exceptions
from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript

from server.ids import TenantId

CONNECT_S = 0.2
COMMAND_S = 0.3
POOL_SIZE = 64
POOL_WAIT_S = 0.3
# A Valkey that is full, whose disk is full or that is a replica is as good as away for whoever must count.
CANNOT_WRITE = ("OOM", "MISCONF", "READONLY", "command not allowed when used memory")
AWAY = (exceptions.ConnectionError, exceptions.TimeoutError, exceptions.BusyLoadingError, OSError)


def key(tenant: TenantId | str, *parts: str) -> str:
    """A tenant's key; everything of one tenant shares a hash tag, so that one script may touch several keys."""
    return ":".join((f"t:{{{tenant}}}", *parts))


class Valkey:
    """Open connections to one Redis or Valkey."""

    def __init__(self, url: str) -> None:
        self.url = url
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=POOL_SIZE,
            timeout=POOL_WAIT_S,
            socket_connect_timeout=CONNECT_S,
            socket_timeout=COMMAND_S,
            retry=Retry(NoBackoff(), 1, supported_errors=(exceptions.ConnectionError,)),
        )
        self.commands: Redis = Redis(connection_pool=pool)
        self._scripts: dict[str, AsyncScript] = {}

    def subscriber(self) -> Redis:
        """A fresh client without a read timeout, for the one task that listens; its caller closes it."""
        return Redis(
            connection_pool=ConnectionPool.from_url(self.url, socket_connect_timeout=CONNECT_S, socket_timeout=None)
        )

    async def script(self, name: str, lua: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """Run a script by its hash; it is loaded again when the server has forgotten it."""
        script = self._scripts.get(name)
        if script is None:
            script = self._scripts[name] = self.commands.register_script(lua)
        try:
            return await script(keys=list(keys), args=list(arguments))
        except exceptions.ResponseError as refusal:
            if str(refusal).startswith(CANNOT_WRITE):
                raise exceptions.ConnectionError(str(refusal)) from refusal
            raise

    async def is_up(self) -> bool:
        """Whether it answers."""
        try:
            return bool(await self.commands.ping())
        except AWAY:
            return False

    async def close(self) -> None:
        """Close every connection."""
        await self.commands.aclose(close_connection_pool=True)


async def open_valkey(url: str) -> Valkey:
    """Take redis://, rediss:// or unix:// URLs; the first command connects, so an absent server is no error here."""
    return Valkey(url)
