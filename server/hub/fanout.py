"""One pub/sub connection per process, owned by one task; everybody else only says what they want to hear.

Loss is invisible on pub/sub, so every subscribe acknowledgement tells the channel's listeners to compare themselves
with the truth (`resync`). Any exception rebuilds the connection from the desired set.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any, Protocol

from server.telemetry import logger

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.connection import AbstractConnection

PING_S = 10.0
SILENT_S = 25.0
RETRY_S = (0.02, 0.05, 0.1, 0.25, 0.5)


class Listener(Protocol):
    """Hears one channel. Both calls are made by the owner task and must not block."""

    def heard(self, data: bytes) -> None: ...

    def resync(self) -> None: ...


class _Channel:
    __slots__ = ("listeners", "ready")

    def __init__(self) -> None:
        self.listeners: list[Listener] = []
        self.ready = asyncio.Event()


class Fanout:
    """Subscribes this process to what its connections want to hear."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._channels: dict[bytes, _Channel] = {}
        self._changed = asyncio.Event()
        self._owner: asyncio.Task[None] | None = None
        self._subscribed: set[bytes] = set()
        self._heard_at = 0.0
        self.rebuilds = 0

    async def start(self) -> None:
        """Start the owner task."""
        self._owner = asyncio.create_task(self._own(), name="fanout")

    async def stop(self) -> None:
        """End the owner task and its connection."""
        if self._owner is not None:
            self._owner.cancel()
            await asyncio.gather(self._owner, return_exceptions=True)
            self._owner = None
        await self._client.aclose(close_connection_pool=True)

    def join(self, channel: str, listener: Listener) -> asyncio.Event:
        """Want a channel; the event is set while the subscription is acknowledged."""
        name = channel.encode()
        entry = self._channels.get(name)
        if entry is None:
            entry = self._channels[name] = _Channel()
            # Its own acknowledgement is waited for, also when a last subscription of that name is still standing.
            self._subscribed.discard(name)
            self._changed.set()
        entry.listeners.append(listener)
        return entry.ready

    def leave(self, channel: str, listener: Listener) -> None:
        """Want a channel no longer."""
        name = channel.encode()
        entry = self._channels.get(name)
        if entry is None or listener not in entry.listeners:
            return
        entry.listeners.remove(listener)
        if not entry.listeners:
            del self._channels[name]
            self._changed.set()

    async def listen(self, channel: str, *, size: int = 1024) -> AsyncGenerator[bytes, None]:
        """Messages of any channel as they come; b"" means that some may have been missed."""
        queue = _Queue(size)
        ready = self.join(channel, queue)
        try:
            await ready.wait()
            while True:
                yield await queue.get()
        finally:
            self.leave(channel, queue)

    async def _own(self) -> None:
        failures = 0
        while True:
            started = asyncio.get_running_loop().time()
            try:
                await self._serve()
            except asyncio.CancelledError:
                raise
            except Exception as failure:
                logger("hub").warning("subscriber lost", extra={"reason": type(failure).__name__})
            self._forget()
            self.rebuilds += 1
            failures = 0 if asyncio.get_running_loop().time() - started > 5 else failures + 1
            await asyncio.sleep(RETRY_S[min(failures, len(RETRY_S) - 1)])

    def _forget(self) -> None:
        """Nothing is subscribed any more; who waits for an acknowledgement waits for the next one."""
        self._subscribed.clear()
        for entry in self._channels.values():
            entry.ready.clear()

    async def _serve(self) -> None:
        """One life of the connection: the first exception of either direction ends it."""
        connection = self._connection()
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
            self._heard_at = asyncio.get_running_loop().time()
            self._changed.set()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._read(connection))
                group.create_task(self._write(connection))
        except BaseExceptionGroup as group_failure:
            raise group_failure.exceptions[0] from None
        finally:
            with contextlib.suppress(Exception):
                await connection.disconnect(nowait=True)

    def _connection(self) -> AbstractConnection:
        """A connection like the pool's own, without a read timeout."""
        pool = self._client.connection_pool
        kwargs: dict[str, Any] = dict(pool.connection_kwargs)
        kwargs |= {"socket_timeout": None, "retry_on_timeout": False, "health_check_interval": 0}
        connection: AbstractConnection = pool.connection_class(**kwargs)
        return connection

    async def _write(self, connection: AbstractConnection) -> None:
        """Bring the subscriptions to what is wanted, and ask for a sign of life in between."""
        while True:
            self._changed.clear()
            wanted = self._channels.keys()
            fresh = [name for name in wanted if name not in self._subscribed]
            stale = [name for name in self._subscribed if name not in wanted]
            self._subscribed.update(fresh)
            self._subscribed.difference_update(stale)
            if fresh:
                await connection.send_command("SUBSCRIBE", *fresh, check_health=False)
            if stale:
                await connection.send_command("UNSUBSCRIBE", *stale, check_health=False)
            try:
                async with asyncio.timeout(PING_S):
                    await self._changed.wait()
            except TimeoutError:
                self._check_life()
                await connection.send_command("PING", check_health=False)

    def _check_life(self) -> None:
        if asyncio.get_running_loop().time() - self._heard_at > SILENT_S:
            raise ConnectionError("the subscriber has gone silent")

    async def _read(self, connection: AbstractConnection) -> None:
        loop = asyncio.get_running_loop()
        while True:
            answer: Any = await connection.read_response()
            self._heard_at = loop.time()
            if isinstance(answer, list):
                self._dispatch(answer)

    def _dispatch(self, answer: list[Any]) -> None:
        kind = answer[0]
        entry = self._channels.get(answer[1])
        if entry is None:
            return
        if kind == b"message":
            for listener in tuple(entry.listeners):
                _tell(listener, answer[2])
        elif kind == b"subscribe":
            entry.ready.set()
            for listener in tuple(entry.listeners):
                listener.resync()


def _tell(listener: Listener, data: bytes) -> None:
    """One listener's failure must not silence the others."""
    try:
        listener.heard(data)
    except Exception:
        logger("hub").exception("a listener failed")


class _Queue:
    """A bounded listener: when full, the oldest go and an empty message says so."""

    def __init__(self, size: int) -> None:
        self._queue: asyncio.Queue[bytes] = asyncio.Queue(size)

    def heard(self, data: bytes) -> None:
        if self._queue.full():
            while not self._queue.empty():
                self._queue.get_nowait()
            self._queue.put_nowait(b"")
        self._queue.put_nowait(data)

    def resync(self) -> None:
        self.heard(b"")

    async def get(self) -> bytes:
        return await self._queue.get()
