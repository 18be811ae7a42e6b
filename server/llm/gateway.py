"""Deadlines, spending and failover around the dialects: any provider may die and the caller still reads one stream."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from server.errors import NoProvider
from server.llm.catalog import Target
from server.llm.dialects import DIALECTS, Dialect
from server.llm.failures import Failure, UpstreamFailed
from server.llm.health import Health
from server.llm.messages import (
    Attempt,
    AttemptReason,
    AttemptRecord,
    CompletionRequest,
    Delta,
    Finish,
    FinishReason,
    ReasoningDelta,
    RefusalDelta,
    Spending,
    TextDelta,
    ToolCallPart,
    Usage,
)
from server.llm.meter import Meter
from server.llm.router import Route, input_tokens, order
from server.llm.transport import Transport

log = logging.getLogger(__name__)

MAX_LEGS: Final = 4


@dataclass(frozen=True, slots=True)
class Deadlines:
    """The clocks of the model, in seconds; only a real delta resets them, never headers, comments or pings."""

    first_token_s: float = 10.0
    first_token_slow_s: float = 45.0
    progress_s: float = 10.0
    progress_unseen_s: float = 30.0
    total_s: float = 90.0


@dataclass(slots=True)
class _Leg:
    """One attempt while it runs."""

    n: int
    reason: AttemptReason
    target: Target
    meter: Meter
    started_at: float
    first_at: float | None = None
    patience_s: float = 0.0
    called: bool = False
    shown: bool = False
    finish: FinishReason | None = None
    failure: Failure | None = None

    @property
    def outcome(self) -> str:
        """The ledger's word for how the attempt ended; a caller who left is `cancelled`."""
        if self.failure is not None:
            return self.failure.kind
        return self.finish or "cancelled"


