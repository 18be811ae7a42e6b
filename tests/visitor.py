"""A visitor's client of protocol v1 for tests: follows the resume rules to the letter, keeps what it was shown."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import time
from collections.abc import Callable
from typing import Any, Self

import websockets
from websockets.asyncio.client import ClientConnection, connect

from server.ids import new_ulid

SYNC_EVERY_S = 0.5


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def cut(text: str, length: int) -> str:
    return text.encode("utf-16-le")[: length * 2].decode("utf-16-le", "ignore")


class Conversation:
    """The pure part: position, texts and ends of streams, exactly as section 5 of the protocol says."""

    def __init__(self) -> None:
        self.epoch = ""
        self.last = -1
        self.texts: dict[str, str] = {}
        self.ends: dict[str, dict[str, Any]] = {}
        self.terminals: dict[str, int] = {}
        self.streams: dict[str, dict[str, Any]] = {}
        self.messages: dict[str, dict[str, Any]] = {}
        self.applied: list[dict[str, Any]] = []
        self.duplicates = 0
        self.gaps = 0
        self.wrong_lengths: list[str] = []
        self.restarts = 0

    def take(self, frame: dict[str, Any]) -> bool:
        """Apply one server frame; False asks for a sync."""
        kind = frame["type"]
        if kind == "welcome":
            self._welcome(frame)
        elif kind == "history" and "id" not in frame:
            for message in frame["messages"]:
                self.messages[message["messageId"]] = message
        elif "seq" in frame and kind not in {"ack", "welcome"}:
            return self._durable(frame)
        return True

    def _welcome(self, frame: dict[str, Any]) -> None:
        if frame["resumed"]:
            assert frame["epoch"] == self.epoch
            return
        self.restarts += 1
        self.epoch, self.last = frame["epoch"], frame["seq"]
        self.texts.clear()
        self.streams.clear()

    def _durable(self, frame: dict[str, Any]) -> bool:
        if frame["type"] == "stream_snapshot" and frame["seq"] == self.last:
            self._apply(frame)
            return True
        if frame["seq"] <= self.last:
            self.duplicates += 1
            return True
        if frame.get("from", frame["seq"]) > self.last + 1:
            self.gaps += 1
            return False
        self._apply(frame)
        self.last = frame["seq"]
        return True

    def _apply(self, frame: dict[str, Any]) -> None:
        self.applied.append(frame)
        stream = frame.get("streamId", "")
        match frame["type"]:
            case "stream_start":
                self.texts[stream] = ""
                self.streams[stream] = frame
            case "stream_chunk":
                known = self.texts.get(stream, "")
                self.texts[stream] = (cut(known, frame["pos"]) if "pos" in frame else known) + frame["chunk"]
            case "stream_snapshot":
                self.texts[stream] = frame["text"]
                self.streams[stream] = frame
            case "stream_reset":
                self.texts[stream] = cut(self.texts[stream], frame["keepChars"])
            case "message":
                self.messages[frame["messageId"]] = frame
            case "stream_complete" | "stream_error":
                self.ends[stream] = frame
                self.terminals[stream] = self.terminals.get(stream, 0) + 1
                if frame["type"] == "stream_complete" and units(self.texts.get(stream, "")) != frame["chars"]:
                    self.wrong_lengths.append(stream)
            case _:
                pass

    def hash(self) -> str:
        """What two tabs must agree on."""
        return hashlib.sha256(json.dumps(self.texts, sort_keys=True).encode()).hexdigest()


class Visitor:
    """One tab: `async with Visitor(url, token, origin=...)`, then `ask`, `wait_for`, `cut`, `reconnect`."""

    def __init__(
        self,
        url: str,
        token: str,
        *,
        origin: str | None,
        caps: dict[str, Any] | None = None,
        history: int = 30,
        conversation: Conversation | None = None,
        hello_extra: dict[str, Any] | None = None,
    ) -> None:
        self.url = url
        self.token = token
        self.origin = origin
        self.caps = caps or {}
        self.history = history
        self.state = conversation or Conversation()
        self.frames: list[dict[str, Any]] = []
        self.welcomes: list[dict[str, Any]] = []
        self.closed: tuple[int, str] | None = None
        self.reconnects: list[dict[str, Any]] = []
        self._hello_extra = hello_extra or {}
        self.unacknowledged: dict[str, dict[str, Any]] = {}
        self._socket: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._synced_at = 0.0

    async def __aenter__(self) -> Self:
        if self._socket is None:
            await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # Connecting -----------------------------------------------------------------------------------------------------
    async def connect(self, url: str | None = None) -> dict[str, Any]:
        """Open a socket, say hello (with resume where there is a position) and wait for welcome."""
        self.url = url or self.url
        self.closed = None
        known = len(self.welcomes)
        self._socket = await connect(
            self.url, origin=self.origin, subprotocols=["parlour.v1"], compression=None, ping_interval=None,  # type: ignore[arg-type,list-item]
            max_size=None, proxy=None,
        )  # fmt: skip
        hello: dict[str, Any] = {
            "type": "hello", "v": 1, "token": self.token, "history": self.history, "caps": self.caps,
            "client": {"name": "visitor", "version": "1"},
        } | self._hello_extra  # fmt: skip
        if self.state.epoch:
            hello["resume"] = {"epoch": self.state.epoch, "seq": self.state.last}
        self._reader = asyncio.create_task(self._read(self._socket))
        await self.send(hello)
        await self.until(lambda: len(self.welcomes) > known or self.closed is not None, 10)
        if len(self.welcomes) == known:
            return {}
        for frame in list(self.unacknowledged.values()):
            await self.send(frame)
        return self.welcomes[-1]

    async def _read(self, socket: ClientConnection) -> None:
        try:
            async for text in socket:
                self._take(json.loads(text))
        except websockets.ConnectionClosed:
            pass
        finally:
            self.closed = (socket.close_code or 1006, socket.close_reason or "")
            self._changed.set()

    def _take(self, frame: dict[str, Any]) -> None:
        self.frames.append(frame)
        if frame["type"] == "ack" or (frame["type"] == "error" and not frame["retryable"]):
            self.unacknowledged.pop(frame.get("id", ""), None)
        if frame["type"] == "welcome":
            self.welcomes.append(frame)
        elif frame["type"] == "reconnect":
            self.reconnects.append(frame)
        elif frame["type"] == "ping":
            self._later({"type": "pong", "t": frame["t"]})
        if not self.state.take(frame) and time.monotonic() - self._synced_at >= SYNC_EVERY_S:
            self._synced_at = time.monotonic()
            self._later({"type": "sync", "epoch": self.state.epoch, "seq": self.state.last})
        self._changed.set()

    def _later(self, frame: dict[str, Any]) -> None:
        task = asyncio.create_task(self.send(frame))
        task.add_done_callback(lambda done: done.exception())

    async def cut(self) -> None:
        """Lose the connection without a word, as a phone does."""
        if self._socket is not None:
            self._socket.transport.abort()
        await self._end_reader()

    async def close(self) -> None:
        """Close in order."""
        if self._socket is not None:
            with contextlib.suppress(Exception):
                await self._socket.close()
        await self._end_reader()

    async def _end_reader(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
            self._reader = None

    # Talking --------------------------------------------------------------------------------------------------------
    async def send(self, frame: dict[str, Any] | str | bytes) -> None:
        """Send a frame, or raw text or bytes."""
        assert self._socket is not None
        await self._socket.send(json.dumps(frame) if isinstance(frame, dict) else frame)

    async def ask(self, text: str, *, id: str | None = None) -> str:  # noqa: A002
        """Send a message; returns its id."""
        command_id = id or new_ulid()
        frame = {"type": "message", "id": command_id, "text": text}
        self.unacknowledged[command_id] = frame
        await self.send(frame)
        return command_id

    async def command(self, frame: dict[str, Any]) -> dict[str, Any]:
        """Send a command and wait for its ack, error or history."""
        frame = {"id": new_ulid()} | frame
        await self.send(frame)
        return await self.answer_to(frame["id"])

    async def answer_to(self, command_id: str) -> dict[str, Any]:
        """Wait for the answer to a command."""
        return await self.wait_for(
            lambda frame: frame.get("id") == command_id and frame["type"] in {"ack", "error", "history"}
        )

    # Waiting --------------------------------------------------------------------------------------------------------
    async def wait_for(self, matches: Callable[[dict[str, Any]], bool], timeout_s: float = 10) -> dict[str, Any]:
        """The first received frame that matches, also an earlier one."""
        await self.until(lambda: any(matches(frame) for frame in self.frames), timeout_s)
        return next(frame for frame in self.frames if matches(frame))

    async def end(self, stream: str | None = None, timeout_s: float = 15) -> dict[str, Any]:
        """Wait for the end of a stream (of any, when none is named)."""
        await self.until(lambda: bool(self.state.ends) if stream is None else stream in self.state.ends, timeout_s)
        return self.state.ends[stream] if stream else next(reversed(self.state.ends.values()))

    async def until(self, condition: Callable[[], bool], timeout_s: float = 10) -> None:
        """Wait until something holds; AssertionError with the last frames when it does not."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            self._changed.clear()
            left = deadline - time.monotonic()
            assert left > 0, f"timed out; closed={self.closed}; last frames: {self.frames[-5:]}"
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, 0.5)):
                    await self._changed.wait()

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        """Every received frame of a type."""
        return [frame for frame in self.frames if frame["type"] == kind]


def token_of(created: dict[str, Any]) -> str:
    """The token in the answer of POST /v1/bots/{bot}/visitor-tokens."""
    return str(created["token"])
