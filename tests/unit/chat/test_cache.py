"""The answer cache: nobody meets another's answer, and a kept one reads like a fresh one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from server.chat.cache import AnswerCache, Asked, CachedAnswer, normalise, replay
from server.chat.sources import Citable
from server.ids import BotId, TenantId
from server.llm.messages import Attempt, Finish, TextDelta
from server.storage.secrets import Secrets
from server.storage.valkey import Valkey

ASKED = Asked(
    tenant=TenantId("ten_1"),
    bot=BotId("bot_1"),
    version=3,
    epoch=7,
    locale="en",
    model_class="rules/rules",
    question="What is the price?",
    before=("user:Hello", "assistant:Hi"),
)
ANSWER = CachedAnswer(
    "It costs  ten euros [1].\nFine.", (Citable(1, "T", "P", "Q", "d", "c", 2),), ("More?",), "rules", "rules"
)


@pytest.fixture
def cache() -> AnswerCache:
    return AnswerCache(Valkey("redis://127.0.0.1:1"), Secrets(b"0" * 32))


@pytest.mark.parametrize(
    "change",
    [
        {"tenant": TenantId("ten_2")},
        {"bot": BotId("bot_2")},
        {"version": 4},
        {"epoch": 8},
        {"locale": "de"},
        {"model_class": "openai/gpt"},
        {"question": "What is the prize?"},
        {"before": ()},
        {"before": ("user:Hello", "assistant:Ho")},
        {"before": ("user:Hello assistant:Hi",)},
    ],
)
def test_everything_an_answer_depends_on_is_in_the_key(cache: AnswerCache, change: dict[str, Any]) -> None:
    assert cache.key_of(replace(ASKED, **change)) != cache.key_of(ASKED)


def test_spelling_that_changes_nothing_shares_a_key(cache: AnswerCache) -> None:
    for question in ("what is the price", "  WHAT is the\nprice?? ", "What is the price ?!"):
        assert cache.key_of(replace(ASKED, question=question)) == cache.key_of(ASKED)


def test_the_key_is_the_tenants_and_tells_nothing(cache: AnswerCache) -> None:
    key = cache.key_of(ASKED)
    assert key.startswith("t:{ten_1}:answer:bot_1:")
    assert "price" not in key
    other = AnswerCache(Valkey("redis://127.0.0.1:1"), Secrets(b"1" * 32))
    assert other.key_of(ASKED) != key


def test_normalise() -> None:
    assert normalise("  Straße\uff11\uff1f\uff01 ") == "strasse1"
    assert normalise("???") == ""


async def test_a_replay_is_the_answer_word_by_word() -> None:
    deltas = [delta async for delta in replay(ANSWER, gap_s=0)]
    assert isinstance(deltas[0], Attempt)
    assert deltas[-1] == Finish("stop")
    texts = [delta.text for delta in deltas if isinstance(delta, TextDelta)]
    assert "".join(texts) == ANSWER.text
    assert texts[0] == "It costs"
    assert [text async for text in replay(replace(ANSWER, text=" \n"), gap_s=0)][1] == TextDelta(" \n")
