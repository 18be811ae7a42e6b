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


def offer(question: str, offered: list[Citable], cited: list[Citable], *before: str) -> tuple[str, ...]:
    return suggest(BOT, INSIGHT.read(question), [question, *before], offered, cited)


def test_topics_found_but_not_used_are_offered_in_the_visitors_language() -> None:
    offered = [citable(1, "Orders > Refunds"), citable(2, "Orders > Exchanges"), citable(3, "Seite 3", "Versand")]
    texts = offer("Wie kann ich es zurückgeben?", offered, offered[:1])
    assert texts == ("Erzähl mir von „Exchanges“", "Erzähl mir von „Versand“")


def test_a_heading_that_is_a_question_is_asked_as_it_stands_and_no_title_beside_it() -> None:
    offered = [citable(1, "Orders > Refunds"), citable(2, "FAQ > Does it use cookies?"), citable(3, "", "Embed it")]
    assert offer("What?", offered, offered[:1]) == ("Does it use cookies?",)


def test_a_cited_source_counts_as_used_whatever_its_number() -> None:
    offered = [citable(1, "A > Is it red?"), citable(2, "A > Is it blue?")]
    shown = Citable(1, "Guide", "A > Is it blue?", "", "doc", "c2")
    assert offer("Which paint do you have?", offered, [shown]) == ("Is it red?",)


def test_a_greeting_gets_the_starters_and_a_farewell_nothing() -> None:
    assert offer("Hello", [], []) == BOT.starters
    assert offer("bye", [], []) == ()


def test_starters_are_not_repeated_at_every_turn() -> None:
    assert offer("ok", [], [], "Hello") == ()
    assert offer("Do you sell bread?", [], [], "Hello") == BOT.starters
    assert offer("Do you sell bread?", [citable(1, "A > Is it red?")], [citable(1, "A > Is it red?")]) == ()


def test_what_was_asked_is_not_suggested_in_other_words_either() -> None:
    assert offer("What do you cost?", [], []) == ("Is there a trial?",)
    assert offer("Hello", [], [], "Is there any trial?") == ("What do you cost?",)
    offered = [citable(1, "A > Is it red?"), citable(2, "A > Which animations does the avatar have?")]
    assert offer("What animations does the avatar have?", offered, offered[:1]) == ()


def test_starters_in_the_visitors_language_come_alone() -> None:
    bot = BotConfig(starters=("How do I return it?", "Wie kann ich es zurückgeben?"), languages=("en", "de"))
    said = "Wo ist der Bahnhof?"
    assert suggest(bot, INSIGHT.read(said), [said], [], []) == ("Wie kann ich es zurückgeben?",)


def test_suggestions_are_few_and_short() -> None:
    offered = [citable(n, f"A > {'very ' * n * 4}long topic") for n in range(1, 9)] + [citable(9, "Used")]
    texts = offer("What is it?", offered, offered[-1:])
    assert len(texts) <= MAX_SUGGESTIONS
    assert all(len(text) <= MAX_CHARS for text in texts)
