"""What a message is about and how it feels: intent by tables, sentiment by VADER kept away from the words of the trade.

A calm avatar is never wrong, a grin at a stolen card is: whatever is in doubt comes out neutral.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, get_args

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from server.chat import lexicon
from server.protocol import Sentiment

Intent: TypeAlias = Literal[
    "greeting", "farewell", "thanks", "complaint", "question", "explanation", "confirm", "other"
]
Urgency: TypeAlias = Literal["normal", "high"]
INTENTS: Final[tuple[Intent, ...]] = get_args(Intent)

FEELING_FROM: Final = 0.35
"""From this magnitude on, a score is a feeling."""
ANSWER_FEELING_FROM: Final = 0.2
"""The same for the mean over the sentences of an answer, which plain ones dilute."""

_WORD: Final = re.compile("[^\\W_]+(?:['\u2019-][^\\W_]+)*")
_SENTENCE: Final = re.compile("[^.!?…\n。\uff01\uff1f]+[.!?…。\uff01\uff1f]*")
_MAX_CHARS: Final = 4_000
TELLING: Final = 2
"""What a word says for a language that only this language has; by so much a guess must beat the hint."""
MAX_SENTENCES: Final = 24
MAX_FELT_CHARS: Final = 600
MAX_PICTURES: Final = 12


@dataclass(frozen=True, slots=True)
class Reading:
    """What one message of a visitor tells: `score` lies in -1..1, `language` is a short tag such as `de`."""

    intent: Intent
    sentiment: Sentiment
    score: float
    urgency: Urgency
    language: str
    bad_news: bool


def sentiment_of(score: float, threshold: float = FEELING_FROM) -> Sentiment:
    """The word for a score."""
    if score >= threshold:
        return "positive"
    return "negative" if score <= -threshold else "neutral"


class Insight:
    """Reads messages and sentences; holds the sentiment lexica, so make one per process."""

    def __init__(self) -> None:
        self._heated = _analyzer(lexicon.NOT_FEELINGS)
        self._plain = _analyzer(lexicon.NOT_FEELINGS | lexicon.WORK_WORDS)

    def read(self, text: str, hint: str | None = None) -> Reading:
        """Everything about a visitor's message; `hint` is the locale to believe when the text does not tell."""
        text = text[:_MAX_CHARS]
        language = language_of(text, hint)
        scores = [self.feeling(sentence, language) for sentence in _SENTENCE.findall(text)[:MAX_SENTENCES]]
        score = max(scores, key=lambda value: (abs(value), value < 0), default=0.0)
        intent = intent_of(text)
        if intent == "other" and score <= -0.6:
            intent = "complaint"
        if _COMPLAINT_STRONG.search(text):
            score = min(score, -FEELING_FROM)
        return Reading(
            intent=intent,
            sentiment=sentiment_of(score),
            score=round(score, 3),
            urgency="high" if _URGENT.search(text) else "normal",
            language=language,
            bad_news=_BAD_NEWS.search(text) is not None,
        )

    def feeling(self, sentence: str, language: str = "en") -> float:
        """The feeling of one sentence in -1..1; 0 when there is none to speak of."""
        sentence = _bounded(sentence)
        if language != "en":
            return _feeling_by_words(sentence, language)
        sentence = _GOOD_DAY.sub("", sentence)
        heated = _HEATED.search(sentence) is not None
        analyzer = self._heated if heated else self._plain
        score = float(analyzer.polarity_scores(sentence)["compound"])
        if _SARCASM.search(sentence):
            return -max(abs(score), 0.4)
        if not heated and score and (sentence.rstrip().endswith("?") or _QUESTION.search(sentence)):
            return score * 0.5  # what somebody asks about is rarely what he feels
        return score


def has_bad_news(sentence: str) -> bool:
    """Whether a smile would be out of place at this sentence."""
    return _BAD_NEWS.search(sentence) is not None


def _analyzer(without: frozenset[str]) -> Any:
    analyzer = SentimentIntensityAnalyzer()
    analyzer.lexicon = {word: value for word, value in analyzer.lexicon.items() if word not in without}
    return analyzer


def _bounded(sentence: str) -> str:
    """The part of a sentence that is felt: VADER spells every picture out, at a cost that grows with the square."""
    sentence = sentence[:MAX_FELT_CHARS]
    pictures = [at for at, char in enumerate(sentence) if "\u2190" <= char <= "\u2bff" or char >= "\U0001f000"]
    return sentence if len(pictures) <= MAX_PICTURES else sentence[: pictures[MAX_PICTURES]]


# Intent ---------------------------------------------------------------------------------------------------------------
def intent_of(text: str) -> Intent:
    """The intent of a message in any of the six languages."""
    lowered = " ".join(text.lower().split())
    rest, said = _without_politeness(lowered)
    if not rest:
        return _politest(said)
    if _COMPLAINT_STRONG.search(lowered):
        return "complaint"
    if _EXPLANATION.search(rest):
        return "explanation"
    if _COMPLAINT_WEAK.search(lowered):
        return "complaint"
    if "?" in rest or "\uff1f" in rest or _QUESTION.search(rest):
        return "question"
    return _politest(said) if said and len(rest.split()) <= 3 else "other"


def _without_politeness(text: str) -> tuple[str, list[str]]:
    """The text without the polite phrases at its head and its end, and which kinds those were."""
    said: list[str] = []
    bare = text.replace("'", " ").replace("\u2019", " ")
    while match := _POLITE_HEAD.match(bare):
        said.append(_kind(match))
        text, bare = text[match.end() :], bare[match.end() :]
    while match := _POLITE_END.search(bare):
        said.append(_kind(match))
        text, bare = text[: match.start()], bare[: match.start()]
    words = _WORD.findall(text)
    if said and all(word in lexicon.FILLERS for word in words) and "?" not in text:
        return "", said
    return (text.strip(), said) if words or not said else ("", said)


