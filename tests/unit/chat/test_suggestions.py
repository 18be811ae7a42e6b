"""What is offered to ask next."""

from __future__ import annotations

from server.bot import BotConfig
from server.chat.insight import Insight
from server.chat.sources import Citable
from server.chat.suggestions import MAX_CHARS, MAX_SUGGESTIONS, suggest

INSIGHT = Insight()
BOT = BotConfig(starters=("What do you cost?", "Is there a trial?"))


def citable(n: int, place: str, title: str = "Guide") -> Citable:
    return Citable(n, title, place, "", "doc", f"c{n}")


def test_topics_found_but_not_used_come_first_in_the_visitors_language() -> None:
    offered = [citable(1, "Orders > Refunds"), citable(2, "Orders > Exchanges"), citable(3, "Seite 3", "Versand")]
    texts = suggest(
        BOT, INSIGHT.read("Wie kann ich es zurückgeben?"), "Wie kann ich es zurückgeben?", offered, offered[:1]
    )
    assert texts == ("Erzähl mir von „Exchanges“", "Erzähl mir von „Versand“", "What do you cost?")


def test_a_topic_that_is_a_question_is_asked_as_it_stands() -> None:
    offered = [citable(1, "Orders > Refunds"), citable(2, "FAQ > Does it use cookies?")]
    assert suggest(BOT, INSIGHT.read("What?"), "What?", offered, offered[:1])[0] == "Does it use cookies?"


def test_a_greeting_gets_the_starters_and_a_farewell_nothing() -> None:
    assert suggest(BOT, INSIGHT.read("Hello"), "Hello", [], []) == BOT.starters
    assert suggest(BOT, INSIGHT.read("bye"), "bye", [], []) == ()


def test_what_was_asked_is_not_suggested() -> None:
    question = "What do you cost?"
    assert suggest(BOT, INSIGHT.read(question), question, [], []) == ("Is there a trial?",)


def test_suggestions_are_few_and_short() -> None:
    offered = [citable(n, f"A > {'very ' * n * 4}long topic") for n in range(1, 9)] + [citable(9, "Used")]
    texts = suggest(BOT, INSIGHT.read("What is it?"), "What is it?", offered, offered[-1:])
    assert len(texts) <= MAX_SUGGESTIONS
    assert all(len(text) <= MAX_CHARS for text in texts)
