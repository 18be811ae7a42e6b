"""The prompt: stable parts first, passages as data, caps, the newest messages."""

from __future__ import annotations

from server.bot import BotConfig
from server.chat.insight import Insight
from server.chat.prompt import (
    MAX_HISTORY_CHARS,
    MAX_KNOWLEDGE_CHARS,
    MAX_MESSAGE_CHARS,
    NO_PASSAGES,
    build,
    fit_history,
    fit_passages,
    shorten,
)
from server.llm.messages import CompletionRequest, Message, Passage

READING = Insight().read("How do I get a refund?")


def request(passages: tuple[Passage, ...] = (), history: tuple[Message, ...] = ()) -> CompletionRequest:
    return build(
        bot=BotConfig(name="Nova", persona="Be kind."),
        canary="pcn-1234",
        reading=READING,
        question="How do I get a refund?",
        history=history,
        passages=passages,
        turn_id="msg_1",
    )


def test_segments_stand_from_stable_to_fleeting() -> None:
    one, other = request((Passage(1, "Refunds", "Orders", "Thirty days."),)), request()
    assert [segment.stability for segment in one.system] == ["tenant", "bot", "turn"]
    assert one.system[:2] == other.system[:2]
    assert "pcn-1234" in one.system[1].text
    assert "Be kind." in one.system[1].text
    assert other.system[2].text == NO_PASSAGES
    assert one.messages[-1] == Message("user", "How do I get a refund?")
    assert one.grounding.intent == "explanation"
    assert one.max_tokens == 700


def test_passages_are_numbered_data_between_marks_that_change() -> None:
    passages = (Passage(1, "Refunds", "Orders", "Thirty\u202e days.\U000e0041"),)
    texts = {request(passages).system[2].text for _ in range(2)}
    assert len(texts) == 2
    text = texts.pop()
    assert "[1] Refunds, Orders\nThirty days." in text
    mark = text.split("<<<")[1].split("\n")[0]
    assert text.endswith(f"{mark}>>>")


def test_passages_fit_their_cap() -> None:
    many = tuple(Passage(n, "T", "", "x" * 1600) for n in range(1, 9))
    kept = fit_passages(many)
    assert [passage.n for passage in kept] == [1, 2, 3, 4]
    assert sum(len(passage.text) for passage in kept) <= MAX_KNOWLEDGE_CHARS
    assert len(fit_passages((Passage(1, "T", "", "x" * 9000),))) == 1


def test_history_keeps_the_newest_and_begins_with_the_visitor() -> None:
    history = tuple(Message("user" if n % 2 == 0 else "assistant", f"{n} " + "y" * 3000) for n in range(12))
    kept = fit_history(history)
    assert kept[0].role == "user"
    assert kept[-1].content.startswith("11 ")
    assert sum(len(message.content) for message in kept) <= MAX_HISTORY_CHARS
    assert all(len(message.content) <= MAX_MESSAGE_CHARS for message in kept)
    assert fit_history((Message("assistant", "Hello"),)) == ()


def test_a_long_text_loses_its_middle() -> None:
    assert shorten("short", 10) == "short"
    assert shorten("a" * 50 + "b" * 50, 21) == "a" * 9 + " … " + "b" * 9
