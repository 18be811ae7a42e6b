"""The local windows: never over the limit in any window, and a wait that is enough."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from server.limits.rates import LIMITS, Charge, LocalWindows

MESSAGES = LIMITS["visitor_messages"]


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def charge(amount: int = 1, *, limit: str = "visitor_messages", value: int | None = None) -> Charge:
    return Charge(limit, "v", amount, value)


@given(st.lists(st.tuples(st.integers(0, 20_000), st.integers(1, 4)), max_size=120))
def test_no_window_holds_more_than_the_limit(steps: list[tuple[int, int]]) -> None:
    clock, taken = Clock(), list[tuple[float, int]]()
    windows = LocalWindows(clock)
    for wait_ms, amount in steps:
        clock.now += wait_ms / 1000
        if windows.admit(["k"], [charge(amount)])[0]:
            taken.append((clock.now, amount))
    for start, _ in taken:
        inside = sum(amount for moment, amount in taken if start <= moment < start + MESSAGES.window_ms / 1000)
        assert inside <= MESSAGES.default


@given(st.lists(st.integers(0, 9000), min_size=20, max_size=60))
def test_who_waits_as_told_is_admitted(waits: list[int]) -> None:
    clock = Clock()
    windows = LocalWindows(clock)
    for wait_ms in waits:
        clock.now += wait_ms / 1000
        admitted, which, remaining, told_ms = windows.admit(["k"], [charge()])
        if not admitted:
            assert (which, remaining) == (1, 0)
            assert 0 < told_ms <= MESSAGES.window_ms + MESSAGES.window_ms // MESSAGES.parts
            clock.now += (told_ms + 1) / 1000  # a millisecond more, because the clock counts in floats
            assert windows.admit(["k"], [charge()])[0] == 1


def test_all_or_none_and_the_longest_wait() -> None:
    clock = Clock()
    windows = LocalWindows(clock)
    wide, tight = charge(value=100), charge(value=1, limit="tenant_messages")
    assert windows.admit(["wide", "tight"], [wide, tight])[:3] == (1, 2, 0)
    for _ in range(50):
        assert windows.admit(["wide", "tight"], [wide, tight])[:2] == (0, 2)
    assert windows.admit(["wide"], [wide])[2] == 98
    slow = charge(value=1, limit="logins")
    assert windows.admit(["slow"], [slow])[0] == 1
    admitted, which, _, wait_ms = windows.admit(["tight", "slow"], [tight, slow])
    assert (admitted, which) == (0, 2)
    clock.now += wait_ms / 1000
    assert windows.admit(["tight", "slow"], [tight, slow])[0] == 1


def test_more_than_the_limit_at_once_is_refused_for_a_window() -> None:
    assert LocalWindows(Clock()).admit(["k"], [charge(21)]) == (0, 1, 20, MESSAGES.window_ms)
    assert LocalWindows(Clock()).admit(["k"], [charge(value=0)]) == (0, 1, 0, MESSAGES.window_ms)


def test_memory_is_bounded() -> None:
    windows = LocalWindows(Clock())
    windows.LARGEST = 100
    for number in range(1000):
        windows.admit([str(number)], [charge()])
    assert len(windows._counts) <= 101
