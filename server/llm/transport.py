"""The HTTP door to providers: one streaming POST, its failures sorted by kind. The only file here that knows httpx."""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from server.llm.failures import Failure, UpstreamFailed, sort_exception, sort_failure

MAX_ERROR_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Call:
    """One POST to a provider; headers may hold the key and so never show in a repr."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    loopback: bool = False
    idle_s: float = 15.0


@dataclass(frozen=True, slots=True)
class SocketDeadlines:
    """How long a connection may take to stand, TLS included; the other clocks are the call's and the gateway's."""

    connect_s: float = 2.0
    connect_loopback_s: float = 0.5


class Transport:
    """Streams answers of providers over one connection pool; hand it to the gateway, close it with `aclose`."""

    def __init__(self, client: httpx.AsyncClient, deadlines: SocketDeadlines | None = None) -> None:
        self._client = client
        self._deadlines = deadlines or SocketDeadlines()

    @asynccontextmanager
    async def post(self, call: Call) -> AsyncGenerator[AsyncIterator[bytes], None]:
        """The bytes of a 2xx answer as they arrive; raises `UpstreamFailed` for all else.

        Leaving the context closes an unfinished connection at once: that is how a provider learns that nobody listens.
        """
        response = await self._send(call)
        try:
            if response.status_code // 100 != 2:
                raise UpstreamFailed(await _refusal(response))
            yield _guarded(response)
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        """Closes the pool."""
        await self._client.aclose()

    async def _send(self, call: Call) -> httpx.Response:
        limits = self._deadlines
        connect_s = limits.connect_loopback_s if call.loopback else limits.connect_s
        timeout = httpx.Timeout(call.idle_s, connect=connect_s)
        request = self._client.build_request("POST", call.url, headers=call.headers, content=call.body, timeout=timeout)
        try:
            return await self._client.send(request, stream=True)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise UpstreamFailed(sort_exception(_name(error), str(error), answered=False)) from error


@asynccontextmanager
async def open_transport(deadlines: SocketDeadlines | None = None) -> AsyncGenerator[Transport, None]:
    """A transport without proxies, redirects, cookies or anything else from the environment."""
    no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
    pool = AiohttpTransport(trust_env=False, client=_session)
    async with httpx.AsyncClient(transport=pool, trust_env=False, follow_redirects=False, cookies=no_cookies) as client:
        yield Transport(client, deadlines)


def _session() -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(limit=1000, keepalive_timeout=30, ssl=ssl.create_default_context())
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)


def _name(error: Exception) -> str:
    """The name of what really happened: a server that hung up before answering hides behind a connect timeout."""
    if isinstance(error.__cause__, aiohttp.ServerDisconnectedError | ConnectionResetError):
        return "ServerDisconnectedError"
    if isinstance(error.__cause__, aiohttp.ClientOSError) and not isinstance(
        error.__cause__, aiohttp.ClientConnectorError
    ):
        return "ServerDisconnectedError"
    return type(error).__name__


async def _guarded(response: httpx.Response) -> AsyncIterator[bytes]:
    """The raw body; httpx's own byte iterator would copy and re-chunk what the parser splits anyway."""
    try:
        async for chunk in response.stream:  # type: ignore[union-attr]
            yield chunk
    except (httpx.HTTPError, OSError) as error:
        raise UpstreamFailed(sort_exception(_name(error), str(error), answered=True)) from error


async def _refusal(response: httpx.Response) -> Failure:
    """What a non-2xx answer means; a redirect is garbled, since a provider's address is configured, not found."""
    body = bytearray()
    try:
        async for chunk in response.stream:  # type: ignore[union-attr]
            body += chunk
            if len(body) > MAX_ERROR_BYTES:
                break
    except (httpx.HTTPError, OSError):
        pass  # the status and what came of the body are enough
    headers = {name.lower(): value for name, value in response.headers.items()}
    return sort_failure(response.status_code, headers, bytes(body[:MAX_ERROR_BYTES]), time.time())
