"""The pure parts of indexing."""

from __future__ import annotations

import pytest

from knowledge.chunk import Draft
from knowledge.embed import About
from knowledge.store import Stats
from server.jobs.ingest import KINDS, _batches, _keys, is_behind, point_id
from server.storage.queues import pack, unpack

ABOUT = About("f", 384, 256, frozenset({"en"}))


def _draft(sha256: str) -> Draft:
    return Draft(
        ordinal=0, text="", heading="", place="", page=None, char_from=0, char_to=0, language="en", sha256=sha256
    )


def test_equal_texts_have_keys_of_their_own_and_keep_them() -> None:
    first = list(_keys("doc", [_draft("a"), _draft("b"), _draft("a")]))
    second = list(_keys("doc", [_draft("b"), _draft("a"), _draft("a")]))
    assert len(set(first)) == 3
    assert set(first) == set(second)
    assert not set(first) & set(_keys("other", [_draft("a")]))


def test_a_text_that_comes_back_is_a_new_point() -> None:
    assert point_id("key", 1) == point_id("key", 1)
    assert point_id("key", 1) != point_id("key", 2)


@pytest.mark.parametrize(
    ("stats", "chunks", "behind"),
    [
        (Stats(), 0, False),
        (Stats(), 3, True),
        (Stats(3, 1, "f"), 3, False),
        (Stats(3, 1, "g"), 3, True),
        (Stats(2, 1, "f"), 3, True),
        (Stats(3, -1, "f"), 3, True),
    ],
)
def test_when_an_index_is_behind(stats: Stats, chunks: int, behind: bool) -> None:
    assert is_behind(stats, ABOUT, chunks) is behind


def test_batches() -> None:
    assert [list(batch) for batch in _batches([1, 2, 3, 4, 5], 2)] == [[1, 2], [3, 4], [5]]
    assert list(_batches([], 2)) == []


def test_the_queue_speaks_messagepack() -> None:
    assert unpack(pack({"a": ("ten", 1, b"x")})) == {"a": ["ten", 1, b"x"]}


def test_every_kind_of_work_has_a_row() -> None:
    assert set(KINDS) == {"ingest", "remove", "rebuild"}
