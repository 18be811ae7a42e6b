"""What the visitor may want to ask next: two or three short questions to tap."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from server.bot import BotConfig
from server.chat.insight import Intent, Reading
from server.chat.sources import Citable

MAX_SUGGESTIONS: Final = 3
MAX_CHARS: Final = 60
SILENT: Final[frozenset[Intent]] = frozenset({"farewell"})
"""Who says good-bye is not kept talking."""

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
    bot: BotConfig, reading: Reading, question: str, offered: Sequence[Citable], cited: Iterable[Citable]
) -> tuple[str, ...]:
    """At most three: topics of passages found but not used, then the bot's own starters."""
    if reading.intent in SILENT:
        return ()
    used = {_topic(source).casefold() for source in cited}
    topics = [_topic(source) for source in offered if _topic(source).casefold() not in used] if used else []
    template = ABOUT.get(reading.language, "{topic}")
    asked = question.casefold()
    fresh = [topic for topic in topics if topic and topic.casefold().rstrip("?") not in asked]
    texts = [topic if topic.endswith("?") else template.format(topic=topic) for topic in fresh]
    texts += [starter for starter in bot.starters if starter.casefold().strip(" ?") not in asked]
    fitting = [text for text in dict.fromkeys(texts) if len(text) <= MAX_CHARS]
    return tuple(fitting[:MAX_SUGGESTIONS])


def _topic(source: Citable) -> str:
    """The last heading of a place such as `Orders > Refunds`; a page number is no topic, then the title serves."""
    last = source.place.replace("›", ">").rsplit(">", 1)[-1].strip(" #")  # noqa: RUF001 - one of the separators in use
    if not last or any(char.isdigit() for char in last):
        last = source.title.strip()
    return last
