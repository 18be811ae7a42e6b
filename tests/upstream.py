"""A provider on loopback that speaks our dialects and fails on command: the only thing in the tests that is not real.

In a test:

    async with open_upstream() as upstream:
        upstream.script(Behaviour(status=429, retry_after="2"), Behaviour(text="Hello there"))
        ...  # call upstream.base_url
        assert upstream.journal[0].closed_early

For benchmarks: `python -m tests.upstream --port 9300 --tokens 64 --first-ms 20 --gap-ms 5` prints `ready PORT`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What one request meets. `*_after` count content chunks sent before the fault; times are seconds."""

    text: str = ""
    tokens: int = 8
    delay_first_s: float = 0.0
    gap_s: float = 0.0
    # refusals before the stream
    status: int = 200
    retry_after: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    error_code: str | None = None
    error_type: str = "error"
    error_message: str = "scripted failure"
    body: bytes | None = None
    html: bool = False
    delay_status_s: float = 0.0
    hang_up: bool = False
    # faults in the stream
    cut_after: int | None = None
    truncate_after: int | None = None
    stall_after: int | None = None
    stall_s: float = 30.0
    comments_while_stalled: bool = False
    malformed_after: int | None = None
    error_after: int | None = None
    long_line_after: int | None = None
    # kinds of stream
    finish_reason: str | None = "stop"
    no_done: bool = False
    stay_open: bool = False
    usage: Mapping[str, Any] | None = field(default_factory=lambda: {"prompt_tokens": 10, "completion_tokens": 8})
    usage_each_chunk: bool = False
    groq_usage: bool = False
    tool_calls: Sequence[Mapping[str, Any]] = ()
    reasoning: str = ""
    refusal: str = ""
    newline: str = "\n"
    split_bytes: int = 0
    comments: bool = False

    @property
    def pieces(self) -> list[str]:
        """The content chunks: the words of `text`, or `tokens` numbered words."""
        if self.text:
            return re.findall(r"\S+\s*|\s+", self.text)
        return [f"word{i} " for i in range(self.tokens)]


