"""The bookkeeping of one answer: events, ends, usage."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import get_args

from server import errors
from server.bot import BotConfig
from server.chat.answer import FINISH, Answer, Purse, TurnRequest
from server.chat.insight import Insight
from server.chat.sources import Citable
from server.ids import BotId, ConversationId, MessageId, StreamId, TenantId, VisitorId
from server.llm.messages import Attempt, AttemptRecord, Delta, Finish, FinishReason, ReasoningDelta, TextDelta, Usage
from server.storage.records import BotRecord, TenantRecord

INSIGHT = Insight()
NOW = datetime(2026, 11, 21, tzinfo=UTC)


class FreePurse:
    async def reserve(self, attempt_id: str, amount_nanousd: int, floor_nanousd: int) -> bool:
        return True

    async def extend(self, attempt_id: str, delta_nanousd: int, floor_nanousd: int) -> bool:
        return True

    async def settle(self, attempt_id: str, actual_nanousd: int, record: AttemptRecord) -> None:
        return None


def request(text: str = "What is it?") -> TurnRequest:
    tenant = TenantRecord(TenantId("ten_1"), "T", "active", None, 600, NOW)
    bot = BotRecord(BotId("bot_1"), tenant.id, 1, BotConfig(), 0, NOW, NOW)
    return TurnRequest(
        tenant=tenant, bot=bot, conversation=ConversationId("conv_1"), visitor=VisitorId("vis_1"),
        stream=StreamId("s_1"),
        message=MessageId("msg_2"), reply_to=MessageId("msg_1"), text=text,
    )  # fmt: skip


def answer(text: str = "What is it?") -> Answer:
    made = Answer(request(text), INSIGHT.read(text), INSIGHT.feeling, Purse(FreePurse()))
    made.may_cite([Citable(1, "Guide", "Start", "It is this.", "doc_1", "c1")])
    made.start()
    return made


async def deltas(*items: Delta) -> AsyncGenerator[Delta, None]:
    for item in items:
        yield item


async def test_only_words_come_through_and_the_rest_is_noted() -> None:
    made = answer()
    attempt = Attempt(1, "openai", "m", "openai/m")
    stream = deltas(
        attempt, ReasoningDelta("hm"), TextDelta("It "), TextDelta(""), TextDelta("is."), Usage(), Finish("length")
    )
    assert [text async for text in made.texts(stream)] == ["It ", "is."]
    assert (made.attempt, made.finish) == (attempt, "length")


def test_a_source_is_told_before_the_words_that_cite_it() -> None:
    made = answer()
    events = [*made.show("It is this [1"), *made.show("]. Bye [4]"), *made.flush()]
    assert [event["type"] for event in events] == ["stream_chunk", "source", "stream_chunk"]
    assert made.text == "It is this [1]. Bye"
    made.finish = "stop"
    last = made.complete()
    assert last["finishReason"] == "stop"
    assert [citation["n"] for citation in last["citations"]] == [1]
    assert last["chars"] == len(made.text)
    assert made.status == "complete"


def test_every_way_a_model_ends_has_a_word() -> None:
    assert set(FINISH) == set(get_args(FinishReason))


def test_a_cut_answer_is_interrupted_and_ends_in_error() -> None:
    made = answer()
    made.show("Half a")
    assert made.complete()["finishReason"] == "error"
    assert made.status == "interrupted"


def test_what_was_heard_is_told() -> None:
    made = answer()
    made.show("A long answer")
    made.request.stop.request(5)
    last = made.cancelled()
    assert (last["finishReason"], last["heardChars"], last["chars"]) == ("cancelled", 5, 13)
    assert last["cue"][0] == {"cancel": "*"}


def test_failures_have_codes_and_tell_no_secrets() -> None:
    assert answer().failed(errors.NoProvider())["code"] == "no_provider"
    assert answer().failed(errors.BudgetExceeded())["code"] == "budget_exceeded"
    told = answer().failed(RuntimeError("password 1234"))
    assert (told["code"], told["error"], told["retryable"]) == ("internal", errors.Internal.title, True)


async def test_the_purse_adds_up_every_attempt() -> None:
    purse = Purse(FreePurse())
    for n in (1, 2):
        record = AttemptRecord("msg_2", n, "primary", "p", "m", Usage(10, 2, 3, 7), cost_nanousd=50)
        await purse.settle(f"msg_2.{n}", 50, record)
    assert purse.cost_nanousd == 100
    assert purse.tokens() == {"inputTokens": 26, "cachedTokens": 4, "outputTokens": 14}
