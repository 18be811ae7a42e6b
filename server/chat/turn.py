"""One turn, from the visitor's message to the last event: the list of its steps.

`Turns.take` is the generator that sockets, server-sent events, REST and the tests all iterate. It yields `stream_start`
first and exactly one `stream_complete` or `stream_error` last, and writes the answer down when it is resumed after that
(or closed). To stop it: `request.stop.request()`, then cancel the task that iterates it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from server.bot import BotConfig
from server.chat import prompt, sources
from server.chat.answer import Answer, Purse, StopSignal, TurnRequest
from server.chat.cache import AnswerCache, Asked, CachedAnswer, replay
from server.chat.history import history_of
from server.chat.insight import Insight, Reading
from server.chat.record import Recorder
from server.chat.search import BotScope, Results, Searchable, as_read, better, search_texts
from server.chat.suggestions import suggest
from server.errors import ParlourError
from server.guardrails import injection
from server.guardrails.content import SecretFilter, Stage, hold_back, new_canary
from server.guardrails.pii import Masker
from server.llm.gateway import Gateway
from server.llm.messages import Delta, Spending
from server.llm.phrases import phrases
from server.llm.router import preferred
from server.protocol import StreamComplete, StreamError, TurnEvent
from server.storage import bots
from server.storage.database import Database
from server.storage.records import MessageRecord
from server.telemetry import Telemetry, logger

if TYPE_CHECKING:
    from server.limits.budgets import Budgets

PASSAGES: Final = 5
WRITE_S: Final = 5.0
NO_SEARCH: Final = frozenset({"greeting", "farewell", "thanks"})

_log = logger("chat.turn")


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnParts:
    """What a turn works with; made once per process."""

    db: Database
    gateway: Gateway
    library: Searchable
    budgets: Budgets
    cache: AnswerCache
    insight: Insight
    telemetry: Telemetry
    clock: Callable[[], float] = time.monotonic


@dataclass(slots=True)
class _Context:
    """What the steps of one turn hand on."""

    masker: Masker
    epoch: int
    history: tuple[MessageRecord, ...]
    asked: Asked | None = None
    found: Sequence[sources.Found] = ()
    offered: tuple[sources.Citable, ...] = ()
    degraded: bool = False


class Turns:
    """Takes turns: one generator per message of a visitor."""

    def __init__(self, parts: TurnParts) -> None:
        self._parts = parts
        self._recorder = Recorder(parts.db, parts.cache, parts.telemetry)
        self._canary = new_canary()
        self._writing: set[asyncio.Future[None]] = set()

    async def take(self, request: TurnRequest) -> AsyncGenerator[TurnEvent, None]:
        """The events of one answer; see the module for how it starts, ends and is stopped."""
        answer = self._begin(request)
        with self._parts.telemetry.active_requests.track_inprogress():
            try:
                yield answer.start()
                last: StreamComplete | StreamError | None = None
                async with aclosing(self._steps(request, answer)) as events:
                    async for event in events:
                        yield event
                        if request.stop.requested:
                            break
                last = answer.cancelled() if request.stop.requested else answer.complete()
            except asyncio.CancelledError:
                if not request.stop.requested:
                    await self._interrupted(answer)
                    raise
                _forgive_cancellation()
                last = answer.cancelled()
            except GeneratorExit:
                await self._interrupted(answer)
                raise
            except Exception as failure:
                self._report(request, failure)
                last = answer.failed(failure)
            try:
                yield last
            finally:
                await self._write_down(answer)

    def _begin(self, request: TurnRequest) -> Answer:
        """Step 3; step 1, who may ask how much, was the intake's when the message arrived."""
        parts = self._parts
        reading = parts.insight.read(request.text, request.locale or request.bot.config.languages[0])
        spending = parts.budgets.spending(
            request.tenant, request.bot, request.message, conversation=request.conversation
        )
        return Answer(request, reading, parts.insight.feeling, Purse(cast(Spending, spending)), parts.clock)

    async def _steps(self, request: TurnRequest, answer: Answer) -> AsyncGenerator[TurnEvent, None]:
        context = await self._read_context(request, answer.reading)
        kept = await self._find_kept(request, answer, context)
        if kept is None:
            await self._search(request, answer.reading, context)
        deltas = self._recall(answer, kept) if kept else self._ask(request, answer, context)
        secret_filter = SecretFilter(self._canary)
        stages: list[Stage] = [secret_filter, context.masker.restorer()] if context.masker.found else [secret_filter]
        async with aclosing(hold_back(answer.texts(deltas), stages)) as texts:
            async for text in texts:
                for event in answer.show(text):
                    yield event
        for event in answer.flush():
            yield event
        if not answer.text:
            # Refused without a word, or stopped by a guardrail at the first one: nobody is left without a word.
            context.asked = None
            for event in answer.show(phrases(answer.reading.language).nothing_found):
                yield event
        self._conclude(request, answer, context, kept, filtered=secret_filter.stopped)

    # The steps -------------------------------------------------------------------------------------------------------
    async def _read_context(self, request: TurnRequest, reading: Reading) -> _Context:
        """Step 2: the masks, the last messages, and the knowledge epoch, read before anything is searched."""
        history, epoch = await asyncio.gather(
            history_of(self._parts.db, request),
            bots.knowledge_epoch(self._parts.db, request.tenant.id, request.bot.id),
        )
        signs = injection.flags(request.text)
        if signs:
            _log.info("injection flagged", extra={"bot": request.bot.id, "kind": ",".join(signs)})
        return _Context(Masker(), epoch, history)

    async def _find_kept(self, request: TurnRequest, answer: Answer, context: _Context) -> CachedAnswer | None:
        """Step 4: an answer given before, if the key holds the whole context and nothing is personal."""
        context.masker.mask(request.text)
        if context.masker.found or len(context.history) > 3 or request.bot.config.model.temperature:
            return None
        targets = preferred(self._parts.gateway.targets, request.bot.config.providers)
        context.asked = Asked(
            tenant=request.tenant.id,
            bot=request.bot.id,
            version=request.bot.version,
            epoch=context.epoch,
            locale=answer.reading.language,
            model_class=targets[0].name if targets else "",
            question=request.text,
            before=tuple(f"{message.role}:{message.text}" for message in context.history),
        )
        kept = None if request.replaces else await self._parts.cache.find(context.asked)
        self._recorder.looked_up(request, hit=kept is not None)
        return kept

    async def _search(self, request: TurnRequest, reading: Reading, context: _Context) -> None:
        """Step 5: the passages; polite phrases need none."""
        if reading.intent in NO_SEARCH:
            return
        texts = search_texts(request.text, reading.intent, context.history)
        with self._parts.telemetry.processing_duration.labels("search").time():
            results = [await self._look_up(request, text, context.epoch) for text in texts]
        found = better(*results) if len(results) > 1 else results[0]
        context.found, context.degraded = found.found, found.degraded is not None
        context.offered = sources.citables(found.found, texts[-1])

    async def _look_up(self, request: TurnRequest, text: str, epoch: int) -> Results:
        scope = BotScope(request.tenant.id, request.bot.id)
        return await self._parts.library.search(scope, text, epoch=epoch, limit=PASSAGES)

    def _ask(self, request: TurnRequest, answer: Answer, context: _Context) -> AsyncGenerator[Delta, None]:
        """Steps 6 and 7: the prompt, and the stream of whichever model answers it."""
        config: BotConfig = request.bot.config
        completion = prompt.build(
            bot=config,
            canary=self._canary,
            reading=answer.reading,
            question=context.masker.mask(request.text),
            history=[as_read(message, context.masker) for message in context.history],
            passages=sources.passages(context.found, prompt.MAX_PASSAGE_CHARS),
            turn_id=request.message,
        )
        numbers = {passage.n for passage in completion.grounding.passages}
        answer.may_cite([source for source in context.offered if source.n in numbers])
        return self._parts.gateway.stream(completion, chain=config.providers, spending=answer.purse)

    def _recall(self, answer: Answer, kept: CachedAnswer) -> AsyncGenerator[Delta, None]:
        """Steps 5 to 7 done before: the kept answer takes the same way out."""
        answer.cached = True
        answer.may_cite(kept.sources)
        return replay(kept)

    def _conclude(
        self, request: TurnRequest, answer: Answer, context: _Context, kept: CachedAnswer | None, *, filtered: bool
    ) -> None:
        """Step 10, first half: what to offer next, and whether the answer may be kept."""
        answer.filtered = filtered
        if kept is not None:
            answer.suggestions = kept.suggestions
            return
        config = request.bot.config
        answer.suggestions = suggest(
            config,
            answer.reading,
            [request.text, *(message.text for message in context.history if message.role == "user")],
            context.offered,
            answer.cited,
        )
        if context.asked is not None and not context.degraded and not context.masker.found:
            answer.keep_as = context.asked

    async def _interrupted(self, answer: Answer) -> None:
        """The process goes away or the reader left: what there is, is written down."""
        if answer.request.stop.requested:
            answer.cancelled()
        else:
            answer.interrupted()
        await self._write_down(answer)

    async def _write_down(self, answer: Answer) -> None:
        """Step 10; a cancellation meanwhile reaches the caller, but not the writing."""
        writing = asyncio.ensure_future(self._recorder.record(answer))
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)
        try:
            async with asyncio.timeout(WRITE_S):
                await asyncio.shield(writing)
        except TimeoutError:
            _log.error("answer is slow to be written", extra={"conversation": answer.request.conversation})

    def _report(self, request: TurnRequest, failure: Exception) -> None:
        fields = {"tenant": request.tenant.id, "bot": request.bot.id, "conversation": request.conversation}
        code = failure.code if isinstance(failure, ParlourError) else "internal"
        self._parts.telemetry.processing_errors.labels("turn", code).inc()
        if isinstance(failure, ParlourError):
            _log.warning("turn failed", extra={**fields, "code": code})
        else:
            _log.error("turn failed", exc_info=failure, extra=fields)


def _forgive_cancellation() -> None:
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()


__all__ = ["StopSignal", "TurnParts", "TurnRequest", "Turns"]
