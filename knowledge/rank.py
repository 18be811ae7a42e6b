"""From what two legs found to the few passages worth citing: fusion, floor, one per section, no repetitions.

Pure functions over values; the floors were calibrated on our handbook against everyday questions that it does not
answer (tests/evals), since an answer that cites for decoration is worse than none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from knowledge.chunk import is_entry
from knowledge.records import StoredChunk
from knowledge.store.contract import Hit, Legs

# A cosine that speaks for itself; one that needs half of the question's words beside it; one that needs nearly all of
# them, the fewer they are the closer.
SURE_COSINE = 0.45
LIKELY_COSINE = 0.30
SHARED_WORDS = 0.5
WORDS_ALONE = 0.75
# Two questions are nearer to each other than a question to its answer: an entry that is less alike speaks for nothing.
ENTRY_COSINE = 0.45
# By how many words the question has: none can be shared by chance, one easily.
POSSIBLE_COSINE = (1.0, 0.25, 0.20, 0.15)
# How much the order of the two legs counts beside the passage's own closeness, and there the cosine beside the words.
ORDER_SHARE = 0.3
COSINE_SHARE = 0.7
# Weaker than this share of the best one, a passage adds noise to the prompt and nothing to the answer.
NEAR_BEST = 0.55
# Two passages that share this much of their words say the same.
SAME_WORDS = 0.8


@dataclass(frozen=True, slots=True)
class Candidate:
    """A chunk that at least one leg found; `score` is the fused one, `cosine` None when the dense leg was silent."""

    id: str
    score: float
    cosine: float | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A passage to cite: where it stands, what it says, and how well it fits (0 to 1)."""

    chunk_id: str
    document_id: str
    title: str
    place: str
    page: int | None
    text: str
    score: float
    char_from: int
    char_to: int


@dataclass(frozen=True, slots=True)
class Judged:
    """A candidate with its text: `coverage` is the share of the question's words that it holds."""

    candidate: Candidate
    chunk: StoredChunk
    coverage: float
    words: frozenset[int]


def fuse(legs: Legs) -> list[Candidate]:
    """Distribution-based score fusion: each leg scaled by its own mean and spread, then added; best first."""
    totals: dict[str, float] = {}
    for leg in (legs.dense, legs.words):
        for hit, score in zip(leg, _scaled(leg), strict=True):
            totals[hit.id] = totals.get(hit.id, 0.0) + score
    cosines = {hit.id: hit.score for hit in legs.dense}
    fused = [Candidate(id_, score, cosines.get(id_)) for id_, score in totals.items()]
    return sorted(fused, key=lambda candidate: -candidate.score)


def _scaled(leg: Sequence[Hit]) -> list[float]:
    """Scores between the leg's mean minus and plus three deviations, as 0 to 1; a leg without spread says 0.5."""
    if not leg:
        return []
    mean = sum(hit.score for hit in leg) / len(leg)
    spread = math.sqrt(sum((hit.score - mean) ** 2 for hit in leg) / max(len(leg) - 1, 1))
    if spread < 1e-9:
        return [0.5] * len(leg)
    return [min(max((hit.score - mean + 3 * spread) / (6 * spread), 0.0), 1.0) for hit in leg]


def judge(
    candidates: Iterable[Candidate],
    chunks: Mapping[str, StoredChunk],
    asked: Collection[int],
    terms_of: Callable[[StoredChunk], Collection[int]],
) -> list[Judged]:
    """Candidates with their texts and their share of the asked terms, without those that the database does not know."""
    judged = []
    for candidate in candidates:
        chunk = chunks.get(candidate.id)
        if chunk is not None:
            words = frozenset(terms_of(chunk))
            coverage = len(words & set(asked)) / len(asked) if asked else 0.0
            judged.append(Judged(candidate, chunk, coverage, words))
    return judged


def entered(chunks: Iterable[StoredChunk]) -> set[tuple[str, int]]:
    """Document and ordinal of the passages that the entries among some chunks lead to."""
    return {(chunk.document_id, chunk.ordinal + 1) for chunk in chunks if _is_entry(chunk)}


def through_entries(judged: Iterable[Judged]) -> list[Judged]:
    """The passages alone: each as near to the question as its own text or the entry that leads to it, if that is nearer.

    An entry whose passage is not among them is left out: it has no text to show.
    """
    ways: dict[tuple[str, int], Candidate] = {}
    passages = []
    for one in judged:
        if _is_entry(one.chunk):
            ways[(one.chunk.document_id, one.chunk.ordinal + 1)] = one.candidate
        else:
            passages.append(one)
    return [_nearer(one, ways.get((one.chunk.document_id, one.chunk.ordinal))) for one in passages]


def _nearer(one: Judged, way: Candidate | None) -> Judged:
    if way is None or (way.cosine or 0.0) < ENTRY_COSINE:
        return one
    own = one.candidate
    cosines = [cosine for cosine in (own.cosine, way.cosine) if cosine is not None]
    score = max(own.score, way.score)
    return replace(one, candidate=Candidate(own.id, score, max(cosines, default=None)))


def _is_entry(chunk: StoredChunk) -> bool:
    return is_entry(chunk.heading, chunk.place, chunk.text)


def is_answerable(one: Judged, terms: int, dense: bool) -> bool:
    """Whether a passage is about the question at all; without the dense leg only its words can say so."""
    cosine = one.candidate.cosine
    if not dense or cosine is None:
        # One shared word out of many is chance; the only content word of a question is not.
        return one.coverage >= WORDS_ALONE or (not dense and one.coverage >= SHARED_WORDS and one.coverage * terms >= 2)
    if cosine >= SURE_COSINE or (cosine >= LIKELY_COSINE and one.coverage >= SHARED_WORDS):
        return True
    return one.coverage >= WORDS_ALONE and cosine >= POSSIBLE_COSINE[min(terms, len(POSSIBLE_COSINE) - 1)]


def choose(judged: Sequence[Judged], *, terms: int, dense: bool, limit: int) -> list[Found]:
    """The passages to cite, best first: at most one per section, none that repeats another, none that is far behind."""
    kept: list[Judged] = []
    sections: set[tuple[str, str]] = set()
    for one in sorted(through_entries(judged), key=lambda each: -strength(each)):
        section = (one.chunk.document_id, one.chunk.heading)
        if not is_answerable(one, terms, dense) or section in sections or _repeats(one, kept):
            continue
        if kept and strength(one) < NEAR_BEST * strength(kept[0]):
            break
        sections.add(section)
        kept.append(one)
        if len(kept) == limit:
            break
    return [_found(one) for one in kept]


def strength(one: Judged) -> float:
    """How well a passage fits, 0 to 1: by the fused order, its own cosine and its share of the question's words."""
    own = COSINE_SHARE * max(one.candidate.cosine or 0.0, 0.0) + (1 - COSINE_SHARE) * one.coverage
    return ORDER_SHARE * min(one.candidate.score / 2, 1.0) + (1 - ORDER_SHARE) * own


def _repeats(one: Judged, kept: Iterable[Judged]) -> bool:
    for other in kept:
        together = len(one.words | other.words)
        if together and len(one.words & other.words) / together >= SAME_WORDS:
            return True
    return False


def _found(one: Judged) -> Found:
    chunk = one.chunk
    return Found(
        chunk_id=chunk.id,
        document_id=chunk.document_id,
        title=chunk.title,
        place=chunk.place,
        page=chunk.page,
        text=chunk.text,
        score=round(strength(one), 4),
        char_from=chunk.char_from,
        char_to=chunk.char_to,
    )
