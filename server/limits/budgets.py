"""Budgets: money is reserved before a provider is called, extended while it streams, settled after. Integer nano-USD.

Checking first and charging afterwards overspends under load, holding the worst case starves; so an attempt holds its
input and one slice of output, asks for more while it streams, and gives back what it did not use. A window is hard when
it has a limit, else it only counts. A window that Valkey does not know begins at what the ledger says was spent in it,
so a lost Valkey never opens a budget anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from server import errors
from server.ids import BotId
from server.storage import usage
from server.storage.database import Database, now
from server.storage.records import BotRecord, TenantRecord
from server.storage.valkey import AWAY, Valkey, key
from server.telemetry import logger

_log = logger("limits")
NO_LIMIT = -1
# Longer than any attempt may take, so that nobody has to send heartbeats; what a crash leaves is gone in two minutes.
RESERVATION_MS = 100_000
TOMBSTONE_MS = 24 * 3_600_000
# A settled id is remembered only as long as a late repeat of its calls may arrive.
SETTLED_MS = 600_000
# The scripts keep reservations as JSON, whose numbers have fourteen digits there.
MOST_NANOUSD = 99_999 * 10**9
REAP_MOST = 16
KEPT_DAYS = 40
# Answers of RESERVE: held now or by an earlier call; a window nobody has begun yet.
HELD = (1, 2)
UNKNOWN_WINDOW = -2
# Answer of SETTLE: no such reservation; one that is settled already answers 0.
UNKNOWN_ATTEMPT = -1


class TokenCounts(Protocol):
    """Tokens of one attempt."""

    input: int
    cache_read: int
    cache_write: int
    output: int
    reasoning: int


class AttemptRow(Protocol):
    """What the ledger keeps of one attempt."""

    turn_id: str
    attempt: int
    reason: str
    provider: str
    model: str
    usage: Any
    usage_source: str
    cost_nanousd: int
    ttft_ms: int | None
    total_ms: int | None
    finish: str


@dataclass(frozen=True, slots=True)
class Window:
    """One budget of one period."""

    name: str
    limit: int
    ends_ms: int
    since: datetime
    bot: BotId | None = None


# Shared by the three scripts. An expired reservation is charged what it held where a limit is hard (it may have been
# spent), and its floor elsewhere; its tombstone lets a late settle pay only the difference. `0 - x` instead of `-x`:
# HINCRBY does not read "-0", and an error in the middle would leave half a change.
_REAP = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local Z, L, X = KEYS[1], KEYS[2], KEYS[3]
local function reap(most, forget)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', Z, '-inf', now, 'LIMIT', 0, most)) do
    local raw = redis.call('HGET', L, id)
    redis.call('ZREM', Z, id)
    if raw then
      local r = cjson.decode(raw)
      local charged = {}
      for i, w in ipairs(r.w) do
        local limit = tonumber(redis.call('HGET', w, 'limit') or '-1')
        local charge = (limit >= 0) and r.a or r.f
        redis.call('HINCRBY', w, 'held', string.format('%.0f', 0 - r.a))
        redis.call('HINCRBY', w, 'spent', string.format('%.0f', charge))
        charged[i] = charge
      end
      r.dead = 1
      r.c = charged
      redis.call('HSET', L, id, cjson.encode(r))
      redis.call('ZADD', X, now + forget, id)
    end
  end
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', X, '-inf', now, 'LIMIT', 0, most)) do
    redis.call('ZREM', X, id)
    redis.call('HDEL', L, id)
  end
end
"""

