"""Budgets against a real Valkey and a real ledger: never over the limit, every call once, nothing leaks."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from server import errors
from server.bot import BotConfig, Limits
from server.ids import TenantId
from server.limits import budgets
from server.limits.budgets import Budgets, BudgetSpending, month_windows
from server.storage import bots, tenants, usage
from server.storage.database import Database, now
from server.storage.records import BotRecord, TenantRecord
from server.storage.valkey import Valkey, key

TENANT = TenantId("ten_1")
LIMIT = 100_000


@dataclass
class Tokens:
    input: int = 10
    cache_read: int = 0
    cache_write: int = 0
    output: int = 5
    reasoning: int = 0


@dataclass
class Record:
    turn_id: str = "turn"
    attempt: int = 1
    reason: str = "primary"
    provider: str = "p"
    model: str = "m"
    usage: Tokens = field(default_factory=Tokens)
    usage_source: str = "reported"
    cost_nanousd: int = 0
    ttft_ms: int | None = None
    total_ms: int | None = 5
    finish: str = "a finish of many letters"


@dataclass
class Purse:
    """A tenant and its bot with their budgets."""

    valkey: Valkey
    db: Database
    tenant: TenantRecord
    bot: BotRecord

    def of(self, turn: str) -> BudgetSpending:
        return Budgets(self.valkey, self.db).spending(self.tenant, self.bot, turn)

    async def state(self) -> dict[str, dict[str, int]]:
        return await Budgets(self.valkey, self.db).state(self.tenant, self.bot)

    async def ledger(self) -> int:
        return await usage.spent_since(self.db, TENANT, datetime(2000, 1, 1, tzinfo=UTC))

    async def expire(self) -> None:
        """Make every reservation old."""
        lua = "for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do redis.call('ZADD', KEYS[1], 1, id) end"
        await self.valkey.script("expire", lua, [key(TENANT, "budget", "z")], [])

    async def live(self) -> int:
        return int(await self.valkey.commands.zcard(key(TENANT, "budget", "z")))


async def purse_of(valkey: Valkey, db: Database, *, limit: int | None = LIMIT, bot_limit: int | None = None) -> Purse:
    tenant = await tenants.create_tenant(db, TENANT, "A", monthly_budget_nanousd=limit)
    bot = await bots.create_bot(db, TENANT, BotConfig(limits=Limits(monthly_budget_nanousd=bot_limit)))
    return Purse(valkey, db, tenant, bot)


async def settle(spending: BudgetSpending, attempt: str, cost: int) -> None:
    await spending.settle(attempt, cost, Record(cost_nanousd=cost))


async def test_reserve_extend_settle(valkey: Valkey, db: Database) -> None:
    purse = await purse_of(valkey, db, bot_limit=50_000)
    spending = purse.of("t")
    assert await spending.reserve("t.1", 30_000, 1_000)
    assert await spending.extend("t.1", 20_000, 5_000)
    assert not await spending.extend("t.1", 1, 5_000)
    assert not await purse.of("u").reserve("u.1", 1, 0)
    assert (await purse.state())["tenant"] == {"spent_nanousd": 0, "held_nanousd": 50_000, "limit_nanousd": LIMIT}
    await settle(spending, "t.1", 42_000)
    assert await purse.state() == {
        "tenant": {"spent_nanousd": 42_000, "held_nanousd": 0, "limit_nanousd": LIMIT},
        "bot": {"spent_nanousd": 42_000, "held_nanousd": 0, "limit_nanousd": 50_000},
    }
    assert await purse.ledger() == 42_000
    assert await purse.of("v").reserve("v.1", 8_000, 0)


async def test_every_call_repeated_counts_once(valkey: Valkey, db: Database) -> None:
    purse = await purse_of(valkey, db)
    spending = purse.of("t")
    assert [await spending.reserve("t.1", 10_000, 0) for _ in range(3)] == [True] * 3
    assert (await purse.state())["tenant"]["held_nanousd"] == 10_000
    for _ in range(3):
        await settle(spending, "t.1", 7_000)
    assert (await purse.state())["tenant"] == {"spent_nanousd": 7_000, "held_nanousd": 0, "limit_nanousd": LIMIT}
    assert await purse.ledger() == 7_000
    assert not await spending.extend("t.1", 100, 0)
    assert not await spending.reserve("t.1", 10_000, 0), "a late repeat must neither hold again nor pass for held"
    assert (await purse.state())["tenant"]["held_nanousd"] == 0


async def test_never_over_the_limit_with_two_hundred_at_once(patient: Valkey, db: Database) -> None:
    purse = await purse_of(patient, db, limit=1_000_000, bot_limit=800_000)
    chance, over, refused, truth = random.Random(5), list[int](), 0, 0
    room = asyncio.Semaphore(200)

    async def watch() -> None:
        while True:
            for row in (await purse.state()).values():
                if row["spent_nanousd"] + row["held_nanousd"] > row["limit_nanousd"]:
                    over.append(1)
            await asyncio.sleep(0.002)

    async def turn(number: int) -> None:
        nonlocal refused, truth
        async with room:
            spending, attempt = purse.of(f"t{number}"), f"t{number}.1"
            held = chance.randint(1_000, 8_000)
            repeats = 1 + (chance.random() < 0.2)
            if not await spending.reserve(attempt, held, 0):
                refused += 1
                return
            assert repeats == 1 or await spending.reserve(attempt, held, 0)
            for _ in range(chance.randint(0, 4)):
                await asyncio.sleep(0)
                delta = chance.choice([1_000, 3_000, 0, -500])
                if not await spending.extend(attempt, delta, 500):
                    break
                held = max(held + delta, 500)
            cost = chance.randint(0, held)
            truth += cost
            for _ in range(repeats):
                await settle(spending, attempt, cost)

    watcher = asyncio.create_task(watch())
    await asyncio.gather(*(turn(number) for number in range(400)))
    watcher.cancel()
    state = await purse.state()
    assert not over
    assert refused > 0
    assert state["tenant"] == {"spent_nanousd": truth, "held_nanousd": 0, "limit_nanousd": 1_000_000}
    assert state["bot"]["spent_nanousd"] == truth == await purse.ledger() <= 800_000
    assert await purse.live() == 0


@pytest.mark.parametrize(("limit", "charged"), [(LIMIT, 10_000), (None, 2_000)])
async def test_what_a_crash_left_is_charged_and_given_back(
    valkey: Valkey, db: Database, limit: int | None, charged: int
) -> None:
    purse = await purse_of(valkey, db, limit=limit)
    dead, late = purse.of("dead"), purse.of("late")
    assert await dead.reserve("dead.1", 10_000, 0)
    assert await dead.extend("dead.1", 0, 2_000)
    assert await late.reserve("late.1", 5_000, 2_000)
    await purse.expire()
    assert await purse.of("next").reserve("next.1", 1, 0)
    state = (await purse.state())["tenant"]
    both = charged + (5_000 if limit else 2_000)
    assert (state["spent_nanousd"], state["held_nanousd"]) == (both, 1)
    assert await dead.extend("dead.1", 100, 0) is (limit is None)
    await settle(late, "late.1", 700)
    await settle(late, "late.1", 700)
    assert (await purse.state())["tenant"]["spent_nanousd"] == charged + 700


async def test_a_reservation_shrunk_to_nothing_is_settled_and_reaped(valkey: Valkey, db: Database) -> None:
    purse = await purse_of(valkey, db)
    for end in ("settle", "reap"):
        spending = purse.of(end)
        assert await spending.reserve(f"{end}.1", 5_000, 0)
        assert await spending.extend(f"{end}.1", -9_000, 0)
        assert (await purse.state())["tenant"]["held_nanousd"] == 0
    await settle(purse.of("settle"), "settle.1", 5)
    await purse.expire()
    assert await purse.of("next").reserve("next.1", 1, 0)
    assert (await purse.state())["tenant"] == {"spent_nanousd": 5, "held_nanousd": 1, "limit_nanousd": LIMIT}


async def test_a_floor_above_what_is_held_grants_nothing_unheld(valkey: Valkey, db: Database) -> None:
    purse = await purse_of(valkey, db, limit=1_000)
    spending = purse.of("t")
    assert await spending.reserve("t.1", 100, 0)
    assert await spending.extend("t.1", 100, 300)
    assert (await purse.state())["tenant"]["held_nanousd"] == 200
    assert not await spending.extend("t.1", 900, 300)
    assert (await purse.state())["tenant"]["held_nanousd"] == 200


async def test_many_dead_reservations_are_reaped_and_tombstones_forgotten(valkey: Valkey, db: Database) -> None:
    purse = await purse_of(valkey, db, limit=10**9)
    for number in range(40):
        assert await purse.of(f"t{number}").reserve(f"t{number}.1", 1_000, 0)
    await purse.expire()
    for number in range(4):
        await purse.of(f"n{number}").reserve(f"n{number}.1", 1, 0)
    assert await purse.live() == 4
    state = (await purse.state())["tenant"]
    assert (state["spent_nanousd"], state["held_nanousd"]) == (40_000, 4)
    names = [key(TENANT, "budget", name) for name in ("x", "l")]
    lua = "for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do redis.call('ZADD', KEYS[1], 1, id) end"
    await valkey.script("forget", lua, [names[0]], [])
    for number in range(4):
        await purse.of(f"m{number}").reserve(f"m{number}.1", 1, 0)
    assert await valkey.commands.zcard(names[0]) == 0
    assert await valkey.script("count", "return redis.call('HLEN', KEYS[1])", [names[1]], []) == 8


async def test_a_changed_limit_holds_from_the_next_reservation(valkey: Valkey, db: Database) -> None:
    purse = await purse_of(valkey, db, limit=1_000)
    spending = purse.of("t")
    assert await spending.reserve("t.1", 900, 0)
    assert not await purse.of("u").reserve("u.1", 200, 0)
    purse.tenant = replace(purse.tenant, monthly_budget_nanousd=5_000)
    assert await purse.of("u").reserve("u.1", 200, 0)
    assert await spending.extend("t.1", 500, 0)
    purse.tenant = replace(purse.tenant, monthly_budget_nanousd=100)
    assert not await purse.of("v").reserve("v.1", 1, 0)
    assert not await spending.extend("t.1", 1, 0)
    purse.tenant = replace(purse.tenant, monthly_budget_nanousd=None)
    assert await purse.of("v").reserve("v.1", 10**9, 0)


async def test_no_limit_counts_and_zero_allows_nothing(valkey: Valkey, db: Database) -> None:
    purse = await purse_of(valkey, db, limit=None, bot_limit=0)
    assert not await purse.of("t").reserve("t.1", 1, 0)
    assert await purse.of("t").reserve("t.1", 0, 0)
    assert (await purse.state())["tenant"] == {"spent_nanousd": 0, "held_nanousd": 0, "limit_nanousd": -1}


async def test_what_is_free_never_asks_valkey(away: Valkey, db: Database) -> None:
    purse = await purse_of(away, db, limit=1)
    spending = purse.of("t")
    assert await spending.reserve("t.1", 0, 0)
    assert await spending.extend("t.1", 0, 0)
    await settle(spending, "t.1", 0)
    assert await purse.ledger() == 0


@pytest.mark.parametrize("amount", [-1, budgets.MOST_NANOUSD + 1, 10**18])
async def test_an_amount_the_scripts_cannot_count_is_refused(valkey: Valkey, db: Database, amount: int) -> None:
    purse = await purse_of(valkey, db, limit=None)
    assert not await purse.of("t").reserve("t.1", amount, 0)
    assert await purse.of("t").reserve("t.2", budgets.MOST_NANOUSD, 0)
    await settle(purse.of("t"), "t.2", budgets.MOST_NANOUSD - 1)
    assert (await purse.state())["tenant"]["spent_nanousd"] == budgets.MOST_NANOUSD - 1


async def test_without_valkey_hard_budgets_refuse_and_soft_ones_go_on(away: Valkey, db: Database) -> None:
    hard = await purse_of(away, db)
    with pytest.raises(errors.BudgetUnverifiable):
        await hard.of("t").reserve("t.1", 1, 0)
    with pytest.raises(errors.BudgetUnverifiable):
        await hard.of("t").extend("t.1", 1, 0)
    with pytest.raises(errors.BudgetUnverifiable):
        await hard.state()
    await settle(hard.of("t"), "t.1", 9)
    soft = replace(hard, tenant=replace(hard.tenant, monthly_budget_nanousd=None))
    assert await soft.of("u").reserve("u.1", 5, 0)
    assert await soft.of("u").extend("u.1", 5, 0)
    await settle(soft.of("u"), "u.1", 7)
    assert await hard.ledger() == 16, "the ledger has what Valkey could not be told"


async def test_a_soft_answer_goes_on_when_valkey_comes_back_in_the_middle(
    valkey: Valkey, away: Valkey, db: Database
) -> None:
    purse = await purse_of(away, db, limit=None)
    spending = purse.of("t")
    assert await spending.reserve("t.1", 5, 0)
    spending._valkey = valkey
    assert await spending.extend("t.1", 5, 0)
    await settle(spending, "t.1", 7)
    assert await purse.ledger() == 7


async def test_a_valkey_that_lost_everything_does_not_open_the_budget_anew(patient: Valkey, db: Database) -> None:
    purse = await purse_of(patient, db, limit=10_000)
    assert await purse.of("t").reserve("t.1", 9_000, 0)
    await settle(purse.of("t"), "t.1", 9_000)
    await patient.commands.flushall()
    results = await asyncio.gather(*(purse.of(f"u{n}").reserve(f"u{n}.1", 600, 0) for n in range(10)))
    assert sum(results) == 1
    state = await purse.state()
    assert (state["tenant"]["spent_nanousd"], state["tenant"]["held_nanousd"]) == (9_000, 600)
    assert state["bot"]["spent_nanousd"] == 9_000


async def test_windows_end_forty_days_after_their_month(valkey: Valkey, db: Database) -> None:
    purse = await purse_of(valkey, db)
    assert await purse.of("t").reserve("t.1", 1, 0)
    for window in month_windows(purse.tenant, purse.bot, now()):
        expires = await valkey.script("expiry", "return redis.call('PEXPIRETIME', KEYS[1])", [window.name], [])
        assert expires == window.ends_ms


async def test_a_ledger_that_cannot_be_written_still_settles_the_counters(valkey: Valkey, db: Database) -> None:
    purse = await purse_of(valkey, db)
    spending = purse.of("t")
    assert await spending.reserve("t.1", 5_000, 0)
    spending._db = Database("sqlite+aiosqlite:////nowhere/x.db")
    with pytest.raises(errors.Unavailable):
        await settle(spending, "t.1", 3_000)
    await spending._db.close()
    assert (await purse.state())["tenant"] == {"spent_nanousd": 3_000, "held_nanousd": 0, "limit_nanousd": LIMIT}
