"""Rate limits: sliding windows in Valkey, checked all at once and counted all or none.

A window is a hash of sub-window counters. The sum of every sub-window that touches (now - W, now] is compared, so no window
of that length ever holds more than the limit; the price is refusing slightly early (3 % with twelve sub-windows).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from server import errors
from server.ids import TenantId
from server.storage.valkey import AWAY, Valkey, key
from server.telemetry import logger

_log = logger("limits")
Scope = Literal[
    "visitor_messages", "visitor_streams", "address_connections", "tenant_messages", "tenant_tokens", "console"
]


@dataclass(frozen=True, slots=True)
class Limit:
    """One row of the table: how many in which window, and what the caller is told it is."""

    name: str
    scope: Scope
    default: int
    window_ms: int = 60_000
    parts: int = 12


LIMITS: dict[str, Limit] = {
    row.name: row
    for row in (
        Limit("visitor_messages", "visitor_messages", 20),
        Limit("address_messages", "visitor_messages", 120),
        Limit("address_connects", "address_connections", 60),
        Limit("tenant_messages", "tenant_messages", 600),
        Limit("logins", "console", 10, window_ms=300_000),
        Limit("login_address", "console", 30, window_ms=300_000),
    )
}


@dataclass(frozen=True, slots=True)
class Charge:
    """`amount` against one limit of one subject; `limit_value` overrides the table's default."""

    limit: str
    subject: str
    amount: int = 1
    limit_value: int | None = None


@dataclass(frozen=True, slots=True)
class Admitted:
    """What the tightest limit has left."""

    scope: Scope
    limit: int
    remaining: int
    reset_ms: int


# KEYS: one hash for each limit. ARGV: for each limit its value, window, parts, amount. Server time: clocks of nodes differ.
ADMIT = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local least, which = nil, 1
for i, k in ipairs(KEYS) do
  local limit, window, parts, amount = tonumber(ARGV[i*4-3]), tonumber(ARGV[i*4-2]), tonumber(ARGV[i*4-1]), tonumber(ARGV[i*4])
  local step = window / parts
  local current = math.floor(now / step)
  local sum, live = 0, {}
  local all = redis.call('HGETALL', k)
  for j = 1, #all, 2 do
    local part, count = tonumber(all[j]), tonumber(all[j+1])
    -- A clock that stepped back leaves counters in the future; one that is older than the window counts no more.
    if part > current + 1 or part < current - parts then
      redis.call('HDEL', k, all[j])
    else
      sum = sum + count
      live[#live+1] = {part, count}
    end
  end
  if sum + amount > limit then
    table.sort(live, function(a, b) return a[1] < b[1] end)
    local left, wait = sum, window
    for _, entry in ipairs(live) do
      left = left - entry[2]
      if left + amount <= limit then
        wait = (entry[1] + parts + 1) * step - now
        break
      end
    end
    return {0, i, math.max(0, limit - sum), math.ceil(wait)}
  end
  local remaining = limit - sum - amount
  if least == nil or remaining / limit < least / tonumber(ARGV[which*4-3]) then least, which = remaining, i end
end
for i, k in ipairs(KEYS) do
  local window, parts, amount = tonumber(ARGV[i*4-2]), tonumber(ARGV[i*4-1]), tonumber(ARGV[i*4])
  redis.call('HINCRBY', k, math.floor(now / (window / parts)), amount)
  redis.call('PEXPIRE', k, window * 2)
end
return {1, which, least, 0}
"""


class Rates:
    """Admits or refuses; while Valkey is away each process counts for itself."""

    def __init__(self, valkey: Valkey, clock: Callable[[], float] = time.monotonic) -> None:
        self._valkey = valkey
        self._local = LocalWindows(clock)

    async def admit(self, tenant: TenantId, charges: Sequence[Charge]) -> Admitted:
        """Count every charge, or none and raise RateLimited with the exact wait."""
        keys = [key(tenant, "rate", charge.limit, charge.subject) for charge in charges]
        arguments: list[int] = []
        for charge in charges:
            row = LIMITS[charge.limit]
            arguments += [_value(charge), row.window_ms, row.parts, charge.amount]
        try:
            admitted, which, remaining, wait_ms = await self._valkey.script("admit", ADMIT, keys, arguments)
        except AWAY:
            _log.warning("counting locally", extra={"part": "valkey"})
            admitted, which, remaining, wait_ms = self._local.admit(keys, charges)
        return _verdict(charges[which - 1], bool(admitted), int(remaining), int(wait_ms))


def _value(charge: Charge) -> int:
    return LIMITS[charge.limit].default if charge.limit_value is None else charge.limit_value


def _verdict(charge: Charge, admitted: bool, remaining: int, wait_ms: int) -> Admitted:
    row = LIMITS[charge.limit]
    if admitted:
        return Admitted(row.scope, _value(charge), remaining, row.window_ms)
    raise errors.RateLimited(
        f"At most {_value(charge)} in {row.window_ms // 1000} s; wait {wait_ms / 1000:.1f} s.",
        retry_after_s=wait_ms / 1000,
        extra={"scope": row.scope, "limit": _value(charge), "remaining": remaining, "reset_ms": wait_ms},
    )


class LocalWindows:
    """The same verdicts from this process's memory: coarser (one window, no parts), bounded in size."""

    LARGEST = 50_000

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._counts: dict[tuple[str, int], int] = {}

    def admit(self, keys: Sequence[str], charges: Sequence[Charge]) -> tuple[int, int, int, int]:
        """The answer ADMIT would give."""
        if len(self._counts) > self.LARGEST:
            self._counts.clear()
        now_ms = int(self._clock() * 1000)
        slots = [(name, now_ms // LIMITS[charge.limit].window_ms) for name, charge in zip(keys, charges, strict=True)]
        least = (0, 10**9)
        for number, (slot, charge) in enumerate(zip(slots, charges, strict=True), start=1):
            remaining = _value(charge) - self._counts.get(slot, 0) - charge.amount
            window = LIMITS[charge.limit].window_ms
            if remaining < 0:
                return 0, number, remaining + charge.amount, window - now_ms % window
            least = min(least, (number, remaining), key=lambda pair: pair[1])
        for slot, charge in zip(slots, charges, strict=True):
            self._counts[slot] = self._counts.get(slot, 0) + charge.amount
        return 1, max(1, least[0]), least[1], 0