# KEYS: z, l, x, windows... ARGV: id, amount, floor, ttl, reap_max, forget, then (limit, expire_at) for each window.
RESERVE = (
    _REAP
    + """
reap(tonumber(ARGV[5]), tonumber(ARGV[6]))
local id, amount, floor, ttl = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local known = redis.call('HGET', L, id)
if known then
  local r = cjson.decode(known)
  if r.dead or r.done then return {-1} end
  return {2}
end
for i = 4, #KEYS do
  if redis.call('HEXISTS', KEYS[i], 'spent') == 0 then return {-2, i - 3} end
end
local windows = {}
for i = 4, #KEYS do
  local limit, ends = tonumber(ARGV[7 + (i-4)*2]), ARGV[8 + (i-4)*2]
  local spent = tonumber(redis.call('HGET', KEYS[i], 'spent') or '0')
  local held = tonumber(redis.call('HGET', KEYS[i], 'held') or '0')
  redis.call('HSET', KEYS[i], 'limit', string.format('%.0f', limit))
  redis.call('PEXPIREAT', KEYS[i], ends)
  if limit >= 0 and spent + held + amount > limit then
    return {0, i - 3, string.format('%.0f', math.max(0, limit - spent - held))}
  end
  windows[#windows+1] = KEYS[i]
end
for _, w in ipairs(windows) do redis.call('HINCRBY', w, 'held', string.format('%.0f', amount)) end
redis.call('HSET', L, id, cjson.encode({a=amount, f=floor, w=windows}))
redis.call('ZADD', Z, now + ttl, id)
return {1}
"""
)

# ARGV: id, delta, floor, ttl. delta 0 renews; a negative one shrinks, never below the floor.
EXTEND = (
    _REAP
    + """
local id, delta, floor, ttl = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local raw = redis.call('HGET', L, id)
if not raw then return {-1} end
local r = cjson.decode(raw)
if r.dead or r.done then return {-1} end
r.f = math.max(r.f, floor)
if delta < 0 and r.a + delta < r.f then delta = math.min(0, r.f - r.a) end
local granted = 1
if delta > 0 then
  for _, w in ipairs(r.w) do
    local limit = tonumber(redis.call('HGET', w, 'limit') or '-1')
    local used = tonumber(redis.call('HGET', w, 'spent') or '0') + tonumber(redis.call('HGET', w, 'held') or '0')
    if limit >= 0 and used + delta > limit then granted = 0 end
  end
end
if granted == 1 and delta ~= 0 then
  for _, w in ipairs(r.w) do redis.call('HINCRBY', w, 'held', string.format('%.0f', delta)) end
  r.a = r.a + delta
end
redis.call('HSET', L, id, cjson.encode(r))
redis.call('ZADD', Z, now + ttl, id)
return {granted, string.format('%.0f', r.a)}
"""
)

# KEYS: one window.
STATE = """
local found = redis.call('HMGET', KEYS[1], 'spent', 'held')
return {found[1] or '0', found[2] or '0'}
"""

# KEYS: one window. ARGV: what the ledger says, expire_at. Whoever comes first decides.
SEED = """
redis.call('HSETNX', KEYS[1], 'spent', ARGV[1])
redis.call('PEXPIREAT', KEYS[1], ARGV[2])
"""

# KEYS: one window that is known. ARGV: what the ledger says. Never lowers: holds that were reaped may stand above it.
RAISE = """
local spent = redis.call('HGET', KEYS[1], 'spent')
if spent and tonumber(spent) < tonumber(ARGV[1]) then redis.call('HSET', KEYS[1], 'spent', ARGV[1]) end
"""

# ARGV: id, actual, forget. A settled id leaves a tombstone of its own, so that a repeat pays nothing.
SETTLE = (
    _REAP
    + """
local id, actual, forget = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local raw = redis.call('HGET', L, id)
if not raw then return {-1} end
local r = cjson.decode(raw)
if r.done then return {0} end
for i, w in ipairs(r.w) do
  if r.dead then
    redis.call('HINCRBY', w, 'spent', string.format('%.0f', actual - r.c[i]))
  else
    redis.call('HINCRBY', w, 'held', string.format('%.0f', 0 - r.a))
    redis.call('HINCRBY', w, 'spent', string.format('%.0f', actual))
  end
end
redis.call('ZREM', Z, id)
redis.call('HSET', L, id, cjson.encode({done=1, a=0, f=0, w={}}))
redis.call('ZADD', X, now + forget, id)
return {1}
"""
)


