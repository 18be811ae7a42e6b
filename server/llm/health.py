"""Which targets are fit to be called: a circuit breaker per target and per host. Pure state, given the time.

This copy belongs to one process. The states and transitions are those that a shared copy will keep for the fleet.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

from server.llm.catalog import Target
from server.llm.failures import Failure, FailureKind

State: TypeAlias = Literal["closed", "open", "half_open", "dead"]

WINDOW_S: Final = 30.0
MIN_CALLS: Final = 5
MAX_ERROR_RATE: Final = 0.5
UNREACHABLE_IN_A_ROW: Final = 3
OPEN_S: Final = 5.0
MAX_OPEN_S: Final = 300.0
PROBE_S: Final = 30.0
COOL_S: Final = 8.0
MISSING_S: Final = 300.0
DAY_S: Final = 3600.0

COUNTED: Final[frozenset[FailureKind]] = frozenset({"model_cool", "cut", "garbled"})
"""Failures that say the target is ill; the others say that the key or the question is wrong."""


@dataclass(frozen=True, slots=True)
class Fitness:
    """Whether a target may be called now, and why not in words for the operator; `probe` marks the one trial call."""

    state: State
    reason: str = ""
    retry_at: float | None = None

    @property
    def may_call(self) -> bool:
        """Closed, or half open with the trial still to be had."""
        return self.state in ("closed", "half_open")


@dataclass(slots=True)
class Breaker:
    """One breaker. Closed until half of at least five calls in 30 s fail, or three connections in a row are refused."""

    calls: deque[tuple[float, bool]] = field(default_factory=deque)
    unreachable: int = 0
    trips: int = 0
    open_until: float = 0.0
    probe_until: float = 0.0
    reason: str = ""
    dead: bool = False

    def fitness(self, now: float) -> Fitness:
        """The state at `now`, without changing it."""
        if self.dead:
            return Fitness("dead", self.reason)
        if now < self.open_until:
            return Fitness("open", self.reason, self.open_until)
        if not self.trips:
            return Fitness("closed")
        if now < self.probe_until:
            return Fitness("open", f"{self.reason}; a trial call is running", self.probe_until)
        return Fitness("half_open", self.reason)

    def begin(self, now: float) -> None:
        """A call starts; in half open it is the trial, and no other may start until it ends or 30 s pass."""
        if self.trips:
            self.probe_until = now + PROBE_S

    def succeeded(self, now: float) -> None:
        """A call came through: the breaker closes."""
        self.trips, self.unreachable, self.open_until, self.probe_until, self.reason = 0, 0, 0.0, 0.0, ""
        self._count(now, ok=True)

    def abandoned(self) -> None:
        """A call ended without telling anything, for instance because the visitor left."""
        self.probe_until = 0.0

    def failed(self, failure: Failure, now: float) -> None:
        """A call failed in a way that counts."""
        was_trial, self.probe_until = self.trips > 0, 0.0
        self.unreachable = self.unreachable + 1 if failure.unreachable else 0
        self._count(now, ok=False)
        errors = sum(not ok for _, ok in self.calls)
        many = len(self.calls) >= MIN_CALLS and errors > MAX_ERROR_RATE * len(self.calls)
        if was_trial or many or self.unreachable >= UNREACHABLE_IN_A_ROW or failure.retry_after_s:
            self.trip(failure, now)

    def trip(self, failure: Failure, now: float) -> None:
        """Opens for the stated time, else for 5 s doubling to 5 minutes."""
        self.trips += 1
        back_off = min(MAX_OPEN_S, OPEN_S * 2 ** (self.trips - 1))
        self.open_until = now + (failure.retry_after_s if failure.retry_after_s is not None else back_off)
        self.reason = f"{failure.kind}: {failure.detail}"

    def cool(self, seconds: float, failure: Failure, now: float) -> None:
        """Out for a known time; comes back closed, since nothing is ill."""
        self.open_until, self.probe_until = now + seconds, 0.0
        self.reason = f"{failure.kind}: {failure.detail}"

    def _count(self, now: float, *, ok: bool) -> None:
        self.calls.append((now, ok))
        while self.calls and self.calls[0][0] < now - WINDOW_S:
            self.calls.popleft()


class Health:
    """The breakers of all targets; times are seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._targets: dict[tuple[str, str, str, str | None], Breaker] = {}
        self._hosts: dict[str, Breaker] = {}

    def fitness(self, target: Target, now: float) -> Fitness:
        """Whether `target` may be called: its own breaker and its host's must both agree."""
        if target.provider.dialect == "rules":
            return Fitness("closed")
        host = self._host(target).fitness(now)
        return self._of(target).fitness(now) if host.may_call else host

    def begin(self, target: Target, now: float) -> None:
        """A call to `target` starts."""
        self._of(target).begin(now)
        self._host(target).begin(now)

    def succeeded(self, target: Target, now: float) -> None:
        """`target` gave a whole answer."""
        self._of(target).succeeded(now)
        self._host(target).succeeded(now)

    def abandoned(self, target: Target) -> None:
        """The caller stopped listening: no verdict."""
        self._of(target).abandoned()
        self._host(target).abandoned()

    def failed(self, target: Target, failure: Failure, now: float) -> None:
        """`target` failed; what that means depends on the kind alone."""
        own, host = self._of(target), self._host(target)
        host.abandoned()
        if failure.unreachable:
            host.failed(failure, now)
        if failure.kind == "key_dead":
            own.dead, own.reason = True, f"{failure.kind}: {failure.detail}"
        elif failure.kind in COUNTED:
            own.failed(failure, now)
        elif (seconds := _cooling(failure)) is not None:
            own.cool(seconds, failure, now)
        else:
            own.abandoned()

    def revive(self, provider: str) -> None:
        """The operator has acted: every breaker of the provider starts anew."""
        for key in [key for key in self._targets if key[0] == provider]:
            del self._targets[key]

    def _of(self, target: Target) -> Breaker:
        key = (target.provider.name, target.model.name, target.base_url, target.key)
        return self._targets.setdefault(key, Breaker())

    def _host(self, target: Target) -> Breaker:
        return self._hosts.setdefault(urlsplit(target.base_url).netloc, Breaker())


def _cooling(failure: Failure) -> float | None:
    if failure.kind == "key_cool":
        return failure.retry_after_s if failure.retry_after_s is not None else COOL_S
    if failure.kind == "quota_day":
        return failure.retry_after_s if failure.retry_after_s is not None else DAY_S
    return MISSING_S if failure.kind == "model_missing" else None
