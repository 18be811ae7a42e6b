"""What a turn asks of the knowledge library, and how the conversation so far bends the question."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from server.chat import lexicon
from server.chat.insight import Intent
from server.chat.sources import Found
from server.guardrails.pii import Masker
from server.llm.messages import Message
from server.storage.records import MessageRecord

FOLLOW_UP_WORDS: Final = 6
ALONE_SCORE: Final = 0.58
"""From here what a follow-up finds by itself is its answer."""
_FOLLOW_UP: Final = re.compile(lexicon.FOLLOW_UP, re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class BotScope:
    """The knowledge of one bot of one tenant."""

    tenant: str
    bot: str


class Results(Protocol):
    """What a search found; `degraded` names a part that was away."""

    @property
    def found(self) -> Sequence[Found]: ...
    @property
    def degraded(self) -> str | None: ...


class Searchable(Protocol):
    """The part of the knowledge library a turn needs."""

    async def search(self, scope: Any, question: str, *, epoch: int, limit: int = ...) -> Results: ...


def search_texts(text: str, intent: Intent, history: Sequence[MessageRecord]) -> tuple[str, ...]:
    """What to search for, the likeliest last: the message itself, and for a short follow-up also the one before it."""
    is_short = len(text.split()) <= FOLLOW_UP_WORDS and _FOLLOW_UP.search(text) is not None
    # Anger at an answer is no question about it: sentences found for both would sound like mockery.
    leans = intent == "confirm" or (is_short and intent != "complaint")
    before = next((message.text for message in reversed(history) if message.role == "user"), "") if leans else ""
    return (text, f"{before[:400]} {text}".strip()) if before else (text,)


def better(alone: Results, together: Results) -> Results:
    """A follow-up that is answered by itself needs no help; else it is read with the message before it."""
    best = max((found.score for found in alone.found), default=0.0)
    return alone if best >= ALONE_SCORE or not together.found else together


def as_read(message: MessageRecord, masker: Masker) -> Message:
    """A message of the history as the model reads it: masked, and cut where the visitor stopped listening."""
    text = message.text
    heard = (message.usage or {}).get("heardChars")
    if message.role == "assistant" and isinstance(heard, int):
        text = text.encode("utf-16-le")[: heard * 2].decode("utf-16-le", "ignore")
    return Message("assistant" if message.role == "assistant" else "user", masker.mask(text))
