"""Fusion, floors and thinning, on values alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from knowledge.rank import Candidate, Judged, choose, entered, fuse, judge, strength, through_entries
from knowledge.records import StoredChunk
from knowledge.store.contract import Hit, Legs


def _chunk(name: str, heading: str = "") -> StoredChunk:
    return StoredChunk(
        id=name, document_id="d", title="T", ordinal=0, text=f"text {name}", heading=heading or name, place="", page=None,
        char_from=0, char_to=1, language="en",
    )  # fmt: skip


def _judged(name: str, cosine: float | None, coverage: float, words: set[int], heading: str = "") -> Judged:
    return Judged(Candidate(name, 1.0, cosine), _chunk(name, heading), coverage, frozenset(words))


def test_fusion_prefers_what_both_legs_found() -> None:
    legs = Legs(
        (Hit("a", "d", 0.6), Hit("b", "d", 0.5), Hit("c", "d", 0.1)),
        (Hit("b", "d", 9.0), Hit("d", "d", 3.0), Hit("e", "d", 1.0)),
    )
    fused = fuse(legs)
    assert fused[0].id == "b"
    assert {candidate.id: candidate.cosine for candidate in fused}["d"] is None
    assert fuse(Legs()) == []


def test_a_leg_without_spread_counts_evenly() -> None:
    assert [candidate.score for candidate in fuse(Legs((Hit("a", "d", 0.7),), ()))] == [0.5]


def test_judging_drops_what_the_database_does_not_know() -> None:
    judged = judge([Candidate("a", 1), Candidate("gone", 1)], {"a": _chunk("a")}, {1, 2}, lambda _chunk: {2, 3})
    assert [(one.chunk.id, one.coverage) for one in judged] == [("a", 0.5)]


@pytest.mark.parametrize(
    ("cosine", "coverage", "terms", "dense", "kept"),
    [
        (0.6, 0.0, 4, True, True),
        (0.35, 0.5, 4, True, True),
        (0.35, 0.2, 4, True, False),
        (0.2, 1.0, 4, True, True),
        (0.2, 1.0, 1, True, False),
        (0.26, 1.0, 1, True, True),
        (0.2, 1.0, 2, True, True),
        (0.9, 1.0, 0, True, True),
        (0.05, 1.0, 4, True, False),
        (None, 1.0, 1, False, True),
        (None, 0.5, 4, False, True),
        (None, 0.5, 2, False, False),
    ],
)
def test_the_floor(cosine: float | None, coverage: float, terms: int, dense: bool, kept: bool) -> None:
    found = choose([_judged("a", cosine, coverage, {1})], terms=terms, dense=dense, limit=5)
    assert bool(found) is kept


def test_one_passage_for_a_section_and_none_twice() -> None:
    judged = [
        _judged("a", 0.8, 1.0, {1, 2, 3, 4}, "one"),
        _judged("b", 0.7, 1.0, {7, 8, 9}, "one"),
        _judged("c", 0.7, 1.0, {1, 2, 3, 4}, "two"),
        _judged("d", 0.7, 1.0, {5, 6}, "three"),
    ]
    assert [found.chunk_id for found in choose(judged, terms=2, dense=True, limit=5)] == ["a", "d"]


def test_the_far_behind_are_left_out() -> None:
    strong, weak = _judged("a", 0.95, 1.0, {1}), _judged("b", 0.46, 0.0, {2})
    weak = Judged(Candidate("b", 0.1, 0.46), weak.chunk, 0.0, weak.words)
    assert strength(weak) < strength(strong)
    assert [found.chunk_id for found in choose([weak, strong], terms=2, dense=True, limit=5)] == ["a"]


def test_an_entry_lends_its_nearness_to_the_passage_after_it_and_is_never_shown() -> None:
    passage = replace(_chunk("answer", "T > Is it free?"), ordinal=4)
    entry = replace(_chunk("entry"), heading="", text="Is it free?", place="FAQ > Is it free?", ordinal=3)
    near = Judged(Candidate("entry", 2.0, 0.9), entry, 1.0, frozenset({1}))
    own = Judged(Candidate("answer", 1.0, 0.3), passage, 0.5, frozenset({1, 2}))
    (lent,) = through_entries([near, own])
    assert lent.candidate == Candidate("answer", 2.0, 0.9)
    assert [found.chunk_id for found in choose([near, own], terms=2, dense=True, limit=5)] == ["answer"]
    assert choose([near], terms=2, dense=True, limit=5) == []
    assert entered([entry, passage]) == {("d", 4)}
    far = replace(near, candidate=Candidate("entry", 2.0, 0.4))
    assert through_entries([far, own]) == [own]