class Gateway:
    """Streams a request from the first target that can answer it."""

    def __init__(
        self,
        targets: Sequence[Target],
        transport: Transport,
        health: Health | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        deadlines: Deadlines | None = None,
        dialects: Mapping[str, Dialect] = DIALECTS,
    ) -> None:
        self.targets = tuple(targets)
        self.health = health or Health()
        self._transport = transport
        self._clock = clock
        self._deadlines = deadlines or Deadlines()
        self._dialects = dialects

    def route(self, request: CompletionRequest, chain: Sequence[str] = ()) -> Route:
        """The candidates for `request` in order, and why the others are left out."""
        now = self._clock()
        return order(self.targets, chain, request, lambda target: self.health.fitness(target, now))

    async def stream(
        self, request: CompletionRequest, *, chain: Sequence[str] = (), spending: Spending
    ) -> AsyncGenerator[Delta, None]:
        """The deltas of one answer: `Attempt` for each leg, then at the end `Usage` and `Finish`.

        `chain` names the targets to prefer (provider or provider/model). A target that fails before its first word is
        left for the next one; after it, the stream ends with `Finish("cut")`. Raises `NoProvider` if no target is left.
        Closing the generator closes the connection to the provider at once and settles what was used.
        """
        tokens = input_tokens(request)
        why: list[str] = []
        for leg in self._legs(self.route(request, chain), request, tokens, why):
            if not await self._hold(leg, request, spending):
                why.append(f"{leg.target.name}: the budget does not allow it")
                leg.failure = Failure("request_fault", None, "budget")
                continue
            async with aclosing(self._run(leg, request, spending)) as deltas:
                async for delta in deltas:
                    yield delta
            if leg.finish is not None:
                yield leg.meter.settle(whole=leg.failure is None).usage
                yield Finish(leg.finish)
                return
            why.append(f"{leg.target.name}: {leg.outcome}")
        raise NoProvider(extra={"tried": why})

    def _legs(self, route: Route, request: CompletionRequest, tokens: int, why: list[str]) -> Iterator[_Leg]:
        """One leg per candidate, two where a kept-alive connection was closed under us; rules is always allowed."""
        why.extend(f"{skipped.target.name}: {skipped.reason}" for skipped in route.skipped)
        n, window = 0, 0
        for target in route.candidates:
            is_rules = target.provider.dialect == "rules"
            if not is_rules and (n >= MAX_LEGS or target.model.context <= window):
                continue
            reasons: tuple[AttemptReason, ...] = ("failover" if n else "primary", "retry")
            for reason in reasons:
                meter = Meter(target.model.price, tokens, target.model.thinking_tokens)
                leg = _Leg(n + 1, reason, target, meter, self._clock())
                yield leg
                n += leg.failure is None or leg.failure.detail != "budget"
                if leg.failure is None or not leg.failure.stale_connection:
                    break
            if leg.failure is not None and leg.failure.kind == "context":
                window = target.model.context

    # Money -----------------------------------------------------------------------------------------------------------
    async def _hold(self, leg: _Leg, request: CompletionRequest, spending: Spending) -> bool:
        if leg.target.model.price.is_free:
            return True
        return await spending.reserve(_attempt_id(request, leg), leg.meter.opening_nanousd, 0)

    async def _settle(self, leg: _Leg, request: CompletionRequest, spending: Spending) -> None:
        settlement = leg.meter.settle(whole=leg.failure is None and leg.finish is not None)
        now = self._clock()
        record = AttemptRecord(
            turn_id=request.turn_id,
            attempt=leg.n,
            reason=leg.reason,
            provider=leg.target.provider.name,
            model=leg.target.model.name,
            usage=settlement.usage,
            usage_source=settlement.source,
            cost_nanousd=settlement.cost_nanousd,
            ttft_ms=None if leg.first_at is None else round((leg.first_at - leg.started_at) * 1000),
            total_ms=round((now - leg.started_at) * 1000),
            finish=leg.outcome,
        )
        await spending.settle(_attempt_id(request, leg), settlement.cost_nanousd, record)

    # One leg ---------------------------------------------------------------------------------------------------------
    async def _run(self, leg: _Leg, request: CompletionRequest, spending: Spending) -> AsyncGenerator[Delta, None]:
        """The deltas of one leg; afterwards `leg.finish` is set, or `leg.failure` alone when another target may try."""
        leg.started_at = self._clock()
        leg.patience_s = self._first_patience(leg.target)
        self.health.begin(leg.target, leg.started_at)
        dialect = self._dialects[leg.target.provider.dialect]
        try:
            yield Attempt(leg.n, leg.target.provider.name, leg.target.model.name, leg.target.name)
            leg.called = True
            async with aclosing(dialect(request, leg.target, self._transport)) as batches:
                while leg.finish is None:
                    async with asyncio.timeout(leg.patience_s):
                        batch = await anext(batches)
                    for delta in batch:
                        if self._take(leg, delta):
                            yield delta
                    if leg.meter.wants_more:
                        await self._extend(leg, request, spending)
                    self._judge(leg)
        except StopAsyncIteration:
            leg.failure = Failure("cut", None, "the stream ended without a finish")
        except UpstreamFailed as error:
            leg.failure = error.failure
            leg.meter.started |= error.failure.kind == "cut"  # the head of an answer had come: the prompt is billed
        except TimeoutError:
            leg.meter.started = True  # the provider worked on the prompt, and bills it
            leg.failure = Failure("model_cool", None, f"nothing came for {leg.patience_s:g} s")
        except (asyncio.CancelledError, GeneratorExit):
            leg.meter.started = leg.called
            raise
        finally:
            self._conclude(leg)
            await self._settle(leg, request, spending)

    def _take(self, leg: _Leg, delta: Delta) -> bool:
        """Books one delta; True when the caller reads it too."""
        kind = type(delta)
        if kind is TextDelta:
            leg.shown = True
            leg.meter.add(delta.text)  # type: ignore[union-attr]
            self._progressed(leg, self._deadlines.progress_s)
            return True
        if isinstance(delta, Usage):
            leg.meter.report(delta)
            return False
        if isinstance(delta, Finish):
            leg.finish = delta.reason
            return False
        self._take_rarer(leg, delta)
        return True

    def _take_rarer(self, leg: _Leg, delta: Delta) -> None:
        if isinstance(delta, ToolCallPart):
            leg.meter.add(delta.arguments_part)
        elif isinstance(delta, ReasoningDelta | RefusalDelta):
            leg.shown = leg.shown or isinstance(delta, RefusalDelta)
            leg.meter.add(delta.text)
        self._progressed(leg, self._deadlines.progress_unseen_s)

    def _progressed(self, leg: _Leg, patience_s: float) -> None:
        now = self._clock()
        if leg.first_at is None:
            leg.first_at = now
        leg.patience_s = min(patience_s, max(0.0, leg.started_at + self._deadlines.total_s - now))

    def _judge(self, leg: _Leg) -> None:
        """Ends the leg when its money, its time or any sane length is used up."""
        if leg.finish is not None:
            return
        if leg.meter.must_stop:
            leg.finish = "budget"
        elif leg.meter.is_too_long or (leg.first_at is not None and leg.patience_s <= 0):
            leg.finish = "length"

    async def _extend(self, leg: _Leg, request: CompletionRequest, spending: Spending) -> None:
        meter = leg.meter
        free = leg.target.model.price.is_free
        meter.extended(
            free or await spending.extend(_attempt_id(request, leg), meter.slice_nanousd, meter.floor_nanousd)
        )

    def _conclude(self, leg: _Leg) -> None:
        """Tells the breaker; a failure after words were shown ends the whole answer as cut."""
        now = self._clock()
        if leg.failure is not None:
            self.health.failed(leg.target, leg.failure, now)
            # The provider's own words stay out of the log: it may echo the prompt or the key.
            named = {"provider": leg.target.provider.name, "model": leg.target.model.name, "kind": leg.failure.kind}
            log.warning("attempt failed", extra=named)
            if leg.shown:
                leg.finish = "cut"
            elif leg.failure.kind == "policy":
                leg.finish = "policy"
        elif leg.finish is not None:
            self.health.succeeded(leg.target, now)
        else:
            self.health.abandoned(leg.target)

    def _first_patience(self, target: Target) -> float:
        slow = target.model.reasoning or target.provider.loopback
        return self._deadlines.first_token_slow_s if slow else self._deadlines.first_token_s


def _attempt_id(request: CompletionRequest, leg: _Leg) -> str:
    return f"{request.turn_id}.{leg.n}"
