"""Rate limits against a real Valkey."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest

from server import errors
from server.ids import TenantId
from server.limits import rates
from server.limits.rates import Admitted, Charge, Limit, Rates
from server.storage.valkey import Valkey, key

TENANT = TenantId("ten_1")


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit with windows short enough to watch: ten in 600 ms."""
    monkeypatch.setitem(rates.LIMITS, "short", Limit("short", "visitor_messages", 10, window_ms=600, parts=12))
    monkeypatch.setitem(rates.LIMITS, "shorter", Limit("shorter", "tenant_messages", 3, window_ms=240, parts=12))


async def ask(limiter: Rates, charges: Sequence[Charge]) -> Admitted | errors.RateLimited:
    try:
        return await limiter.admit(TENANT, charges)
    except errors.RateLimited as refused:
        return refused


async def test_never_over_the_limit_in_any_window(patient: Valkey, short: None) -> None:
    limiter, admitted, asked, ends = Rates(patient), list[tuple[float, float]](), 0, time.monotonic() + 2.5

    async def knock() -> None:
        nonlocal asked
        while time.monotonic() < ends:
            asked += 1
            before = time.monotonic()
            if isinstance(await ask(limiter, [Charge("short", "v")]), Admitted):
                admitted.append((before, time.monotonic()))
            await asyncio.sleep(0.005)

    await asyncio.gather(*(knock() for _ in range(12)))
    admitted.sort()
    # An admission happened somewhere between asking and hearing; eleven that surely lie in one window are one too many.
    for first in range(len(admitted) - 10):
        inside = admitted[first : first + 11]
        assert max(heard for _, heard in inside) - min(before for before, _ in inside) > 0.6
    assert asked > 10 * len(admitted) / 8
    assert len(admitted) >= 30, "at least the full windows' worth must get through"


async def test_waiting_as_told_is_enough(patient: Valkey, short: None) -> None:
    limiter = Rates(patient)
    charges = [Charge("short", "v"), Charge("shorter", "t")]
    waits = 0
    for _ in range(16):
        verdict = await ask(limiter, charges)
        if isinstance(verdict, errors.RateLimited):
            waits += 1
            assert verdict.retry_after_s is not None
            assert 0 < verdict.retry_after_s <= 0.65
            assert verdict.extra["reset_ms"] == pytest.approx(verdict.retry_after_s * 1000)
            await asyncio.sleep(verdict.retry_after_s + 0.002)
            assert isinstance(await ask(limiter, charges), Admitted)
    assert waits


async def test_a_refusal_counts_nothing_anywhere(valkey: Valkey) -> None:
    limiter = Rates(valkey)
    both = [Charge("visitor_messages", "v"), Charge("tenant_messages", "t", limit_value=2)]
    assert isinstance(await ask(limiter, both), Admitted)
    assert isinstance(await ask(limiter, both), Admitted)
    for _ in range(30):
        refused = await ask(limiter, both)
        assert isinstance(refused, errors.RateLimited)
        assert refused.extra["scope"] == "tenant_messages"
        assert (refused.extra["limit"], refused.extra["remaining"]) == (2, 0)
    left = await limiter.admit(TENANT, [both[0]])
    assert left.remaining == 17


async def test_a_burst_from_many_connections_admits_exactly_the_limit(patient: Valkey) -> None:
    limiter = Rates(patient)
    verdicts = await asyncio.gather(*(ask(limiter, [Charge("visitor_messages", "v")]) for _ in range(200)))
    assert sum(isinstance(verdict, Admitted) for verdict in verdicts) == 20


async def test_subjects_tenants_and_limits_are_apart(valkey: Valkey) -> None:
    limiter = Rates(valkey)
    for tenant in ("ten_1", "ten_2"):
        for subject in ("v", "w", "2001:db8::1"):
            for limit in ("visitor_messages", "address_messages"):
                charge = Charge(limit, subject, 20, 20)
                assert (await limiter.admit(TenantId(tenant), [charge])).remaining == 0
    for name in await valkey.commands.keys("*"):
        assert await valkey.commands.pttl(name) in range(1, 120_001)


async def test_amounts_and_no_room_at_all(valkey: Valkey) -> None:
    limiter = Rates(valkey)
    assert (await limiter.admit(TENANT, [Charge("visitor_messages", "v", 15)])).remaining == 5
    refused = await ask(limiter, [Charge("visitor_messages", "v", 6)])
    assert isinstance(refused, errors.RateLimited)
    assert refused.extra["remaining"] == 5
    nothing = await ask(limiter, [Charge("visitor_messages", "w", limit_value=0)])
    assert isinstance(nothing, errors.RateLimited)


async def test_counters_of_a_clock_that_stepped_back_are_dropped(valkey: Valkey) -> None:
    limiter, name = Rates(valkey), key(TENANT, "rate", "visitor_messages", "v")
    future = int(time.time() * 1000) // 5000 + 500
    await valkey.script("plant", "redis.call('HSET', KEYS[1], ARGV[1], 1000)", [name], [future])
    assert (await limiter.admit(TENANT, [Charge("visitor_messages", "v")])).remaining == 19


async def test_without_valkey_the_process_counts_for_itself(away: Valkey) -> None:
    limiter = Rates(away)
    started = time.monotonic()
    verdicts = [await ask(limiter, [Charge("visitor_messages", "v")]) for _ in range(25)]
    assert [isinstance(verdict, Admitted) for verdict in verdicts] == [True] * 20 + [False] * 5
    assert time.monotonic() - started < 5


async def test_a_full_valkey_counts_as_away(valkey: Valkey) -> None:
    await valkey.commands.config_set("maxmemory", "1")
    try:
        limiter = Rates(valkey)
        verdicts = [await ask(limiter, [Charge("visitor_messages", "v")]) for _ in range(21)]
    finally:
        await valkey.commands.config_set("maxmemory", "0")
    assert [isinstance(verdict, Admitted) for verdict in verdicts] == [True] * 20 + [False]


async def test_a_stalled_valkey_costs_one_deadline(valkey_url: str, valkey: Valkey) -> None:
    other = Valkey(valkey_url)
    await other.commands.client_pause(1200)
    started = time.monotonic()
    assert isinstance(await ask(Rates(valkey), [Charge("visitor_messages", "v")]), Admitted)
    took = time.monotonic() - started
    await other.close()
    assert took < 0.55, "a slow command must not be tried twice"
    await asyncio.sleep(1.3)
