"""One answer while it is made: what was shown so far, and the events that tell it."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast

from server import errors
from server.chat.cache import Asked
from server.chat.cues import Closing, Director, Moment, Placed
from server.chat.insight import Reading
from server.chat.sources import Citable, Markers
from server.ids import ConversationId, MessageId, StreamId, VisitorId
from server.llm.messages import Attempt, AttemptRecord, Delta, Finish, RefusalDelta, Spending, TextDelta
from server.llm.messages import FinishReason as ModelFinish
from server.protocol import (
    Citation,
    FinishReason,
    Source,
    StreamChunk,
    StreamComplete,
    StreamError,
    StreamStart,
    TokenUsage,
    TurnEvent,
)
from server.storage.records import BotRecord, TenantRecord
from server.telemetry import logger

FINISH: Final[dict[ModelFinish, FinishReason]] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool",
    "refusal": "filtered",
    "policy": "filtered",
    "context": "length",
    "budget": "budget",
    "cut": "error",
}

_log = logger("chat.answer")

ErrorCode = Literal["interrupted", "timeout", "no_provider", "budget_exceeded", "tool_failed", "internal"]
ERROR_CODES: Final[dict[type[BaseException], ErrorCode]] = {
    errors.NoProvider: "no_provider",
    errors.BudgetExceeded: "budget_exceeded",
    errors.BudgetUnverifiable: "budget_exceeded",
    TimeoutError: "timeout",
}


@dataclass(slots=True)
class StopSignal:
    """The visitor's wish to stop; `heard_chars` is how far he got, when the answer was spoken."""

    requested: bool = False
    heard_chars: int | None = None

    def request(self, heard_chars: int | None = None) -> None:
        """Ask the turn to stop; the caller then cancels the task that iterates it."""
        self.requested = True
        self.heard_chars = heard_chars


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnRequest:
    """One message to answer: `message` is the id of the answer, `reply_to` that of the visitor's message."""

    tenant: TenantRecord
    bot: BotRecord
    conversation: ConversationId
    visitor: VisitorId
    stream: StreamId
    message: MessageId
    reply_to: MessageId
    text: str
    replaces: MessageId | None = None
    locale: str | None = None
    channel: str = "widget"
    stop: StopSignal = field(default_factory=StopSignal)


class Purse:
    """Passes the gateway's spending on and remembers what every attempt cost.

    A budget that cannot be checked counts as refused: the next target, at last the free rules, answers instead.
    """

    def __init__(self, spending: Spending) -> None:
        self._spending = spending
        self.records: list[AttemptRecord] = []

    async def reserve(self, attempt_id: str, amount_nanousd: int, floor_nanousd: int) -> bool:
        try:
            return await self._spending.reserve(attempt_id, amount_nanousd, floor_nanousd)
        except (errors.BudgetExceeded, errors.BudgetUnverifiable):
            return False

    async def extend(self, attempt_id: str, delta_nanousd: int, floor_nanousd: int) -> bool:
        try:
            return await self._spending.extend(attempt_id, delta_nanousd, floor_nanousd)
        except (errors.BudgetExceeded, errors.BudgetUnverifiable):
            return False

    async def settle(self, attempt_id: str, actual_nanousd: int, record: AttemptRecord) -> None:
        self.records.append(record)
        try:
            await self._spending.settle(attempt_id, actual_nanousd, record)
        except Exception as failure:  # an unwritten ledger row must not take the visitor's answer away
            fields = {"provider": record.provider, "model": record.model, "attempt": record.attempt}
            _log.error("attempt not settled", exc_info=failure, extra=fields)

    @property
    def cost_nanousd(self) -> int:
        """What all attempts cost together."""
        return sum(record.cost_nanousd for record in self.records)

    def tokens(self) -> dict[str, int]:
        """Tokens of all attempts together: input without cached ones, cached, output."""
        usages = [record.usage for record in self.records]
        return {
            "inputTokens": sum(usage.input + usage.cache_write for usage in usages),
            "cachedTokens": sum(usage.cache_read for usage in usages),
            "outputTokens": sum(usage.output for usage in usages),
        }


