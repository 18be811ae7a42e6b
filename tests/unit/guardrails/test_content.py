"""What may not leave, however it is cut."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.guardrails.content import MAX_HELD_CHARS, REMOVED, SecretFilter, Stage, hold_back, new_canary
from server.guardrails.pii import Masker

CANARY = "pcn-0123456789abcdef"
KEY = "sk-" + "Ab3" * 10


def through(pieces: list[str]) -> tuple[str, SecretFilter]:
    stage = SecretFilter(CANARY)
    shown = [stage.feed(piece) for piece in pieces]
    return "".join([*shown, stage.finish()]), stage


CASES = [
    ("Nothing special here.", "Nothing special here."),
    (f"The key is {KEY}, keep it.", f"The key is {REMOVED}, keep it."),
    (f"At the end {KEY}", f"At the end {REMOVED}"),
    ("A risk-averse ask-me sk-short end", "A risk-averse ask-me sk-short end"),
    ("AKIAIOSFODNN7EXAMPLEXX", REMOVED),
    ("A sentence ends with s", "A sentence ends with s"),
    (f"x{KEY}", f"x{KEY}"),
]


@pytest.mark.parametrize(("text", "shown"), CASES)
def test_keys_are_removed(text: str, shown: str) -> None:
    assert through([text])[0] == shown
    assert through(list(text))[0] == shown


@pytest.mark.parametrize("canary", [CANARY, CANARY.upper()])
def test_the_canary_ends_the_answer(canary: str) -> None:
    for pieces in ([f"My rules: {canary} and more"], list(f"My rules: {canary} and more")):
        shown, stage = through(pieces)
        assert stage.stopped
        assert shown.startswith("My rules: ")
        assert "more" not in shown
        assert CANARY not in shown.lower()


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from([KEY, "sk-", "s", "k-", " ", "word", "AKIA", "_", "eyJ", "9", "\n", "😀", "pcn-"]), max_size=12
    ),
    st.data(),
)
def test_any_chunking_gives_the_same_text(parts: list[str], data: st.DataObject) -> None:
    text = "".join(parts)
    pieces, at = [], 0
    while at < len(text):
        size = data.draw(st.integers(1, 9))
        pieces.append(text[at : at + size])
        at += size
    assert through(pieces)[0] == through([text])[0]


def test_a_run_without_end_is_not_held_for_ever() -> None:
    stage = SecretFilter(CANARY)
    shown = "".join(stage.feed("sk-" if at == 0 else "aaaa") for at in range(600))
    assert REMOVED in shown
    assert len(stage.finish()) <= MAX_HELD_CHARS


def test_canaries_differ() -> None:
    assert new_canary() != new_canary()


async def texts(*pieces: str, closed: list[bool] | None = None) -> AsyncGenerator[str, None]:
    try:
        for piece in pieces:
            yield piece
    finally:
        if closed is not None:
            closed.append(True)


async def test_stages_work_one_after_the_other() -> None:
    masker = Masker()
    assert masker.mask("me@example.com") == "[EMAIL_1]"
    stages: list[Stage] = [SecretFilter(CANARY), masker.restorer()]
    shown = [text async for text in hold_back(texts("Write to [EM", "AIL_1] ", "s", "oon [EMAIL_2] [EMAIL"), stages)]
    assert "".join(shown) == "Write to me@example.com soon [EMAIL_2] [EMAIL"


async def test_a_stopped_stage_closes_the_source() -> None:
    closed: list[bool] = []
    shown = [text async for text in hold_back(texts("a ", CANARY + " ", "b", closed=closed), [SecretFilter(CANARY)])]
    assert shown == ["a "]
    assert closed == [True]
