"""The tiny language our children speak: length-prefixed MessagePack over a Unix socket, many calls at once.

A frame is four bytes of big-endian length and a body. Request: [number, method, arguments]; answer: [number, kind,
value] where kind is None for success and an error's name otherwise. Only our own processes stand at both ends (the
socket lies in a folder of mode 0700).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import struct
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgpack

MAX_FRAME_BYTES = 64 * 1024 * 1024
CONNECT_S = 1.0
_LENGTH = struct.Struct(">I")

Handler = Callable[..., Awaitable[Any]]


class Away(ConnectionError):
    """The other process cannot be reached, went away, or did not answer in time."""


class RemoteError(RuntimeError):
    """The other process answered with an error; `kind` is the name of its class."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind


def pack(value: Any) -> bytes:
    """One frame."""
    body = msgpack.packb(value, use_bin_type=True)
    if len(body) > MAX_FRAME_BYTES:
        raise ValueError(f"a frame of {len(body)} bytes is too large")
    return bytes(_LENGTH.pack(len(body)) + body)


async def read_frame(reader: asyncio.StreamReader) -> Any:
    """The next frame's value; raises IncompleteReadError at the end and ValueError for a broken one."""
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    if length > MAX_FRAME_BYTES:
        raise ValueError(f"a frame of {length} bytes is too large")
    return msgpack.unpackb(await reader.readexactly(length), raw=False, strict_map_key=False)


def _clear(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.unlink(missing_ok=True)


class Server:
    """Answers calls from a table of handlers; every call runs in a task of its own."""

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self._handlers = handlers
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._path: Path | None = None

    async def start(self, path: Path) -> None:
        """Listen on `path`; a socket left behind by a dead process is replaced."""
        _clear(path)
        self._server = await asyncio.start_unix_server(self._serve, str(path))
        os.chmod(path, 0o600)  # noqa: PTH101 - one system call at the start
        self._path = path

    async def stop(self) -> None:
        """Close every connection and remove the socket."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            writer.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                number, method, arguments = await read_frame(reader)
                self._spawn(self._answer(writer, number, method, arguments))
        except (asyncio.IncompleteReadError, ConnectionError, ValueError, TypeError):
            pass  # the caller has gone, or speaks another language: either way this connection is over
        finally:
            self._writers.discard(writer)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, writer: asyncio.StreamWriter, number: int, method: str, arguments: dict[str, Any]) -> None:
        try:
            answer = pack([number, None, await self._handlers[method](**arguments)])
        except Exception as problem:  # every failure of a handler is an answer
            answer = pack([number, type(problem).__name__, str(problem)[:2000]])
        if not writer.is_closing():
            writer.write(answer)
            with contextlib.suppress(ConnectionError):
                await writer.drain()


class Client:
    """Calls methods of a Server; connects when needed and again after every loss."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._connecting = asyncio.Lock()

    @property
    def reachable(self) -> bool:
        """Whether somebody seems to listen: cheap enough to ask before every call."""
        return self._writer is not None or os.path.exists(self._path)  # noqa: PTH110 - one system call, no thread

    async def call(self, method: str, timeout_s: float, **arguments: Any) -> Any:
        """Call a method; raises Away (also after `timeout_s`) or RemoteError.

        A connection that was open before and breaks now is replaced once: its far end may have been restarted while
        nobody looked. So every method must bear being run twice, and ours do.
        """
        try:
            async with asyncio.timeout(timeout_s):
                reused = self._is_open()
                try:
                    kind, value = await self._ask(method, arguments)
                except OSError:
                    if not reused:
                        raise
                    kind, value = await self._ask(method, arguments)
        except TimeoutError:
            raise Away(f"{self._path.name}: no answer to {method} in {timeout_s:g} s") from None
        except OSError as problem:
            raise Away(f"{self._path.name}: {problem}") from problem
        if kind is not None:
            raise RemoteError(kind, value)
        return value

    async def _ask(self, method: str, arguments: dict[str, Any]) -> tuple[str | None, Any]:
        number = next(self._numbers)
        writer = await self._connected()
        answer: asyncio.Future[tuple[str | None, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            writer.write(pack([number, method, arguments]))
            await writer.drain()
            return await answer
        except OSError:
            if self._writer is writer:
                self._writer = None
            raise
        finally:
            self._waiting.pop(number, None)

    def _is_open(self) -> bool:
        return self._writer is not None and not self._writer.is_closing()

    async def close(self) -> None:
        """Close the connection; a later call opens a new one."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
            self._reading = None

    async def _connected(self) -> asyncio.StreamWriter:
        async with self._connecting:
            if self._writer is None or self._writer.is_closing():
                reader, self._writer = await asyncio.open_unix_connection(str(self._path))
                self._reading = asyncio.create_task(self._read(reader, self._writer), name=f"read {self._path.name}")
            return self._writer

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                number, kind, value = await read_frame(reader)
                waiting = self._waiting.pop(number, None)
                if waiting is not None and not waiting.done():
                    waiting.set_result((kind, value))
        except (asyncio.IncompleteReadError, ConnectionError, ValueError):
            pass
        finally:
            self._lost(writer)

    def _lost(self, writer: asyncio.StreamWriter) -> None:
        writer.close()
        if self._writer is not writer:
            return  # a newer connection has taken over; what waits there is its own
        self._writer = None
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(Away(f"{self._path.name}: the connection was lost"))
        self._waiting.clear()
