"""The director: golden turns, the same cues however the text was cut, and the rules of dwell and distance."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.bot import BotConfig
from server.chat.cues import (
    ANY_GESTURE_S,
    EMOTION_DWELL_S,
    LAYERS,
    MOMENTS,
    SAME_GESTURE_S,
    SECONDS_PER_WORD,
    Director,
    Moment,
    Sentences,
    shown_as,
    utf16_length,
)
from server.chat.insight import Insight
from server.llm.phrases import PHRASES
from server.protocol import ANIMATIONS, CueState

GOLDEN = json.loads(Path(__file__).with_name("golden_cues.json").read_text(encoding="utf-8"))
INSIGHT = Insight()
PIECES = [
    "Hello there. ",
    "We are happy to help! 😀 ",
    "Unfortunately that is not possible. ",
    "Yes, of course. ",
    "1. Open it.\n",
    "I love this wonderful, great idea! ",
    "It is terrible, awful and sad. ",
    "See e.g. chapter 3.5 of it. ",
    "```\nkill -9\n```\n",
    "配送は三日です。",
    "👩\u200d👩\u200d👧 family ",
    "Great, you are all set and done! ",
    "[1] ",
    "no end ",
    "?! ",
    "…",
    "\n\n",
    "a" * 700,
    " ",
]
QUESTIONS = ["Hello!", "How do I get a refund?", "This is awful!", "thanks", "What is it?", "my card was stolen", "yes"]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=14).map("".join)


def play(question: str, pieces: list[str], *, solved: bool = False) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """All cues of a turn and what its end says."""
    director = Director(INSIGHT.read(question), INSIGHT.feeling)
    began = director.begin()
    cues: list[Any] = list(began.cues)
    short = [began.animation]
    for piece in pieces:
        placed = director.feed(piece)
        cues += placed.cues
        if placed.animation is not None:
            short.append(placed.animation)
    closing = director.finish(solved=solved)
    return cues + closing.cues, {
        "short": short,
        "animation": closing.animation,
        "sentiment": closing.sentiment,
        "score": closing.score,
        "chars": director.chars,
    }


def cut(text: str, sizes: list[int]) -> list[str]:
    pieces, at = [], 0
    for size in sizes:
        pieces.append(text[at : at + size])
        at += size
    return [piece for piece in [*pieces, text[at:]] if piece]


@pytest.mark.parametrize("turn", GOLDEN, ids=lambda turn: turn["name"])
def test_golden_turns(turn: dict[str, Any]) -> None:
    cues, end = play(
        turn["visitor"], [turn["answer"][at : at + 5] for at in range(0, len(turn["answer"]), 5)], solved=turn["solved"]
    )
    assert {"cues": cues, "end": end} == {"cues": turn["cues"], "end": turn["end"]}


def test_the_golden_turns_cover_the_source_designs_cases() -> None:
    names = {turn["name"] for turn in GOLDEN}
    assert names >= {"greeting", "complaint", "refund steps", "question", "thanks", "farewell"}


@settings(max_examples=60, deadline=None)
@given(TEXTS, st.lists(st.integers(1, 40), max_size=60), st.sampled_from(QUESTIONS))
def test_any_chunking_gives_the_same_cues(text: str, sizes: list[int], question: str) -> None:
    whole, end = play(question, [text] if text else [])
    parts, end_of_parts = play(question, cut(text, sizes))
    letters, end_of_letters = play(question, list(text))
    assert parts == whole == letters
    for other in (end_of_parts, end_of_letters):
        assert {**other, "short": None} == {**end, "short": None}


@settings(max_examples=60, deadline=None)
@given(TEXTS, st.sampled_from(QUESTIONS))
def test_anchors_rise_and_point_into_the_text(text: str, question: str) -> None:
    cues, end = play(question, list(text))
    anchors = [cue["at"]["char"] for cue in cues if "at" in cue]
    units = len(text.encode("utf-16-le")) // 2
    assert anchors == sorted(anchors)
    assert all(0 <= char <= units for char in anchors)
    assert end["chars"] == units
    assert len({cue["id"] for cue in cues}) == len(cues)


@settings(max_examples=60, deadline=None)
@given(TEXTS, st.sampled_from(QUESTIONS))
def test_dwell_and_distance(text: str, question: str) -> None:
    cues, _ = play(question, [text])
    emotions = [(seconds(text, cue), cue["state"]) for cue in cues if layer(cue) == "emotion"]
    gestures = [(seconds(text, cue), cue["state"]) for cue in cues if layer(cue) == "gesture"]
    for (before, was), (after, now) in pairwise(emotions):
        assert after - before >= EMOTION_DWELL_S - 1e-6
        assert was != now
    for (before, was), (after, now) in pairwise(gestures):
        assert after - before >= ANY_GESTURE_S - 1e-6
        assert was != now or after - before >= SAME_GESTURE_S - 1e-6


@settings(max_examples=40, deadline=None)
@given(TEXTS, st.sampled_from(["This is awful, I am furious!", "my card was stolen"]))
def test_nobody_smiles_at_a_complaint(text: str, question: str) -> None:
    cues, end = play(question, [text], solved=True)
    assert not {"happy", "thumbs_up"} & {cue["state"] for cue in cues}
    assert end["animation"] not in ("happy", "thumbs_up")
    assert not {"happy", "thumbs_up"} & set(end["short"])


def test_bad_news_is_never_smiled_at() -> None:
    cues, _ = play("What about my order?", ["Unfortunately your wonderful, great, lovely order was lost."])
    assert "happy" not in {cue["state"] for cue in cues}


@pytest.mark.parametrize("language", PHRASES)
def test_not_knowing_looks_confused_in_every_language(language: str) -> None:
    reading = replace(INSIGHT.read("?"), language=language)
    director = Director(reading, INSIGHT.feeling)
    director.begin()
    director.feed(PHRASES[language].nothing_found)
    closing = director.finish()
    assert closing.animation == "confused"
    assert "happy" not in {cue["state"] for cue in closing.cues}


def test_characters_are_utf16_units() -> None:
    cues, _ = play("What is it?", ["🧭🧭🧭 The place. ", "It is awful, terrible, horrible! "])
    concern = next(cue for cue in cues if cue["state"] == "concern")
    assert concern["at"]["char"] == 6 + len(" The place. ")
    assert utf16_length("a😀") == 3


def test_a_stop_cancels_everything_and_listens() -> None:
    director = Director(INSIGHT.read("What?"), INSIGHT.feeling)
    director.begin()
    director.feed("One. Two")
    closing = director.cancel()
    assert closing.animation == "idle"
    assert closing.cues == [{"cancel": "*"}, {"id": "c3", "state": "listening"}]
    assert director.chars == 8


def test_a_failure_looks_confused() -> None:
    director = Director(INSIGHT.read("What?"), INSIGHT.feeling)
    director.begin()
    placed = director.fail()
    assert placed.animation == "confused"
    assert [cue["state"] for cue in placed.cues] == ["confused", "idle"]


def test_the_bots_own_animations_win() -> None:
    config = BotConfig(animations={"greeting": "nod", "positive": "thumbs_up", "neutral": "talk_explain"})
    director = Director(INSIGHT.read("Hello!"), INSIGHT.feeling, config.animations)
    assert director.begin().animation == "nod"
    states = [cue["state"] for cue in director.feed("Hi. ").cues]
    assert states == ["talk_explain"]


def test_every_moment_and_every_animation_has_its_rule() -> None:
    assert set(MOMENTS) == set(get_args(Moment))
    assert set(ANIMATIONS) <= set(LAYERS)
    assert {shown_as(state) for state in get_args(CueState) if state in LAYERS} <= set(ANIMATIONS)


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Dr. No came at 3.5 p.m. to us. He left.", ["Dr. No came at 3.5 p.m. to us.", " He left."]),
        ("1. Open it.\n2. Close it.\n", ["1. Open it.", "2. Close it."]),
        ('He said "Stop." Then he went.', ['He said "Stop."', " Then he went."]),
        ("三日です。はい。", ["三日です。", "はい。"]),
        ("No end", ["No end"]),
    ],
)
def test_sentences(text: str, sentences: list[str]) -> None:
    splitter = Sentences()
    found = [sentence for letter in text for sentence in splitter.feed(letter)] + splitter.finish()
    assert [sentence.text.strip("\n") for sentence in found] == sentences


def test_an_endless_sentence_costs_no_more_than_its_length() -> None:
    director = Director(INSIGHT.read("What?"), INSIGHT.feeling)
    begun = time.process_time()
    for _ in range(40_000):
        director.feed("ab.c")
    assert director.chars == 160_000
    assert time.process_time() - begun < 20  # quadratic work would take minutes


def layer(cue: dict[str, Any]) -> str:
    return str(cue.get("layer", LAYERS.get(cue["state"], "base")))


def seconds(text: str, cue: dict[str, Any]) -> float:
    """When a cue plays, by the words of the sentences before it: what the director itself counts."""
    splitter = Sentences()
    words = 0
    for index, sentence in enumerate(
        sentence for sentence in [*splitter.feed(text), *splitter.finish()] if sentence.text.replace("[1]", "").strip()
    ):
        if index >= cue.get("at", {"sent": 0})["sent"]:
            break
        words += len(sentence.text.replace("[1]", "").split())
    return words * SECONDS_PER_WORD
