"""uvicorn as we need it: guarded requests, sockets that can be aborted, and a drain before the end.

Every value here answers a measured fault: a stalled reader is never dropped by itself, slow headers are never closed,
empty fragments are never counted, and a stock shutdown cuts every stream in its middle.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
from asyncio.transports import BaseTransport, Transport
from typing import TYPE_CHECKING, Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from server.protocol import MAX_FRAME_BYTES
from server.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
    from websockets.frames import Frame
    from websockets.http11 import Request

    from server.hub.hub import Hub
    from server.settings import Settings

REQUEST_S = 8.0
MAX_HEADERS = 100
MAX_HEADER_BYTES = 32 * 1024
MAX_FRAGMENTS = 64
MESSAGE_S = 10.0
ABORT_S = 1.0
CLOSE_ABORT_S = 5.0
WRITE_HIGH, WRITE_LOW = 32_768, 8_192
BACKLOG = 4096
USER_TIMEOUT_MS = 30_000
NOTSENT_LOWAT = 16_384
LISTENER_PAUSE_S = 1.0
SHUTDOWN_S = 25.0

HEADERS_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
REQUEST_TIMEOUT = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
UPGRADE_REQUIRED = (
    b"HTTP/1.1 426 Upgrade Required\r\nsec-websocket-version: 13\r\nupgrade: websocket\r\n"
    b"connection: close\r\ncontent-length: 0\r\n\r\n"
)


class GuardedHttpProtocol(HttpToolsProtocol):
    """HTTP with a deadline for the whole request and a bound on its headers.

    The deadline starts with the first byte of a request and ends when its message is complete or it is upgraded. An
    upload route that needs longer extends it through `scope["extensions"]["hub.deadline"](seconds)`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline: asyncio.TimerHandle | None = None
        self._header_bytes = 0
        self._too_large = False

    @property
    def _answered(self) -> bool:
        """Whether the last request is done with (uvicorn declares `cycle` without its None)."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is None or cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._arm(REQUEST_S)

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._deadline is None and self._answered:
            self._arm(REQUEST_S)
        super().data_received(data)

    def on_message_begin(self) -> None:
        self._header_bytes = 0
        super().on_message_begin()
        self.scope["extensions"] = cast(Any, {"hub.deadline": self._arm})

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        if len(self.headers) >= MAX_HEADERS:
            self._refuse_headers()
        super().on_header(name, value)

    def on_message_complete(self) -> None:
        self._disarm()
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        self._disarm()
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        if not self._too_large:
            super().send_400_response(msg)
            return
        self.transport.write(HEADERS_TOO_LARGE)
        self.transport.close()

    def _count(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > MAX_HEADER_BYTES:
            self._refuse_headers()

    def _refuse_headers(self) -> None:
        self._too_large = True
        raise ValueError("headers too large")  # the parser turns it into send_400_response

    def _arm(self, seconds: float) -> None:
        self._disarm()
        self._deadline = self.loop.call_later(seconds, self._too_late)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        self._deadline = None
        if self.transport.is_closing():
            return
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is None or not cycle.response_started:
            self.transport.write(REQUEST_TIMEOUT)
        self.transport.close()
        self.loop.call_later(ABORT_S, self.transport.abort)


class HubWebSocketProtocol(WebSocketsSansIOProtocol):
    """A socket with small buffers that can be aborted, and bounds on how a message may arrive."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._fragments = 0
        self._message_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        cast(Transport, transport).set_write_buffer_limits(WRITE_HIGH, WRITE_LOW)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_message()
        super().connection_lost(exc)

    def handle_connect(self, event: Request) -> None:
        versions = event.headers.get_all("Sec-WebSocket-Version")
        if versions != ["13"]:
            self.handshake_initiated = self.handshake_complete = self.close_sent = True
            self.transport.write(UPGRADE_REQUIRED)
            self.transport.close()
            return
        super().handle_connect(event)
        if hasattr(self, "scope"):
            extensions = cast(dict[str, Any], self.scope["extensions"])
            extensions["hub.transport"] = {
                "abort": self.abort,
                "buffered": self.buffered,
                "rtt": self.rtt,
                "send_text": self.send_text,
            }

    def abort(self) -> None:
        """Cut the connection without waiting for its buffer."""
        if not self.transport.is_closing() or self.transport.get_write_buffer_size():
            self.transport.abort()

    def send_text(self, text: str) -> bool:
        """Send at once if the socket takes it; False when the buffer is above its mark or the socket is ending."""
        if self.close_sent or self.disconnected or not self.writable.is_set() or self.transport.is_closing():
            return False
        self.conn.send_text(text.encode())
        self.transport.write(b"".join(self.conn.data_to_send()))
        return True

    def buffered(self) -> int:
        """Bytes handed over but not yet taken by the kernel."""
        return self.transport.get_write_buffer_size()

    def rtt(self) -> float:
        """Seconds the last ping took, 0.0 before the first."""
        return self.last_ping_rtt

    def handle_text(self, event: Frame) -> None:
        self._begin_message(event)
        super().handle_text(event)

    def handle_bytes(self, event: Frame) -> None:
        self._begin_message(event)
        super().handle_bytes(event)

    def handle_cont(self, event: Frame) -> None:
        self._fragments += 1
        if self._fragments > MAX_FRAGMENTS:
            self._fail_message("too many fragments")
            return
        if event.fin:
            self._end_message()
        super().handle_cont(event)

    def _begin_message(self, event: Frame) -> None:
        self._fragments = 1
        if not event.fin:
            self._message_timer = self.loop.call_later(MESSAGE_S, self._fail_message, "message took too long")

    def _end_message(self) -> None:
        if self._message_timer is not None:
            self._message_timer.cancel()
            self._message_timer = None

    def _fail_message(self, reason: str) -> None:
        self._end_message()
        self.frames = []
        if self.close_sent or self.transport.is_closing():
            return
        self.conn.fail(1008, reason)
        self.queue.put_nowait({"type": "websocket.disconnect", "code": 1008, "reason": reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.transport.close()
        self.loop.call_later(ABORT_S, self.abort)

    def keepalive_timeout(self) -> None:
        """uvicorn waits for the buffer of a peer that is gone; we do not."""
        super().keepalive_timeout()
        self.loop.call_later(ABORT_S, self.abort)

    def _forget_handshake(self) -> None:
        """An idle socket need not keep its headers three times: several KiB each."""
        del self.request, self.response
        scope = cast(dict[str, Any], self.scope)
        scope["headers"] = []
        scope["extensions"].pop("hub.transport", None)

    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "websocket.accept":
            self._forget_handshake()
        elif message["type"] == "websocket.close":
            self.loop.call_later(CLOSE_ABORT_S, self.abort)


class HubServer(uvicorn.Server):
    """A server that lets its sockets move before it ends."""

    def __init__(self, config: uvicorn.Config, hub: Callable[[], Hub | None], *, drain_s: float) -> None:
        super().__init__(config)
        self._hub = hub
        self._drain_s = drain_s

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then take everything made so far out of the collector's rounds: they would stall every stream."""
        await super().startup(sockets)
        gc.collect()
        gc.freeze()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the listeners, drain, then shut down within what is left of 25 s."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        hub = self._hub()
        if hub is not None:
            hub.draining = True  # /health/ready says 503 from here on
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        if hub is not None and not self.force_exit:
            await self._drain(hub)
        left = max(1.0, SHUTDOWN_S - (loop.time() - started))
        self.config.timeout_graceful_shutdown = int(left)
        await super().shutdown(sockets)

    async def _drain(self, hub: Hub) -> None:
        if hub.sockets or hub.producers.count:
            # Connects that were accepted but not yet seen still arrive; cutting now would fail them.
            await self._sleep(min(LISTENER_PAUSE_S, self._drain_s))
        try:
            async with asyncio.timeout(self._drain_s + 1.0):
                await hub.drain(self._drain_s)
        except TimeoutError:
            logger("hub").warning("drain took too long")

    async def _sleep(self, seconds: float) -> None:
        """Sleep, unless the operator asks twice."""
        deadline = asyncio.get_running_loop().time() + seconds
        while not self.force_exit and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


def listen(host: str, port: int, *, reuse_port: bool = False) -> socket.socket:
    """A listening socket whose connections inherit the limits for stalled readers (Linux names, elsewhere skipped)."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if sys.platform == "linux":
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, NOTSENT_LOWAT)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def server_config(app: Any, *, ping_interval_s: float = 25.0, ping_timeout_s: float = 20.0) -> uvicorn.Config:
    """uvicorn's settings; each stands in the table of the realtime design with its reason."""
    return uvicorn.Config(
        app,
        http=GuardedHttpProtocol,
        ws=HubWebSocketProtocol,
        loop="uvloop",
        ws_max_size=MAX_FRAME_BYTES,
        ws_ping_interval=ping_interval_s,
        ws_ping_timeout=ping_timeout_s,
        ws_per_message_deflate=False,
        timeout_keep_alive=75,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # who may name an address is decided by our own list
        log_config=None,
        lifespan="on",
        backlog=BACKLOG,
    )


def make_server(app: Any, settings: Settings, hub: Callable[[], Hub | None]) -> HubServer:
    """The server of one process; run it with `serve(sockets=[listen(host, port)])`."""
    return HubServer(server_config(app), hub, drain_s=settings.drain_s)
