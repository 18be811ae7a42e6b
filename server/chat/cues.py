"""Which animation, at which character: the director that reads the answer along with the visitor.

Pure and without a clock: time is counted in words of the text (a third of a second each), so the same text gives the
same cues however the model cut it into pieces. Only whole sentences are judged; what arrives in between costs a look
for a full stop.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from server.chat import lexicon
from server.chat.insight import ANSWER_FEELING_FROM, Reading, has_bad_news, sentiment_of
from server.protocol import Animation, Cue, CueLayer, CueSource, CueState, Sentiment

SECONDS_PER_WORD: Final = 0.33
ENTER: Final = 0.35
LEAVE: Final = 0.15
MEMORY: Final = 0.6
"""Share of the past in the moving average of feelings."""
STRONG: Final = 0.6
EMOTION_DWELL_S: Final = 2.5
BASE_DWELL_S: Final = 1.2
SAME_GESTURE_S: Final = 8.0
ANY_GESTURE_S: Final = 3.0
SENTENCES_PER_GESTURE: Final = 2
LONG_SENTENCE_WORDS: Final = 18
MAX_SENTENCE_CHARS: Final = 600

PRIORITY: Final[Mapping[CueSource, int]] = {"intent": 300, "tag": 220, "sentiment": 200, "default": 100}
GESTURE_S: Final[Mapping[str, float]] = {"wave": 1.6, "thumbs_up": 1.8, "nod": 0.9, "confused": 1.5}
"""How long a gesture's clip takes; the browser holds it as long by default."""

LAYERS: Final[Mapping[CueState, CueLayer]] = {
    "idle": "base",
    "listening": "base",
    "thinking": "base",
    "talk_calm": "base",
    "talk_explain": "base",
    "happy": "emotion",
    "confused": "emotion",
    "concern": "emotion",
    "neutral": "emotion",
    "wave": "gesture",
    "thumbs_up": "gesture",
    "nod": "gesture",
}
SHOWN_AS: Final[Mapping[CueState, Animation]] = {"listening": "idle", "concern": "nod", "neutral": "idle"}
"""The nearest of the nine public names for a state that is not one of them."""

Moment: TypeAlias = Literal["positive", "negative", "neutral", "greeting", "farewell", "explanation", "question"]
MOMENTS: Final[Mapping[Moment, CueState]] = {
    "positive": "happy",
    "negative": "concern",
    "neutral": "talk_calm",
    "greeting": "wave",
    "farewell": "wave",
    "explanation": "talk_explain",
    "question": "thinking",
}
"""The source design's map from what happens to what is shown; a bot may name other animations for each moment."""

_CLOSERS: Final = "[\"'\u201d\u2019)\\]*_]*"
_END: Final = re.compile(rf"[.!?…]+{_CLOSERS}(?=\s)|[。\uff01\uff1f]+|\n")
_OPEN_END: Final = re.compile(rf"[.!?…]+{_CLOSERS}\Z")
_MAY_END: Final = re.compile("[.!?…。\uff01\uff1f\n]")
_ABBREVIATION: Final = re.compile(
    r"(?:^|[\s(])(?:\d{1,3}|[A-Za-z]|e\.g|i\.e|z\.B|d\.h|p\.ex|mr|mrs|ms|dr|prof|sr|sra|st|nr|vs|etc|approx|ca|bzw|usw|inkl"
    r"|evtl|fig|vol|inc|ltd|p\.m|a\.m)\.$",
    re.IGNORECASE,
)
_EXPLAINS: Final = re.compile(
    r"^\s*(?:[-*•]|\d+[.)])\s|\d|`|:|\b(?:step|first|then|next|finally|because|therefore|schritt|zuerst|dann|weil"
    r"|paso|primero|luego|porque|étape|d'abord|ensuite|puis|parce que|passo|prima|poi|perché|primeiro|depois)\b",
    re.IGNORECASE,
)
_CITATION: Final = re.compile(r"\[\d{1,2}\]")
_NOT_KNOWN: Final = re.compile(lexicon.NOT_KNOWN, re.IGNORECASE)
_SOLVED: Final = re.compile(lexicon.SOLVED, re.IGNORECASE)
_AGREED: Final = re.compile(lexicon.AGREED, re.IGNORECASE)