class Answer:
    """The state of one running answer; every method but `texts` is pure bookkeeping."""

    def __init__(
        self,
        request: TurnRequest,
        reading: Reading,
        feel: Callable[[str, str], float],
        purse: Purse,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.request = request
        self.reading = reading
        self.purse = purse
        self.attempt: Attempt | None = None
        self.finish: ModelFinish | None = None
        self.cached = False
        self.keep_as: Asked | None = None  # under which question this answer may be given again, should it end well
        self.filtered = False
        self.status: Literal["complete", "interrupted"] = "interrupted"
        self.finish_reason: FinishReason = "error"
        self.closing: Closing | None = None
        self.suggestions: tuple[str, ...] = ()
        self.chunks = 0
        self.ttft_ms: int | None = None
        self._clock = clock
        self._started_at = clock()
        self._parts: list[str] = []
        self._markers = Markers(())
        animations = cast("dict[Moment, Any]", request.bot.config.animations)
        self._director = Director(reading, feel, animations)

    @property
    def text(self) -> str:
        """Everything shown so far."""
        return "".join(self._parts)

    @property
    def cited(self) -> Sequence[Citable]:
        """The passages cited so far, in the order of their first mention."""
        return self._markers.cited

    def elapsed_ms(self) -> int:
        """Milliseconds since the turn began."""
        return round((self._clock() - self._started_at) * 1000)

    def may_cite(self, sources: Sequence[Citable]) -> None:
        """Name the passages whose numbers count; any other number is dropped."""
        self._markers = Markers(sources)

    # From the model --------------------------------------------------------------------------------------------------
    async def texts(self, deltas: AsyncGenerator[Delta, None]) -> AsyncGenerator[str, None]:
        """The words among the deltas; who speaks and how it ended is noted on the way."""
        async with aclosing(deltas):
            async for delta in deltas:
                if type(delta) is TextDelta or type(delta) is RefusalDelta:
                    if delta.text:
                        yield delta.text
                elif isinstance(delta, Attempt):
                    self.attempt = delta
                elif isinstance(delta, Finish):
                    self.finish = delta.reason

    # To the visitor --------------------------------------------------------------------------------------------------
    def start(self) -> StreamStart:
        """The first event."""
        placed = self._director.begin()
        request = self.request
        event: StreamStart = {
            "type": "stream_start",
            "streamId": request.stream,
            "chatbotId": request.bot.id,
            "messageId": request.message,
            "replyTo": request.reply_to,
            "attempt": 1,
            "animation": placed.animation or "idle",
        }
        if request.replaces:
            event["replaces"] = request.replaces
        if placed.cues:
            event["cue"] = placed.cues
        return event

    def show(self, text: str) -> list[TurnEvent]:
        """The events of one piece: newly cited sources first, then the words."""
        return self._told(*self._markers.feed(text))

    def flush(self) -> list[TurnEvent]:
        """The events of what was kept back at the end."""
        return self._told(*self._markers.finish())

    def _told(self, text: str, fresh: list[Citable]) -> list[TurnEvent]:
        events: list[TurnEvent] = [self._source(source) for source in fresh] if fresh else []
        if text:
            if self.ttft_ms is None:
                self.ttft_ms = self.elapsed_ms()
            self._parts.append(text)
            self.chunks += 1
            events.append(self._chunk(text, self._director.feed(text)))
        return events

    def _chunk(self, text: str, placed: Placed) -> StreamChunk:
        event: StreamChunk = {"type": "stream_chunk", "streamId": self.request.stream, "chunk": text}
        if placed.animation is not None:
            event["animation"] = placed.animation
        if placed.cues:
            event["cue"] = placed.cues
        return event

    def _source(self, source: Citable) -> Source:
        citation = source.citation(self.request.conversation)
        return cast(Source, {"type": "source", "streamId": self.request.stream, **citation})

    # The last event --------------------------------------------------------------------------------------------------
    def complete(self) -> StreamComplete:
        """The end of an answer that ran to its end."""
        self.status = "complete"
        self.finish_reason = "filtered" if self.filtered else FINISH[self.finish or "cut"]
        if self.finish_reason == "error":
            self.status = "interrupted"
        return self._ended(self._director.finish(solved=bool(self.cited)))

    def cancelled(self) -> StreamComplete:
        """The end of an answer the visitor stopped: it keeps its text."""
        self.status, self.finish_reason = "complete", "cancelled"
        event = self._ended(self._director.cancel())
        if self.request.stop.heard_chars is not None:
            event["heardChars"] = min(self.request.stop.heard_chars, event["chars"])
        return event

    def failed(self, failure: BaseException) -> StreamError:
        """The end of an answer that cannot go on."""
        self.status, self.finish_reason = "interrupted", "error"
        codes = (ERROR_CODES[kind] for kind in ERROR_CODES if isinstance(failure, kind))
        told = failure if isinstance(failure, errors.ParlourError) else errors.Internal()
        placed = self._director.fail()
        return {
            "type": "stream_error",
            "streamId": self.request.stream,
            "messageId": self.request.message,
            "error": told.detail,
            "code": next(codes, "internal"),
            "retryable": told.retryable,
            "animation": placed.animation or "confused",
            "cue": placed.cues,
        }

    def interrupted(self) -> None:
        """The end of an answer whose process goes away; nobody is told by this turn."""
        self.status, self.finish_reason = "interrupted", "error"
        self.closing = self._director.cancel()

    def citations(self) -> list[Citation]:
        """Only what was cited."""
        return [source.citation(self.request.conversation) for source in self.cited]

    def usage(self) -> TokenUsage:
        """Tokens of the whole turn, retries included."""
        return cast(TokenUsage, self.purse.tokens())

    def _ended(self, closing: Closing) -> StreamComplete:
        self.closing = closing
        event: StreamComplete = {
            "type": "stream_complete",
            "streamId": self.request.stream,
            "messageId": self.request.message,
            "sentiment": closing.sentiment,
            "sentimentScore": closing.score,
            "animation": closing.animation,
            "cue": closing.cues,
            "finishReason": self.finish_reason,
            "chars": self._director.chars,
            "usage": self.usage(),
        }
        if self.cited:
            event["citations"] = self.citations()
        if self.suggestions and self.finish_reason != "cancelled":
            event["suggestions"] = list(self.suggestions)
        if self.cached:
            event["cached"] = True
        return event