@dataclass(slots=True)
class Entry:
    """One request as it was served; `key` is the credential it came with."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    key: str | None
    started_at: float
    chunks_sent: int = 0
    completed: bool = False
    closed_early: bool = False
    closed_at: float | None = None


class Upstream:
    """The scripts and the journal of one running upstream; scripts are used up in order, then `default` answers."""

    def __init__(self, default: Behaviour) -> None:
        self.default = default
        self.journal: list[Entry] = []
        self.port = 0
        self._scripts: deque[Behaviour] = deque()

    @property
    def base_url(self) -> str:
        """The base URL of the openai dialect."""
        return f"http://127.0.0.1:{self.port}/v1"

    def script(self, *behaviours: Behaviour) -> None:
        """Adds behaviours for the next requests, one each."""
        self._scripts.extend(behaviours)

    def next_behaviour(self) -> Behaviour:
        """The behaviour of the request that begins now."""
        return self._scripts.popleft() if self._scripts else self.default


# The dialects ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Spoken:
    """A dialect as the upstream speaks it: content frames, frames after the content, and error bodies."""

    content: Callable[[Behaviour], list[str]]
    tail: Callable[[Behaviour], list[str]]
    error: Callable[[Behaviour], dict[str, Any]]


def _openai_chunk(delta: Mapping[str, Any], finish: str | None = None, **extra: Any) -> str:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "m",
            "choices": [choice],
            **extra,
        },
        ensure_ascii=False,
    )


def _openai_content(behaviour: Behaviour) -> list[str]:
    usage = {"usage": behaviour.usage} if behaviour.usage_each_chunk else {"usage": None}
    frames = [_openai_chunk({"reasoning_content": piece}) for piece in behaviour.reasoning.split()]
    frames += [_openai_chunk({"refusal": behaviour.refusal})] if behaviour.refusal else []
    for call in behaviour.tool_calls:
        frames.append(_openai_chunk({"tool_calls": [call]}))
    if not behaviour.tool_calls and not behaviour.refusal:
        frames += [_openai_chunk({"content": piece}, **usage) for piece in behaviour.pieces]
    return frames


def _openai_tail(behaviour: Behaviour) -> list[str]:
    frames = []
    if behaviour.finish_reason:
        extra = {"x_groq": {"usage": behaviour.usage}} if behaviour.groq_usage else {}
        frames.append(_openai_chunk({}, behaviour.finish_reason, **extra))
    if behaviour.usage is not None and not behaviour.groq_usage:
        frames.append(json.dumps({"id": "chatcmpl-1", "choices": [], "usage": behaviour.usage}))
    if not behaviour.no_done:
        frames.append("[DONE]")
    return frames


def _openai_error(behaviour: Behaviour) -> dict[str, Any]:
    return {
        "error": {
            "message": behaviour.error_message,
            "type": behaviour.error_type,
            "param": None,
            "code": behaviour.error_code,
        }
    }


SPOKEN: Final[Mapping[str, Spoken]] = {"openai": Spoken(_openai_content, _openai_tail, _openai_error)}
DIALECT_BY_PATH: Final[Mapping[str, str]] = {"/chat/completions": "openai"}


# The server -----------------------------------------------------------------------------------------------------------
class _Gone(Exception):
    """The client has closed the connection."""


class _Connection(asyncio.Protocol):
    """One client connection: requests in turn, each answered by its behaviour."""

    def __init__(self, upstream: Upstream, tasks: set[asyncio.Task[None]]) -> None:
        self._upstream = upstream
        self._tasks = tasks
        self._buffer = b""
        self._arrived = asyncio.Event()
        self._lost = asyncio.Event()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        task = asyncio.ensure_future(self._serve())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._arrived.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost.set()
        self._arrived.set()

    async def _serve(self) -> None:
        assert self._transport is not None
        try:
            while True:
                await self._answer(await self._request())
        except _Gone:
            pass
        finally:
            self._transport.close()

    async def _request(self) -> Entry:
        head = await self._until(lambda: self._buffer.find(b"\r\n\r\n") + 1) + 3
        lines = self._buffer[:head].decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)
        }
        length = int(headers.get("content-length", "0"))
        await self._until(lambda: len(self._buffer) >= head + length)
        body, self._buffer = self._buffer[head : head + length], self._buffer[head + length :]
        key = headers.get("authorization", "").removeprefix("Bearer ") or headers.get("x-api-key")
        entry = Entry(lines[0].split(" ")[1], headers, json.loads(body or b"{}"), key, time.monotonic())
        self._upstream.journal.append(entry)
        return entry

    async def _until(self, ready: Callable[[], int]) -> int:
        while not (found := ready()):
            self._arrived.clear()
            if self._lost.is_set():
                raise _Gone
            await self._arrived.wait()
        return int(found)

    async def _answer(self, entry: Entry) -> None:
        behaviour = self._upstream.next_behaviour()
        spoken = next((SPOKEN[name] for path, name in DIALECT_BY_PATH.items() if path in entry.path), None)
        try:
            await self._sleep(behaviour.delay_status_s)
            if behaviour.hang_up:
                raise _Gone
            if spoken is None:
                self._whole(replace(behaviour, status=404), b'{"error":{"message":"no such path"}}')
            elif behaviour.status != 200 or behaviour.html or behaviour.body is not None:
                self._whole(behaviour, _refusal_body(behaviour, spoken))
            else:
                await self._stream(behaviour, spoken, entry)
            entry.completed = True
        except _Gone:
            entry.closed_early, entry.closed_at = self._lost.is_set(), time.monotonic()
            raise

    def _whole(self, behaviour: Behaviour, body: bytes) -> None:
        kind = "text/html" if behaviour.html else "application/json"
        headers = {"content-type": kind, "content-length": str(len(body)), **behaviour.headers}
        if behaviour.retry_after is not None:
            headers["retry-after"] = behaviour.retry_after
        self._head(behaviour.status, headers)
        self._write(body)

    async def _stream(self, behaviour: Behaviour, spoken: Spoken, entry: Entry) -> None:
        self._head(200, {"content-type": "text/event-stream", "transfer-encoding": "chunked", **behaviour.headers})
        await self._sleep(behaviour.delay_first_s)
        for at, frame in enumerate(spoken.content(behaviour)):
            if at:
                await self._sleep(behaviour.gap_s)
            if await self._fault(behaviour, spoken, at):
                return
            await self._event(behaviour, frame)
            entry.chunks_sent += 1
        if await self._fault(behaviour, spoken, entry.chunks_sent):
            return
        for frame in spoken.tail(behaviour):
            await self._event(behaviour, frame)
        if behaviour.stay_open:
            await self._sleep(behaviour.stall_s)
        self._write(b"0\r\n\r\n")

    async def _fault(self, behaviour: Behaviour, spoken: Spoken, at: int) -> bool:
        """The fault due before chunk `at`; True when the stream is over because of it."""
        if at == behaviour.cut_after:
            await asyncio.sleep(0.01)  # let what was sent arrive
            raise _Gone
        if at == behaviour.truncate_after:
            self._write(b"0\r\n\r\n")
            return True
        if at == behaviour.stall_after:
            await self._stall(behaviour)
        if at == behaviour.malformed_after:
            await self._event(behaviour, '{"choices":[{"delta":{"content":"bro')
        if at == behaviour.long_line_after:
            await self._event(behaviour, '{"choices":"' + "x" * 10_000_000 + '"}')
        if at == behaviour.error_after:
            await self._event(behaviour, json.dumps(spoken.error(behaviour)))
        return False

    async def _stall(self, behaviour: Behaviour) -> None:
        until = time.monotonic() + behaviour.stall_s
        while (left := until - time.monotonic()) > 0:
            if behaviour.comments_while_stalled:
                self._chunk(f": keep-alive{behaviour.newline}{behaviour.newline}".encode())
            await self._sleep(min(left, 0.05) if behaviour.comments_while_stalled else left)

    async def _event(self, behaviour: Behaviour, frame: str) -> None:
        end = behaviour.newline
        raw = f"{': ping' + end + end if behaviour.comments else ''}data: {frame}{end}{end}".encode()
        if not behaviour.split_bytes:
            self._chunk(raw)
            return
        for at in range(0, len(raw), behaviour.split_bytes):
            self._chunk(raw[at : at + behaviour.split_bytes])
            await asyncio.sleep(0)

    async def _sleep(self, seconds: float) -> None:
        """Sleeps, unless the client goes away first."""
        if seconds > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._lost.wait()
        if self._lost.is_set():
            raise _Gone

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        lines = [f"HTTP/1.1 {status} Scripted", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        self._write("\r\n".join(lines).encode())

    def _chunk(self, data: bytes) -> None:
        self._write(b"%x\r\n%s\r\n" % (len(data), data))

    def _write(self, data: bytes) -> None:
        if self._lost.is_set():
            raise _Gone
        assert self._transport is not None
        self._transport.write(data)


def _refusal_body(behaviour: Behaviour, spoken: Spoken) -> bytes:
    if behaviour.body is not None:
        return behaviour.body
    if behaviour.html:
        return b"<!doctype html><html><body>Please sign in to the network</body></html>"
    return json.dumps(spoken.error(behaviour)).encode()


@asynccontextmanager
async def open_upstream(default: Behaviour | None = None, *, port: int = 0) -> AsyncGenerator[Upstream, None]:
    """A running upstream on a free port; requests beyond the script get `default`."""
    upstream = Upstream(default or Behaviour())
    tasks: set[asyncio.Task[None]] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(upstream, tasks), "127.0.0.1", port, backlog=4096)
    upstream.port = server.sockets[0].getsockname()[1]
    try:
        yield upstream
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


async def _serve_forever(options: argparse.Namespace) -> None:
    behaviour = Behaviour(
        text=options.text,
        tokens=options.tokens,
        delay_first_s=options.first_ms / 1000,
        gap_s=options.gap_ms / 1000,
        usage={"prompt_tokens": 10, "completion_tokens": options.tokens},
    )
    async with open_upstream(behaviour, port=options.port) as upstream:
        print(f"ready {upstream.port}", flush=True)
        while True:
            await asyncio.sleep(1)
            del upstream.journal[:-1000]


def main() -> None:
    """The command line for benchmarks."""
    parser = argparse.ArgumentParser(prog="tests.upstream")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--text", default="")
    parser.add_argument("--first-ms", type=float, default=20.0)
    parser.add_argument("--gap-ms", type=float, default=5.0)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve_forever(parser.parse_args()))


if __name__ == "__main__":
    main()
