"""Who may open a socket: origins, addresses, numbers. Pure, but for the counters it keeps."""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from server import errors

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_DEFAULT_PORTS = {"http": 80, "https": 443}
WINDOW_S = 60.0


def normal_origin(origin: str) -> str | None:
    """An origin as it is compared: lower case, no trailing dot, no default port; None when it is no origin."""
    try:
        parts = urlsplit(origin.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme.lower() not in _DEFAULT_PORTS or not host:
        return None
    if (
        parts.path
        or parts.query
        or parts.fragment
        or parts.username is not None
        or "@" in parts.netloc
        or "?" in origin
    ):
        return None
    try:
        name = _ascii_host(host.rstrip("."))
    except UnicodeError:
        return None
    scheme = parts.scheme.lower()
    return f"{scheme}://{name}" if port in (None, _DEFAULT_PORTS[scheme]) else f"{scheme}://{name}:{port}"


def _ascii_host(host: str) -> str:
    if ":" in host:
        return f"[{host}]"
    return host if host.isascii() else host.encode("idna").decode("ascii")


def origin_allowed(origin: str, patterns: Iterable[str]) -> bool:
    """Whether a normalised origin is on the list: exact, or `https://*.example.com` for true subdomains."""
    scheme, _, rest = origin.partition("://")
    for pattern in patterns:
        pattern_scheme, _, pattern_rest = pattern.lower().partition("://")
        if pattern_scheme != scheme:
            continue
        if pattern_rest.startswith("*."):
            suffix = normal_origin(f"{scheme}://{pattern_rest[2:]}")
            if suffix and rest.endswith("." + suffix.partition("://")[2]):
                return True
        elif normal_origin(pattern) == origin:
            return True
    return False


def own_origins(url: str) -> tuple[str, ...]:
    """The server's own origin, with the other names of this machine where it serves only itself."""
    own = normal_origin(url)
    if own is None:
        return ()
    parts = urlsplit(own)
    if parts.hostname not in {"127.0.0.1", "localhost", "::1"}:
        return (own,)
    port = f":{parts.port}" if parts.port else ""
    return tuple(f"{parts.scheme}://{name}{port}" for name in _LOOPBACK)


def check_origin(origin: str | None, allowed: Iterable[str], own: Iterable[str]) -> str:
    """The normalised origin; raises OriginMissing or OriginNotAllowed."""
    if not origin:
        raise errors.OriginMissing
    normal = normal_origin(origin)
    if normal is None or not (normal in own or origin_allowed(normal, allowed)):
        raise errors.OriginNotAllowed
    return normal


def client_address(peer: str, forwarded: str, trusted: Iterable[str]) -> str:
    """The visitor's address: the right-most hop that is no trusted proxy."""
    networks = [ipaddress.ip_network(network, strict=False) for network in trusted]
    address = peer
    for hop in reversed([part.strip() for part in forwarded.split(",") if part.strip()]):
        if not _within(address, networks):
            break
        address = hop
    return address


def _within(address: str, networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    try:
        value = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(value in network for network in networks)


def address_group(address: str) -> str:
    """What is counted as one visitor: an IPv4 address or an IPv6 /64."""
    try:
        value = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(value, ipaddress.IPv6Address):
        mapped = value.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.ip_network((value, 64), strict=False))
    return str(value)


@dataclass(slots=True)
class _Counter:
    open: int = 0
    window: int = 0
    now: int = 0
    before: int = 0
    banned_until: float = 0.0

    def rate(self, now: float) -> float:
        """Connects in the last minute, estimated from two fixed windows."""
        window, share = divmod(now, WINDOW_S)
        if int(window) != self.window:
            self.before = self.now if int(window) == self.window + 1 else 0
            self.window, self.now = int(window), 0
        return self.now + self.before * (1 - share / WINDOW_S)


class Admission:
    """Counts sockets: per process, per address, and connects per address and minute."""

    def __init__(self, *, max_sockets: int, per_address: int, connects_per_minute: int) -> None:
        self._max_sockets = max_sockets
        self._per_address = per_address
        self._connects = connects_per_minute
        self._counters: dict[str, _Counter] = {}
        self.open = 0

    def admit(self, address: str, now: float) -> str:
        """Count a socket in; returns what `release` takes. Raises NodeFull, ConnectionLimit or RateLimited."""
        group = address_group(address)
        if self.open >= self._max_sockets:
            raise errors.NodeFull(retry_after_s=5.0)
        counter = self._counters.setdefault(group, _Counter())
        if now < counter.banned_until:
            raise errors.RateLimited("Too many broken frames.", retry_after_s=math.ceil(counter.banned_until - now))
        if counter.rate(now) >= self._connects:
            raise errors.RateLimited("Too many connects.", retry_after_s=10.0)
        if counter.open >= self._per_address:
            raise errors.ConnectionLimit(retry_after_s=30.0)
        counter.open += 1
        counter.now += 1
        self.open += 1
        return group

    def release(self, group: str) -> None:
        """Count a socket out."""
        self.open -= 1
        self._counters[group].open -= 1

    def ban(self, group: str, now: float) -> None:
        """Refuse an address for a minute: it sent a hundred broken frames."""
        self._counters.setdefault(group, _Counter()).banned_until = now + WINDOW_S

    def sweep(self, now: float) -> None:
        """Forget addresses that have nothing open and did nothing lately."""
        idle = [
            group
            for group, counter in self._counters.items()
            if counter.open == 0 and counter.rate(now) == 0 and now > counter.banned_until
        ]
        for group in idle:
            del self._counters[group]
