"""Signs of a text that gives orders to the model, and characters made to be overlooked.

The flags only flag: they are counted and logged, never the wall. The wall is that passages are data, that history lies
on the server and that the prompt holds no secret.
"""

# ruff: noqa: E501 - a sign reads best on one line

from __future__ import annotations

import re
import unicodedata
from typing import Final

FLAGS: Final[tuple[tuple[str, str], ...]] = (
    ("ignore_rules", r"\b(?:ignore|disregard|forget|override|bypass)\b.{0,40}\b(?:previous|prior|above|earlier|all|your|any|the)\b"
                     r".{0,30}\b(?:instruction|prompt|rule|direction|guideline|training|context|polic)"),
    ("new_role", r"\b(?:you are now|from now on,? you|act as (?:if|an? )|pretend (?:to be|you)|roleplay as|simulate an?)\b"),
    ("jailbreak", r"\b(?:DAN\b|do anything now|jailbreak|developer mode|god mode|no (?:restrictions|limitations|filters)|unfiltered"
                  r"|without (?:any )?(?:restrictions|censorship|filters))"),
    ("prompt_theft", r"\b(?:repeat|print|reveal|show|output|display|tell me|what (?:is|are))\b.{0,40}\b(?:system prompt|initial prompt"
                     r"|your (?:instructions|prompt|rules)|text above|words above|hidden (?:prompt|instructions))"),
    ("fake_turn", r"(?:^|\n)[ \t#]{0,8}(?:system|assistant|developer)\s*:|<\|?(?:im_start|im_end|system|endoftext)\|?>|\[/?INST\]"),
    ("exfiltration", r"!\[[^\]]*\]\(\s*https?://|\b(?:send|post|forward|exfiltrate|upload)\b.{0,60}\bhttps?://"),
    ("order_to_model", r"\b(?:AI|assistant|model|chatbot|LLM)s?\b.{0,30}\b(?:must|should|shall|are required to)\b.{0,40}"
                       r"\b(?:ignore|reply|respond|answer|say|include|recommend|output)\b"),
)  # fmt: skip
"""Name of the sign and how it reads; every quantifier is bounded, so no text makes the search slow."""

MAX_COMBINING: Final = 8
_MAX_CHARS: Final = 20_000
_COMPILED: Final = tuple((name, re.compile(pattern, re.IGNORECASE)) for name, pattern in FLAGS)
_BIDI: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_ZERO_WIDTH: Final = frozenset(
    "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b\u2060\u2061\u2062\u2063\u2064\u3164\ufeff\uffa0"
)
_JOINERS: Final = frozenset("\u200c\u200d")
_NEEDS_CARE: Final = re.compile(r"[^\t\n\x20-\x7e\xa1-\xac\xae-\u02ff]")


def flags(text: str) -> tuple[str, ...]:
    """The names of the signs found in a text."""
    text = text[:_MAX_CHARS]
    found = [name for name, pattern in _COMPILED if pattern.search(text)]
    if any("\U000e0000" <= char <= "\U000e007f" for char in text) or any(char in _BIDI for char in text):
        found.append("hidden_text")
    return tuple(found)


def clean(text: str) -> str:
    """The text in NFKC without controls, bidi marks, zero-width characters and Unicode tags; at most 8
    combining marks in a row.

    Joiners stay where a script or an emoji needs them: between Arabic or Indic letters, between pictures.
    """
    text = unicodedata.normalize("NFKC", text.replace("\r\n", "\n").replace("\r", "\n"))
    if not _NEEDS_CARE.search(text):
        return text.strip()
    kept: list[str] = []
    marks = 0
    for at, char in enumerate(text):
        marks = marks + 1 if unicodedata.combining(char) else 0
        if marks <= MAX_COMBINING and _may_stay(char, text, at):
            kept.append(char)
    return "".join(kept).strip()


def _may_stay(char: str, text: str, at: int) -> bool:
    if char in "\n\t":
        return True
    if char in _JOINERS:
        return 0 < at < len(text) - 1 and _joins(char, text[at - 1], text[at + 1])
    if char in _BIDI or char in _ZERO_WIDTH or "\U000e0000" <= char <= "\U000e0fff":
        return False
    return unicodedata.category(char) not in ("Cc", "Cs", "Co", "Cn")


def _joins(joiner: str, before: str, after: str) -> bool:
    if _needs_joiners(before) and _needs_joiners(after):
        return True
    return joiner == "\u200d" and _is_picture(before) and _is_picture(after)


def _needs_joiners(char: str) -> bool:
    return "\u0600" <= char <= "\u08ff" or "\u0900" <= char <= "\u0dff"


def _is_picture(char: str) -> bool:
    return (
        char >= "\U0001f000"
        or char in "\ufe0f\u2640\u2642\u2695\u2696\u2708\u2764\u26a7\u2b1b\u27a1"
        or "\u2600" <= char <= "\u27bf"
    )