def _kind(match: re.Match[str]) -> str:
    return next(name for name, found in match.groupdict().items() if found is not None)


def _politest(said: list[str]) -> Intent:
    if said.count("either") > 1:
        return "farewell"
    for intent in ("farewell", "thanks", "greeting", "confirm"):
        if intent in said or (intent == "greeting" and "either" in said):
            return intent
    return "other"


def _politeness(head: bool) -> re.Pattern[str]:
    groups = []
    for intent, rows in lexicon.SOCIAL.items():
        phrases = sorted("|".join(rows.values()).split("|"), key=len, reverse=True)
        groups.append(f"(?P<{intent}>{'|'.join(re.escape(phrase) for phrase in phrases)})")
    groups.append(f"(?P<either>{lexicon.EITHER_WAY})")
    body = "(?:" + "|".join(groups) + ")"
    edge = "[\\s,.!;:)\\-\u2013\u2014]"
    # `si` and `claro` also begin ordinary sentences, so a phrase at the head must be set off or stand alone.
    return re.compile(rf"{edge}*{body}(?![\w]){edge}*" if head else rf"(?<!\w){body}{edge}*$")


# Language -------------------------------------------------------------------------------------------------------------
def language_of(text: str, hint: str | None = None) -> str:
    """The likeliest language of a text as a short tag; without any sign the hint, without a hint English."""
    hinted = (hint or "en").lower().replace("_", "-").split("-")[0]
    by_script = _by_script(text)
    if by_script:
        return by_script
    words = re.sub("['\u2019]", " ", text[:400].lower()).split()
    words = [word for piece in words for word in _WORD.findall(piece)]
    hits = {name: sum(_telling(word) for word in words if word in row) for name, row in lexicon.STOPWORDS.items()}
    for letter, name in lexicon.LETTERS.items():
        hits[name] += 2 * TELLING * (letter in text)
    bare = " ".join(words)
    for name in hits:
        hits[name] += TELLING * (_SOCIAL_OF[name].search(bare) is not None)
    leader = max(hits, key=lambda name: (hits[name], name == hinted))
    return leader if hits[leader] - hits.get(hinted, 0) >= TELLING else hinted


def _telling(word: str) -> int:
    """How much a short word tells: one that several languages share is half a sign."""
    return TELLING if sum(word in row for row in lexicon.STOPWORDS.values()) == 1 else 1


def _by_script(text: str) -> str | None:
    counts: dict[str, int] = {}
    for char in text[:200]:
        if char > "\u036f":
            for first, last, name in lexicon.SCRIPTS:
                if first <= ord(char) <= last:
                    counts[name] = counts.get(name, 0) + 1
    if "ja" in counts:
        counts["ja"] += counts.pop("zh", 0)
    best = max(counts, key=lambda name: counts[name], default=None)
    return best if best and counts[best] >= 2 else None


def _feeling_by_words(sentence: str, language: str) -> float:
    joy = sum(char in lexicon.EMOJI_JOY for char in sentence)
    sorrow = sum(char in lexicon.EMOJI_SORROW for char in sentence)
    glad, sad = _FEELINGS.get(language, (frozenset(), frozenset()))
    if glad:
        words = {word.lower() for word in _WORD.findall(sentence)}
        joy, sorrow = joy + len(words & glad), sorrow + len(words & sad)
    for fragments, sign in zip(lexicon.FEELING_FRAGMENTS.get(language, ("", "")), (1, -1), strict=True):
        found = sum(fragment in sentence for fragment in fragments.split())
        joy, sorrow = (joy + found, sorrow) if sign > 0 else (joy, sorrow + found)
    raised = 0.1 * min(sentence.count("!") + sentence.count("\uff01"), 3)
    sign = (joy > sorrow) - (joy < sorrow)
    return sign * min(0.35 + 0.15 * (abs(joy - sorrow) - 1) + raised, 0.95) if sign else 0.0


_POLITE_HEAD: Final = _politeness(head=True)
_POLITE_END: Final = _politeness(head=False)
_EXPLANATION: Final = re.compile(lexicon.EXPLANATION, re.IGNORECASE)
_QUESTION: Final = re.compile(lexicon.QUESTION, re.IGNORECASE)
_COMPLAINT_STRONG: Final = re.compile(lexicon.COMPLAINT_STRONG, re.IGNORECASE)
_COMPLAINT_WEAK: Final = re.compile(lexicon.COMPLAINT_WEAK, re.IGNORECASE)
_URGENT: Final = re.compile(lexicon.URGENT, re.IGNORECASE)
_BAD_NEWS: Final = re.compile(lexicon.BAD_NEWS, re.IGNORECASE)
_HEATED: Final = re.compile(lexicon.HEATED)
_GOOD_DAY: Final = re.compile(r"\bgood (?:morning|afternoon|evening|day|night)\b", re.IGNORECASE)
_SARCASM: Final = re.compile(lexicon.SARCASM, re.IGNORECASE)
_FEELINGS: Final = {
    name: (frozenset(glad.split()), frozenset(sad.split())) for name, (glad, sad) in lexicon.FEELINGS.items()
}
_SOCIAL_OF: Final = {
    name: re.compile(r"\b(?:" + "|".join(rows[name] for rows in lexicon.SOCIAL.values()) + r")\b")
    for name in lexicon.STOPWORDS
}
