"""What the visitor may want to ask next: at most three short questions to tap."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from server.bot import BotConfig
from server.chat.insight import Intent, Reading, language_of
from server.chat.sources import Citable
from server.llm.extract import terms

MAX_SUGGESTIONS: Final = 3
MAX_CHARS: Final = 60
SAME_WORDS: Final = 0.75
"""Two questions that share this much of their words are one."""
SILENT: Final[frozenset[Intent]] = frozenset({"farewell"})
"""Who says good-bye is not kept talking."""
LOST: Final[frozenset[Intent]] = frozenset({"greeting", "question", "explanation"})
"""Who asked in vain, or says hello again, gets the starters once more; they are not repeated at every turn."""

ABOUT: Final[Mapping[str, str]] = {
    "en": "Tell me about “{topic}”",
    "de": "Erzähl mir von „{topic}“",
    "es": "Háblame de «{topic}»",
    "fr": "Parlez-moi de « {topic} »",
    "it": "Parlami di «{topic}»",
    "pt": "Fale-me sobre “{topic}”",
}
"""How to ask for a topic, by language."""


def suggest(
    bot: BotConfig, reading: Reading, asked: Sequence[str], offered: Sequence[Citable], cited: Iterable[Citable]
) -> tuple[str, ...]:
    """At most three: after an answer, what else was found; at the start and after a vain question, the bot's starters.

    `asked` holds the visitor's messages, the newest first: what he asked already is not offered again.
    """
    if reading.intent in SILENT:
        return ()
    used = {source.chunk_id for source in cited}
    texts = _topics(reading, [source for source in offered if source.chunk_id not in used]) if used else []
    if not used and (len(asked) <= 1 or reading.intent in LOST):
        texts = _starters(bot, reading)
    known = [frozenset(terms(text)) for text in asked]
    fresh: list[str] = []
    for text in texts:
        words = frozenset(terms(text))
        if len(text) <= MAX_CHARS and not any(_is_same(words, other) for other in known):
            fresh.append(text)
            known.append(words)
    return tuple(fresh[:MAX_SUGGESTIONS])


def _topics(reading: Reading, unused: Sequence[Citable]) -> list[str]:
    """Headings that are questions as they stand; only when there is none, other topics put as a question."""
    topics = list(dict.fromkeys(filter(None, map(_topic, unused))))
    questions = [topic for topic in topics if topic.endswith(("?", "\uff1f"))]
    return questions or [ABOUT.get(reading.language, "{topic}").format(topic=topic) for topic in topics]


def _starters(bot: BotConfig, reading: Reading) -> list[str]:
    """The starters in the visitor's language, if there are any; else all: the site has no others."""
    first = bot.languages[0] if bot.languages else None
    own = [starter for starter in bot.starters if language_of(starter, first) == reading.language]
    return own or list(bot.starters)


def _is_same(one: frozenset[str], other: frozenset[str]) -> bool:
    return one == other or (bool(one and other) and len(one & other) / len(one | other) >= SAME_WORDS)


def _topic(source: Citable) -> str:
    """The last heading of a place such as `Orders > Refunds`; a page number is no topic, then the title serves."""
    last = source.place.replace("›", ">").rsplit(">", 1)[-1].strip(" #")  # noqa: RUF001 - one of the separators in use
    if not last or any(char.isdigit() for char in last):
        last = source.title.strip()
    return last