def month_windows(tenant: TenantRecord, bot: BotRecord, moment: datetime) -> tuple[Window, ...]:
    """The windows a turn is paid from: the tenant's month and the bot's. A period is an id, never a TTL."""
    moment = moment.astimezone(UTC)
    period = f"m:{moment:%Y%m}"
    since = datetime(moment.year, moment.month, 1, tzinfo=UTC)
    ends = datetime(moment.year + moment.month // 12, moment.month % 12 + 1, 1, tzinfo=UTC)
    kept_ms = int((ends + timedelta(days=KEPT_DAYS)).timestamp() * 1000)
    rows = (
        ("", tenant.monthly_budget_nanousd, None),
        (f"bot:{bot.id}:", bot.config.limits.monthly_budget_nanousd, bot.id),
    )
    return tuple(
        Window(
            key(tenant.id, "budget", f"{scope}{period}"), NO_LIMIT if limit is None else limit, kept_ms, since, whose
        )
        for scope, limit, whose in rows
    )


class Budgets:
    """Hands every turn the purse it spends from."""

    def __init__(self, valkey: Valkey, db: Database) -> None:
        self._valkey = valkey
        self._db = db

    def spending(self, tenant: TenantRecord, bot: BotRecord, turn_id: str, *, conversation: str = "") -> BudgetSpending:
        """The purse of one turn; its period is fixed now, whatever midnight does to the answer."""
        return BudgetSpending(
            self._valkey, self._db, tenant=tenant, bot=bot, turn_id=turn_id, conversation=conversation
        )

    async def state(self, tenant: TenantRecord, bot: BotRecord) -> dict[str, dict[str, int]]:
        """Spent, held and limit (-1: none) of each window of this month, for people; raises BudgetUnverifiable."""
        found = {}
        for name, window in zip(("tenant", "bot"), month_windows(tenant, bot, now()), strict=True):
            try:
                spent, held = await self._valkey.script("state", STATE, [window.name], [])
            except AWAY:
                raise errors.BudgetUnverifiable from None
            found[name] = {"spent_nanousd": int(spent), "held_nanousd": int(held), "limit_nanousd": window.limit}
        return found


class BudgetSpending:
    """Reserve, extend, settle for the attempts of one turn; every call may be repeated."""

    def __init__(
        self,
        valkey: Valkey,
        db: Database,
        *,
        tenant: TenantRecord,
        bot: BotRecord,
        turn_id: str,
        conversation: str,
    ) -> None:
        self._valkey = valkey
        self._db = db
        self._tenant = tenant
        self._bot = bot
        self._turn_id = turn_id
        self._conversation = conversation
        self._windows = month_windows(tenant, bot, now())
        self._keys = [key(tenant.id, "budget", name) for name in ("z", "l", "x")]
        self._asked: set[str] = set()

    @property
    def is_hard(self) -> bool:
        """Whether any window blocks."""
        return any(window.limit != NO_LIMIT for window in self._windows)

    async def reserve(self, attempt_id: str, amount_nanousd: int, floor_nanousd: int) -> bool:
        """Hold an amount in every window, or in none (False). What costs nothing needs no reservation."""
        if amount_nanousd == 0:
            return True
        if not 0 <= floor_nanousd <= amount_nanousd <= MOST_NANOUSD:
            _log.warning("not a reservation", extra={"tenant": self._tenant.id, "attempt": attempt_id})
            return False
        self._asked.add(attempt_id)
        bounds = [value for window in self._windows for value in (window.limit, window.ends_ms)]
        arguments = [attempt_id, amount_nanousd, floor_nanousd, RESERVATION_MS, REAP_MOST, TOMBSTONE_MS, *bounds]
        keys = [*self._keys, *(window.name for window in self._windows)]
        for _ in range(len(self._windows) + 1):
            answer = await self._ask("reserve", RESERVE, keys, arguments)
            if answer is None or answer[0] != UNKNOWN_WINDOW:
                return answer is None or answer[0] in HELD
            await self._seed(self._windows[answer[1] - 1])
        return not self.is_hard

    async def extend(self, attempt_id: str, delta_nanousd: int, floor_nanousd: int) -> bool:
        """Hold more (or less, or just go on holding): False means nothing beyond what is held is covered."""
        if attempt_id not in self._asked and delta_nanousd == 0:
            return True
        arguments = [attempt_id, delta_nanousd, floor_nanousd, RESERVATION_MS]
        answer = await self._ask("extend", EXTEND, self._keys, arguments)
        # Soft windows only count: one whose reservation is gone, because Valkey was away, goes on all the same.
        return answer is None or answer[0] == 1 or not self.is_hard

    async def settle(self, attempt_id: str, actual_nanousd: int, record: AttemptRow) -> None:
        """Pay what was used and write the ledger's row: the ledger first, since counters can be rebuilt from it."""
        try:
            await usage.add_usage(self._db, self._tenant.id, [self._row(attempt_id, record)])
        finally:
            await self._pay(attempt_id, actual_nanousd)

    async def _pay(self, attempt_id: str, actual_nanousd: int) -> None:
        if actual_nanousd == 0 and attempt_id not in self._asked:
            return
        try:
            answer = await self._ask("settle", SETTLE, self._keys, [attempt_id, actual_nanousd, SETTLED_MS])
            if answer is not None and answer[0] == UNKNOWN_ATTEMPT and actual_nanousd > 0:
                await self._raise_windows()
        except errors.ParlourError:
            answer = None
        if answer is None:
            _log.warning("not settled in Valkey", extra={"tenant": self._tenant.id, "attempt": attempt_id})

    async def _raise_windows(self) -> None:
        """Valkey lost the reservation, but somebody may have begun the windows since: bring them up to the ledger."""
        for window in self._windows:
            spent = await usage.spent_since(self._db, self._tenant.id, window.since, bot=window.bot)
            await self._ask("raise", RAISE, [window.name], [spent])

    async def _seed(self, window: Window) -> None:
        """Begin a window at the ledger's sum: 0 in a new month, what was spent after Valkey lost its memory."""
        try:
            spent = await usage.spent_since(self._db, self._tenant.id, window.since, bot=window.bot)
        except errors.ParlourError:
            if self.is_hard:
                raise errors.BudgetUnverifiable from None
            return
        await self._ask("seed", SEED, [window.name], [spent, window.ends_ms])

    async def _ask(self, name: str, lua: str, keys: Sequence[str], arguments: Sequence[Any]) -> list[Any] | None:
        """Run a script; while Valkey is away hard budgets refuse and soft ones go on (None)."""
        try:
            answer: list[Any] = await self._valkey.script(name, lua, keys, arguments)
        except AWAY:
            if self.is_hard:
                raise errors.BudgetUnverifiable from None
            return None
        return answer

    def _row(self, attempt_id: str, record: AttemptRow) -> dict[str, Any]:
        tokens: TokenCounts = record.usage
        return {
            "id": attempt_id,
            "bot_id": self._bot.id,
            "conversation_id": self._conversation,
            "message_id": self._turn_id,
            "attempt": record.attempt,
            "reason": record.reason[:16],
            "provider": record.provider[:64],
            "model": record.model[:120],
            "input_tokens": tokens.input,
            "cache_read_tokens": tokens.cache_read,
            "cache_write_tokens": tokens.cache_write,
            "output_tokens": tokens.output,
            "reasoning_tokens": tokens.reasoning,
            "usage_source": record.usage_source[:16],
            "cost_nanousd": record.cost_nanousd,
            "ttft_ms": record.ttft_ms,
            "total_ms": record.total_ms,
            "finish": record.finish[:16],
        }