Feel: TypeAlias = Callable[[str, str], float]


def utf16_length(text: str) -> int:
    """Length in UTF-16 units, which is how a browser counts characters."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


@dataclass(frozen=True, slots=True)
class Placed:
    """What goes on one frame: the cues, and the short form if it changed."""

    cues: list[Cue] = field(default_factory=list)
    animation: Animation | None = None


@dataclass(frozen=True, slots=True)
class Closing:
    """What goes on the last frame; `score` is the mean feeling of the answer's sentences."""

    cues: list[Cue]
    animation: Animation
    sentiment: Sentiment
    score: float


NOTHING: Final = Placed()


class Director:
    """Places cues along one answer; feed it exactly the text that is shown.

    `feel(sentence, language)` scores a sentence in -1..1; `animations` are the bot's own choices for MOMENTS.
    """

    def __init__(self, reading: Reading, feel: Feel, animations: Mapping[Moment, Animation] | None = None) -> None:
        self._reading = reading
        self._feel = feel
        self._moments: dict[Moment, CueState] = {**MOMENTS, **(animations or {})}
        self._vetoed = reading.intent == "complaint" or reading.bad_news or reading.score <= -ENTER
        self._splitter = Sentences()
        self._cues = 0
        self._sent = 0
        self._words = 0
        self._speaking = False
        self._average = 0.0
        self._scores: list[float] = []
        self._base = _Track("idle")
        self._emotion = _Track("neutral")
        self._gesture = _Track("idle", at_s=-1e9)
        self._gesture_sent = -SENTENCES_PER_GESTURE
        self._gestures_at: dict[CueState, float] = {}
        self._shown: Animation = "idle"

    @property
    def chars(self) -> int:
        """UTF-16 units fed so far."""
        return self._splitter.units

    def begin(self) -> Placed:
        """The cues drawn from the visitor's own message; they ride on stream_start."""
        cues = [cue for state, w in self._reactions() for cue in self._put(state, "intent", w=w, char=None)]
        if self._reading.intent not in ("greeting", "farewell", "thanks"):
            state = self._moments["question"] if self._reading.intent == "question" else "thinking"
            source: CueSource = "intent" if self._reading.intent == "question" else "default"
            # No dwell: the first word ends the thinking at once, however quick it is.
            cues += [{**cue, "min": 0} for cue in self._put(state, source, char=None)]
        self._shown = self._derived()
        return Placed(cues, self._shown)

    def feed(self, text: str) -> Placed:
        """The cues that become known with this piece of text."""
        cues: list[Cue] = []
        if not self._speaking and not text.isspace():
            self._speaking = True
            cues += self._speak()
        for sentence in self._splitter.feed(text):
            cues += self._judge(sentence)
        return self._placed(cues) if cues else NOTHING

    def finish(self, *, solved: bool = False) -> Closing:
        """The end of a whole answer; `solved` when it was grounded in the tenant's own documents."""
        cues = [cue for sentence in self._splitter.finish() for cue in self._judge(sentence)]
        score = round(sum(self._scores) / len(self._scores), 3) if self._scores else 0.0
        sentiment = sentiment_of(score, ANSWER_FEELING_FROM)
        cues += self._final_gesture(sentiment, solved)
        cues += self._put("idle", "default", char=self.chars, force=True)
        return Closing(cues, self._final(sentiment), sentiment, score)

    def cancel(self) -> Closing:
        """The end of an answer the visitor stopped: everything off, listening again."""
        self._splitter.finish()
        self._cues += 1
        cues: list[Cue] = [{"cancel": "*"}, {"id": f"c{self._cues}", "state": "listening"}]
        score = round(sum(self._scores) / len(self._scores), 3) if self._scores else 0.0
        return Closing(cues, "idle", sentiment_of(score, ANSWER_FEELING_FROM), score)

    def fail(self) -> Placed:
        """The end of an answer that broke off."""
        self._emotion = _Track("neutral", at_s=-1e9)
        cues = self._put("confused", "default", w=0.6, char=self.chars)
        return Placed(cues + self._put("idle", "default", char=self.chars, force=True), "confused")

    # Sentences -------------------------------------------------------------------------------------------------------
    def _speak(self) -> list[Cue]:
        if self._reading.intent == "explanation":
            return self._put(self._moments["explanation"], "intent", char=0, force=True)
        return self._put(self._moments["neutral"], "default", char=0, force=True)

    def _judge(self, sentence: Sentence) -> list[Cue]:
        bare = _CITATION.sub("", sentence.text).strip()
        if not bare:
            return []
        words = len(bare.split())
        cues: list[Cue] = []
        if sentence.code or not any(char.isalpha() for char in bare):
            cues += self._talk("talk_explain", sentence)
        else:
            tone = _Tone(bare, has_bad_news(bare), _NOT_KNOWN.search(bare) is not None)
            score = self._feeling(tone)
            cues += self._talk(self._manner(bare, words), sentence)
            cues += self._emote(tone, score, sentence)
            cues += self._gesticulate(tone, score, sentence)
        self._sent += 1
        self._words += words
        return cues

    def _feeling(self, tone: _Tone) -> float:
        score = self._feel(tone.text, self._reading.language)
        if tone.bad_news or tone.not_known:
            score = min(score, 0.0)
        self._scores.append(score)
        self._average = MEMORY * self._average + (1 - MEMORY) * score
        return score

    def _manner(self, text: str, words: int) -> CueState:
        if words > LONG_SENTENCE_WORDS or _EXPLAINS.search(text):
            return "talk_explain"
        return self._moments["neutral"]

    def _talk(self, state: CueState, sentence: Sentence) -> list[Cue]:
        """A manner of speaking holds for its dwell; one that the intent asked for is left for another only after it."""
        chosen = self._base.prio > PRIORITY["default"] or self._sent > 0
        if chosen and self._base.held_s(self._now) < BASE_DWELL_S:
            return []
        return self._put(state, "default", char=sentence.start)

    def _emote(self, tone: _Tone, score: float, sentence: Sentence) -> list[Cue]:
        feeling = score if abs(score) >= abs(self._average) else self._average
        if tone.bad_news or tone.not_known:
            feeling = min(feeling, 0.0)
        wanted = self._wanted(tone, feeling)
        if wanted == self._emotion.state or self._emotion.held_s(self._now) < EMOTION_DWELL_S:
            return []
        weight = {"neutral": 1.0, "confused": 0.6}.get(wanted, round(min(0.3 + 0.5 * abs(feeling), 0.9), 1))
        return self._put(wanted, "sentiment", w=weight, char=sentence.start)

    def _wanted(self, tone: _Tone, feeling: float) -> CueState:
        if tone.not_known:
            return "confused"
        if feeling >= ENTER:
            return self._emotion.state if self._vetoed else self._moments["positive"]
        if feeling <= -ENTER:
            return self._moments["negative"]
        if self._reading.intent == "complaint":
            return self._emotion.state  # who complains is taken seriously to the end
        if self._emotion.state == "confused" and tone.text.endswith("?"):
            return "confused"  # it asks back because it does not know
        if abs(feeling) < LEAVE or (self._emotion.state == "happy" and tone.bad_news):
            return "neutral"
        return self._emotion.state

    def _gesticulate(self, tone: _Tone, score: float, sentence: Sentence) -> list[Cue]:
        if self._vetoed or tone.bad_news:
            return []
        if _AGREED.search(tone.text):
            return self._put("nod", "sentiment", char=sentence.start)
        if score >= STRONG and self._sent and _SOLVED.search(tone.text):
            return self._put("thumbs_up", "sentiment", char=sentence.start)
        return []

    # The visitor's message and the end -------------------------------------------------------------------------------
    def _reactions(self) -> list[tuple[CueState, float]]:
        intent = self._reading.intent
        if intent in ("greeting", "farewell"):
            return [(self._moments["greeting" if intent == "greeting" else "farewell"], 1.0)]
        reactions: dict[str, list[tuple[CueState, float]]] = {
            "thanks": [("happy", 0.5), ("nod", 1.0)],
            "confirm": [("nod", 1.0)],
            "complaint": [("concern", 0.6), ("nod", 1.0)],
        }
        found = reactions.get(intent, [])
        return found or ([("concern", 0.5)] if self._vetoed else [])

    def _final_gesture(self, sentiment: Sentiment, solved: bool) -> list[Cue]:
        if self._vetoed or sentiment == "negative" or self._emotion.state in ("concern", "confused"):
            return []
        if sentiment == "positive" and solved:
            return self._put("thumbs_up", "sentiment", char=self.chars)
        return []

    def _final(self, sentiment: Sentiment) -> Animation:
        """Intent before sentiment before idle, and never a smile at a complaint."""
        intent = self._reading.intent
        if intent in ("greeting", "farewell"):
            return shown_as(self._moments[intent])
        if intent == "complaint":
            return "nod"
        if self._gesture.state != "idle" and self._gesture.held_s(self._now) < GESTURE_S.get(self._gesture.state, 1.5):
            return shown_as(self._gesture.state)
        if sentiment == "positive" and not self._vetoed:
            return shown_as(self._moments["positive"])
        if sentiment == "negative" or self._emotion.state == "confused":
            return "confused" if self._moments["negative"] == "concern" else shown_as(self._moments["negative"])
        return "idle" if self._emotion.state == "neutral" else shown_as(self._emotion.state)

    # Tracks ----------------------------------------------------------------------------------------------------------
    @property
    def _now(self) -> float:
        return self._words * SECONDS_PER_WORD

    def _put(
        self, state: CueState, source: CueSource, *, char: int | None, w: float = 1.0, force: bool = False
    ) -> list[Cue]:
        """One cue on the layer of its state, or none when that layer shows it already or may not change yet."""
        layer = LAYERS.get(state, "base")
        if layer == "gesture":
            if not self._may_gesture(state):
                return []
            self._gesture = _Track(state, PRIORITY[source], self._now)
            self._gestures_at[state], self._gesture_sent = self._now, self._sent
        else:
            track = self._base if layer == "base" else self._emotion
            if track.state == state and not force:
                return []
            if layer == "base":
                self._base = _Track(state, PRIORITY[source], self._now)
            else:
                self._emotion = _Track(state, PRIORITY[source], self._now)
        return [self._cue(state, layer, source, w, char)]

    def _may_gesture(self, state: CueState) -> bool:
        last = self._gestures_at.get(state, -1e9)
        spaced = self._now - last >= SAME_GESTURE_S and self._gesture.held_s(self._now) >= ANY_GESTURE_S
        return spaced and self._sent - self._gesture_sent >= SENTENCES_PER_GESTURE

    def _cue(self, state: CueState, layer: CueLayer, source: CueSource, w: float, char: int | None) -> Cue:
        self._cues += 1
        cue: Cue = {"id": f"c{self._cues}", "state": state}
        if state == "confused":
            cue["layer"] = layer  # the one state that lives on two layers
        if w != 1.0:
            cue["w"] = w
        if char is not None:
            cue["at"] = {"char": char, "sent": self._sent}
        if source != "default":
            cue["prio"], cue["src"] = PRIORITY[source], source
        return cue

    def _placed(self, cues: list[Cue]) -> Placed:
        derived = self._derived()
        if derived == self._shown:
            return Placed(cues)
        self._shown = derived
        return Placed(cues, derived)

    def _derived(self) -> Animation:
        """Gesture over emotion over base."""
        if self._gesture.state != "idle" and self._gesture.held_s(self._now) < GESTURE_S.get(self._gesture.state, 1.5):
            return shown_as(self._gesture.state)
        return shown_as(self._base.state if self._emotion.state == "neutral" else self._emotion.state)


