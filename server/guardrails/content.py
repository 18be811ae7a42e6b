"""What may not leave: the prompt's canary and anything shaped like a key, held back across the borders of chunks."""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final, Protocol

CANARY_PREFIX: Final = "pcn-"
REMOVED: Final = "[removed]"
SECRET_MIN_CHARS: Final = 16
MAX_HELD_CHARS: Final = 512

OPENERS: Final = (
    CANARY_PREFIX,
    "sk-", "sk_live_", "sk_test_", "pk_live_", "rk_live_", "AKIA", "ASIA", "ghp_", "gho_", "ghs_",
    "github_pat_", "glpat-", "xoxb-", "xoxp-", "AIza", "gsk_", "hf_", "eyJhbGciOi",
)  # fmt: skip
"""How the keys of well-known services begin; a long enough run of letters behind one is a secret."""

_RUN: Final = r"[A-Za-z0-9_\-]"


class Stage(Protocol):
    """A filter over streamed text that may keep the end of a piece back until the next one decides."""

    @property
    def stopped(self) -> bool:
        """Whether nothing more may be shown."""
        ...

    def feed(self, text: str) -> str:
        """What may be shown now."""
        ...

    def finish(self) -> str:
        """What was kept back, once no more text comes."""
        ...


def new_canary() -> str:
    """A word that stands in the prompt only: seen in an answer, it proves that the prompt is being recited."""
    return CANARY_PREFIX + secrets.token_hex(8)


async def hold_back(texts: AsyncGenerator[str, None], stages: Sequence[Stage]) -> AsyncGenerator[str, None]:
    """The texts as they may be shown, each piece through every stage in order; ends early when a stage has stopped.

    Empty pieces are left out. Closing this generator closes `texts`.
    """
    async with aclosing(texts):
        async for text in texts:
            shown, stopped = text, False
            for stage in stages:
                shown = stage.feed(shown)
                stopped = stopped or stage.stopped
            if shown:
                yield shown
            if stopped:
                return
    rest = ""
    for stage in stages:
        rest = stage.feed(rest) + stage.finish()
    if rest:
        yield rest


class SecretFilter:
    """Removes keys from the text; the canary ends the answer.

    Keeps back only a last word that begins like a key, at most MAX_HELD_CHARS of it.
    """

    def __init__(self, canary: str = "") -> None:
        self._canary = re.compile(re.escape(canary), re.IGNORECASE) if canary else None
        self._held = ""
        self._before = " "  # the last character shown: a key begins where a word begins
        self.stopped = False
        self.removed = 0

    def feed(self, text: str) -> str:
        """What may be shown now."""
        if self.stopped or not text:
            return ""
        if not self._held and not _BEGINS.search(self._before + text, 1):
            self._before = text[-1]
            return text
        return self._decide(self._before + self._held + text, at_end=False)

    def finish(self) -> str:
        """What was kept back and turned out to be harmless."""
        return "" if self.stopped or not self._held else self._decide(self._before + self._held, at_end=True)

    def _decide(self, text: str, *, at_end: bool) -> str:
        """Judge all but the tail that may still become a key; the first character of `text` was shown before."""
        recited = self._canary.search(text) if self._canary else None
        if recited:
            self.stopped, self._held = True, ""
            return self._redact(text, recited.start())
        tail = None if at_end else _TAIL.search(text, 1)
        # A run longer than any key is judged as it stands.
        cut = tail.start() if tail and len(text) - tail.start() <= MAX_HELD_CHARS else len(text)
        self._held = text[cut:]
        shown = self._redact(text, cut)
        self._before = text[cut - 1]
        return shown

    def _redact(self, text: str, end: int) -> str:
        parts: list[str] = []
        at = 1
        for match in _SECRET.finditer(text, 1, end):
            parts += [text[at : match.start()], REMOVED]
            at = match.end()
            self.removed += 1
        return "".join([*parts, text[at:end]])


def _begin(text: str) -> str:
    """A pattern for the beginning of a key; the canary may be recited in capitals."""
    return f"(?i:{re.escape(text)})" if CANARY_PREFIX.startswith(text) else re.escape(text)


def _unfinished(opener: str) -> str:
    """A pattern for every beginning of `opener`, and for all of it with whatever follows."""
    return "|".join([_begin(opener) + _RUN + "*", *(_begin(opener[:size]) for size in range(len(opener) - 1, 0, -1))])


_ANY: Final = "|".join(map(_begin, OPENERS))
_OPEN_END: Final = "|".join(map(_unfinished, OPENERS))
_SECRET: Final = re.compile(rf"(?<![A-Za-z0-9])(?:{_ANY}){_RUN}{{{SECRET_MIN_CHARS},}}")
_TAIL: Final = re.compile(rf"(?<![A-Za-z0-9])(?:{_OPEN_END})\Z")
_BEGINS: Final = re.compile(rf"(?<![A-Za-z0-9])(?:{_ANY}|(?:{_OPEN_END})\Z)")
