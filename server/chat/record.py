"""What stays of a turn: the answer in SQL, its figures in the metrics, and in the cache what may be given again."""

from __future__ import annotations

from typing import Any, Final

from server.chat.answer import Answer, TurnRequest
from server.chat.cache import AnswerCache, Asked, CachedAnswer
from server.protocol import Author
from server.storage import conversations
from server.storage.database import Database
from server.telemetry import Telemetry, logger

TRIES: Final = 2
_log = logger("chat.record")


class Recorder:
    """Writes turns down; a part that is away is reported, never raised: the visitor has his answer already."""

    def __init__(self, db: Database, cache: AnswerCache, telemetry: Telemetry) -> None:
        self._db = db
        self._cache = cache
        self._telemetry = telemetry

    def looked_up(self, request: TurnRequest, *, hit: bool) -> None:
        """Count a look into the cache."""
        if hit:
            self._telemetry.cache_hits.labels(request.tenant.id, request.bot.id, "exact").inc()
        else:
            self._telemetry.cache_misses.labels(request.tenant.id, request.bot.id).inc()

    async def record(self, answer: Answer) -> None:
        """Step 10: everything that outlives the turn."""
        await self._write(answer)
        if answer.keep_as is not None and _is_worth_keeping(answer, answer.keep_as):
            await self._cache.keep(answer.keep_as, _as_kept(answer))
        self._count(answer)

    async def _write(self, answer: Answer) -> None:
        if not answer.text:
            return  # an error before the first word is no message
        request = answer.request
        for attempt in range(TRIES):
            try:
                tenant = request.tenant.id
                await conversations.add_answer(self._db, tenant, **_row(answer))
                if request.replaces:
                    await conversations.mark_replaced(self._db, tenant, request.replaces, request.message)
                return
            except Exception as failure:
                fields = {"conversation": request.conversation, "attempt": attempt + 1}
                _log.error("answer not written", exc_info=failure, extra=fields)

    def _count(self, answer: Answer) -> None:
        attempt, request, telemetry = answer.attempt, answer.request, self._telemetry
        labels = (
            request.tenant.id,
            request.bot.id,
            attempt.provider if attempt else "",
            attempt.model if attempt else "",
        )
        telemetry.requests.labels(*labels, answer.finish_reason).inc()
        telemetry.response_duration.labels(*labels).observe(answer.elapsed_ms() / 1000)
        if answer.ttft_ms is not None:
            telemetry.time_to_first_token.labels(*labels).observe(answer.ttft_ms / 1000)
        for record in answer.purse.records:
            spent = (request.tenant.id, request.bot.id, record.provider, record.model)
            telemetry.tokens_used.labels(*spent, "input").inc(record.usage.input + record.usage.cache_write)
            telemetry.tokens_used.labels(*spent, "cached").inc(record.usage.cache_read)
            telemetry.tokens_used.labels(*spent, "output").inc(record.usage.output)
            telemetry.cost_dollars.labels(*spent).inc(record.cost_nanousd / 1e9)


def _is_worth_keeping(answer: Answer, asked: Asked) -> bool:
    """Whole, from the model that was meant to answer, and about nobody in particular."""
    attempt = answer.attempt
    meant = attempt is not None and attempt.target == asked.model_class
    return meant and answer.finish_reason == "stop" and not answer.cached


def _as_kept(answer: Answer) -> CachedAnswer:
    attempt = answer.attempt
    provider, model = (attempt.provider, attempt.model) if attempt else ("", "")
    return CachedAnswer(answer.text, tuple(answer.cited), answer.suggestions, provider, model)


def _row(answer: Answer) -> dict[str, Any]:
    """The columns of the answer's message."""
    request, closing, attempt = answer.request, answer.closing, answer.attempt
    author: Author = {"kind": "bot", "name": request.bot.config.name}
    usage: dict[str, Any] = dict(answer.usage())
    if request.stop.requested and request.stop.heard_chars is not None:
        usage["heardChars"] = request.stop.heard_chars
    return {
        "id": request.message,
        "conversation": request.conversation,
        "author": author,
        "text": answer.text,
        "status": answer.status,
        "reply_to": request.reply_to,
        "sentiment": closing.sentiment if closing else "neutral",
        "sentiment_score": closing.score if closing else 0.0,
        "intent": answer.reading.intent,
        "animation": closing.animation if closing else "idle",
        "sources": [source.stored(request.conversation) for source in answer.cited],
        "suggestions": list(answer.suggestions),
        "finish_reason": answer.finish_reason,
        "provider": attempt.provider if attempt else None,
        "model": attempt.model if attempt else None,
        "usage": usage,
        "cost_nanousd": answer.purse.cost_nanousd,
        "cached": answer.cached,
        "ttft_ms": answer.ttft_ms,
        "total_ms": answer.elapsed_ms(),
        "chunks": answer.chunks,
    }