def shown_as(state: CueState) -> Animation:
    """The public name of a state."""
    return SHOWN_AS.get(state, state)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class _Tone:
    """A sentence without its citations, and what it says between the lines: searched for once."""

    text: str
    bad_news: bool
    not_known: bool


@dataclass(frozen=True, slots=True)
class _Track:
    """What one layer shows, how strongly it was wanted, and since when."""

    state: CueState
    prio: int = 0
    at_s: float = -1e9

    def held_s(self, now_s: float) -> float:
        return now_s - self.at_s


# Sentences ------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Sentence:
    """A whole sentence; `start` is its first character in UTF-16 units, `code` when it lies in a fenced block."""

    text: str
    start: int
    code: bool


class Sentences:
    """Splits a stream into sentences; where the stream was cut makes no difference."""

    def __init__(self) -> None:
        self.units = 0
        self._pieces: list[str] = []
        self._size = 0
        self._start = 0
        self._held = ""
        self._fenced = False

    def feed(self, text: str) -> list[Sentence]:
        """The sentences that this piece completes."""
        self.units += utf16_length(text)
        if not self._held and self._size + len(text) <= MAX_SENTENCE_CHARS and not _MAY_END.search(text):
            self._pieces.append(text)
            self._size += len(text)
            return []
        return self._split(text)

    def finish(self) -> list[Sentence]:
        """What is left at the end of the text."""
        rest = "".join(self._pieces)
        self._pieces, self._held, self._size = [], "", 0
        return [self._sentence(rest)] if rest.strip() else []

    def _split(self, text: str) -> list[Sentence]:
        """Looks for ends from the sign that stood last before this piece, if one did."""
        found: list[Sentence] = []
        buffer = "".join(self._pieces) + text
        at = self._size - len(self._held)
        while (end := _next_end(buffer, at)) is not None:
            at = end.at
            if end.forced or self._is_end(buffer[:at]):
                found.append(self._sentence(buffer[:at]))
                self._start += utf16_length(buffer[:at])
                buffer, at = buffer[at:], 0
        held = _OPEN_END.search(buffer, at)
        self._held = held.group() if held else ""
        self._pieces, self._size = ([buffer], len(buffer)) if buffer else ([], 0)
        return [sentence for sentence in found if sentence.text.strip()]

    def _is_end(self, head: str) -> bool:
        return head[-1] == "\n" or _ABBREVIATION.search(head[-12:]) is None

    def _sentence(self, text: str) -> Sentence:
        bare = text.lstrip()
        fence = bare.startswith("```")
        if fence:
            self._fenced = not self._fenced
        code = self._fenced or fence
        return Sentence(text, self._start + utf16_length(text[: len(text) - len(bare)]), code)


@dataclass(frozen=True, slots=True)
class _End:
    """Where a sentence may end; `forced` when only its length says so."""

    at: int
    forced: bool


def _next_end(buffer: str, at: int) -> _End | None:
    """The next candidate end after position `at`; an overlong sentence is cut at a blank or at twice the length."""
    match = _END.search(buffer, at)
    end = match.end() if match else len(buffer) + 1
    if min(end, len(buffer)) > MAX_SENTENCE_CHARS:
        cut = buffer.find(" ", max(at, MAX_SENTENCE_CHARS), 2 * MAX_SENTENCE_CHARS)
        cut = cut if cut >= 0 else 2 * MAX_SENTENCE_CHARS
        if cut < min(end, len(buffer)):
            return _End(cut, forced=True)
    return _End(end, forced=False) if match else None
