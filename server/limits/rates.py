"""Rate limits: sliding windows in Valkey, checked all at once and counted all or none.

A window is a hash of sub-window counters. The sum of every sub-window that touches (now - W, now] is compared, so no
window of that length ever holds more than the limit; the price is refusing slightly early (3 % with twelve
sub-windows).
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
        Limit("visitor_commands", "visitor_messages", 240),
        Limit("address_messages", "visitor_messages", 120),
        Limit("address_connects", "address_connections", 60),
        Limit("tenant_messages", "tenant_messages", 600),
        Limit("logins", "console", 10, window_ms=300_000),
        Limit("login_account", "console", 100, window_ms=300_000),
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


# KEYS: one hash for each limit. ARGV: for each limit its value, window, parts, amount. Server time: clocks of nodes
# differ. Refused is told with the limit that keeps the caller waiting longest, so that waiting once is enough.
ADMIT = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local least, which = nil, 1
local refused, refused_left, longest = nil, 0, 0
for i, k in ipairs(KEYS) do
  local limit, window = tonumber(ARGV[i*4-3]), tonumber(ARGV[i*4-2])
  local parts, amount = tonumber(ARGV[i*4-1]), tonumber(ARGV[i*4])
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
  local remaining = limit - sum - amount
  if remaining < 0 then
    table.sort(live, function(a, b) return a[1] < b[1] end)
    local left, wait = sum, window
    for _, entry in ipairs(live) do
      left = left - entry[2]
      if left + amount <= limit then
        wait = (entry[1] + parts + 1) * step - now
        break
      end
    end
    if wait > longest then refused, refused_left, longest = i, math.max(0, limit - sum), wait end
  elseif least == nil or remaining / limit < least / tonumber(ARGV[which*4-3]) then
    least, which = remaining, i
  end
end
if refused then return {0, refused, refused_left, math.ceil(longest)} end
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
    """The same verdicts from this process's memory, by the same sub-windows; bounded in size."""

    LARGEST = 50_000

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._counts: dict[str, dict[int, int]] = {}

    def admit(self, keys: Sequence[str], charges: Sequence[Charge]) -> tuple[int, int, int, int]:
        """The answer ADMIT would give."""
        now_ms = int(self._clock() * 1000)
        self._stay_small()
        verdicts = [self._judge(name, charge, now_ms) for name, charge in zip(keys, charges, strict=True)]
        longest = max(range(len(charges)), key=lambda at: verdicts[at][1])
        remaining, wait_ms = verdicts[longest]
        if wait_ms:
            return 0, longest + 1, max(0, remaining + charges[longest].amount), wait_ms
        for name, charge in zip(keys, charges, strict=True):
            counts, part = self._counts.setdefault(name, {}), now_ms // _step(charge)
            counts[part] = counts.get(part, 0) + charge.amount
        tightest = min(range(len(charges)), key=lambda at: verdicts[at][0] / max(1, _value(charges[at])))
        return 1, tightest + 1, verdicts[tightest][0], 0

    def _judge(self, name: str, charge: Charge, now_ms: int) -> tuple[int, int]:
        """What would be left, and how long to wait when that is less than nothing."""
        row, step = LIMITS[charge.limit], _step(charge)
        counts = self._counts.get(name, {})
        for part in [part for part in counts if part < now_ms // step - row.parts]:
            del counts[part]
        used, limit = sum(counts.values()), _value(charge)
        remaining = limit - used - charge.amount
        if remaining >= 0:
            return remaining, 0
        for part in sorted(counts):
            used -= counts[part]
            if used + charge.amount <= limit:
                return remaining, (part + row.parts + 1) * step - now_ms
        return remaining, row.window_ms

    def _stay_small(self) -> None:
        """Forget the subjects that came first; only a flood of new ones gets here."""
        if len(self._counts) <= self.LARGEST:
            return
        for name in list(self._counts)[: self.LARGEST // 2]:
            del self._counts[name]


def _step(charge: Charge) -> int:
    row = LIMITS[charge.limit]
    return row.window_ms // row.parts
