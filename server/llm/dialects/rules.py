"""The rules dialect, without model or network: greets by phrase, answers with the passages' own sentences, cited."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from server.llm.extract import has_content, short_answer
from server.llm.messages import CompletionRequest, Delta, Finish, Grounding, TextDelta, Usage
from server.llm.phrases import Phrases, phrases
from server.llm.transport import Transport

if TYPE_CHECKING:
    from server.llm.catalog import Target

WORD_S: Final = 0.015
"""Between words: fast reading speed, and slow enough for the avatar to move its mouth."""

_WORD = re.compile(r"\s*\S+\s*?(?=\s|$)|\s+$")

_BEING = (
    r"human(?: being)?|person|real|robot|bot|chatbot|machine|ai|alive|mensch|roboter|maschine|ki|echt|humano|humana|persona"
    r"|una? ia|real|humain|humaine|personne|machine|umano|umana|robô|pessoa|mens|machine"
)
IS_HUMAN: Final = re.compile(
    r"\W*(?:(?:so|hey|wait|but|and)\W+)?(?:are you|am i (?:talking|speaking|chatting) (?:to|with)|is (?:this|nova|it)|bist du|"
    r"sind sie|spreche ich mit|eres|es usted|es[- ]tu|êtes[- ]vous|vous êtes|tu es|sei|lei è|você é|és|ben je|bent u)\W+"
    r"(?:(?:a|an|the|really|actually|just|real|live|ein|eine|einem|einer|echter|un|una|une|um|uma|een|or|oder|o|ou)\W+)*"
    rf"(?:{_BEING})(?:\W+(?:or|oder|o|ou|a|an|ein|eine|un|una|une|um|uma|real|{_BEING}))*\W*",
    re.IGNORECASE,
)
"""Whether the visitor asks who is speaking; the whole message, so that no question about people or machines is caught."""

BY_INTENT: Final[Mapping[str, Callable[[Phrases], str]]] = {
    "farewell": lambda said: said.farewell,
    "thanks": lambda said: said.thanks,
}
WITHOUT_ANSWER: Final[Mapping[str, Callable[[Phrases], str]]] = {
    "confirm": lambda said: said.confirm,
    "complaint": lambda said: said.complaint,
}


async def stream(
    request: CompletionRequest, target: Target, transport: Transport, *, word_s: float = WORD_S
) -> AsyncGenerator[Sequence[Delta], None]:
    """The answer word by word, `word_s` seconds apart; costs nothing and always finishes."""
    for at, word in enumerate(words(compose(request.grounding))):
        if at:
            await asyncio.sleep(word_s)
        yield (TextDelta(word),)
    yield (Usage(), Finish("stop"))


def words(text: str) -> list[str]:
    """`text` in pieces of one word each, white space with the word after it; joined they are `text` again."""
    return _WORD.findall(text)


def compose(grounding: Grounding) -> str:
    """The whole answer to one question."""
    said = phrases(grounding.language)
    bot = grounding.bot_name or "Parlour"
    if grounding.intent == "greeting":
        return grounding.greeting.strip() or said.greeting.format(bot=bot)
    if grounding.intent in BY_INTENT:
        return BY_INTENT[grounding.intent](said)
    if IS_HUMAN.fullmatch(grounding.question):
        return said.human.format(bot=bot)
    if not has_content(grounding.question) and grounding.intent not in WITHOUT_ANSWER:
        return said.about.format(bot=bot)
    found = short_answer(grounding.question, grounding.passages)
    return found or WITHOUT_ANSWER.get(grounding.intent, _nothing_found)(said)


def _nothing_found(said: Phrases) -> str:
    return said.nothing_found
