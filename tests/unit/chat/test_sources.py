"""Citations: markers over the borders of chunks, numbers without a passage, code, quotes and handles."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.chat.sources import MAX_QUOTE_CHARS, Citable, Markers, best_quote, citables, handle_of, passages
from server.ids import ConversationId

SOURCES = (
    Citable(1, "Refunds", "Orders > Refunds", "Within 30 days.", "doc_1", "c1"),
    Citable(2, "Shipping", "", "", "doc_2", "c2", 4),
)


@dataclass(frozen=True)
class Hit:
    chunk_id: str
    document_id: str = "doc_1"
    title: str = "Refunds"
    place: str = "Orders > Refunds"
    page: int | None = None
    text: str = "You can send it back. The refund takes five days to arrive. Thanks."
    score: float = 0.5


def through(pieces: list[str]) -> tuple[str, list[int]]:
    markers = Markers(SOURCES)
    texts, cited = [], []
    for piece in pieces:
        text, fresh = markers.feed(piece)
        texts.append(text)
        cited += [source.n for source in fresh]
    text, fresh = markers.finish()
    return "".join([*texts, text]), cited + [source.n for source in fresh]


CASES = [
    ("Thirty days [1]. Free [2].", "Thirty days [1]. Free [2].", [1, 2]),
    ("Again [1] and [1].", "Again [1] and [1].", [1]),
    ("Unknown [7]. Next", "Unknown. Next", []),
    ("Both [1, 2] and [2,9].", "Both [1][2] and [2].", [1, 2]),
    ("Wide 【1†source】.", "Wide [1].", [1]),
    ("Attached[1]", "Attached[1]", [1]),
    ("Code `a[9]` and [2]", "Code `a[9]` and [1]", [1]),
    ("First [2], then [1], again [2].", "First [1], then [2], again [1].", [1, 2]),
    ("```\nx[7]\n```\nthen [7] [1]", "```\nx[7]\n```\nthen [1]", [1]),
    ("An open ` tick\n[9] [1]", "An open ` tick\n [1]", [1]),
    ("Mail [EMAIL_1] and [a] and [", "Mail [EMAIL_1] and [a] and [", []),
    ("No marker [1", "No marker [1", []),
    ("Blank at the end ", "Blank at the end ", []),
    ("[123] years", "[123] years", []),
]


@pytest.mark.parametrize(("text", "shown", "cited"), CASES)
def test_markers(text: str, shown: str, cited: list[int]) -> None:
    assert through([text]) == (shown, cited)
    assert through(list(text)) == (shown, cited)


@given(
    st.lists(
        st.sampled_from(["[1]", "[2", "]", "[", " ", "`", "```", "\n", "9", "word", "【1", "】", ", 2", "😀"]),
        max_size=20,
    ),
    st.data(),
)
def test_any_chunking_gives_the_same_text_and_citations(parts: list[str], data: st.DataObject) -> None:
    text = "".join(parts)
    pieces, at = [], 0
    while at < len(text):
        size = data.draw(st.integers(1, 6))
        pieces.append(text[at : at + size])
        at += size
    assert through(pieces) == through([text])


def test_little_is_kept_back() -> None:
    markers = Markers(SOURCES)
    shown = "".join(markers.feed(letter)[0] for letter in "[" + "1" * 400)
    assert len(shown) > 370


def test_quotes_are_the_nearest_sentence_and_short() -> None:
    (source,) = citables([Hit("c1")], "When does my refund arrive?")
    assert source.quote == "The refund takes five days to arrive."
    assert len(best_quote("word " * 400, "word")) <= MAX_QUOTE_CHARS
    assert best_quote("", "x") == ""


def test_passages_are_cut_for_the_model() -> None:
    (passage,) = passages([Hit("c1")], 10)
    assert (passage.n, passage.text) == (1, "You can se")


def test_handles_differ_between_conversations_only() -> None:
    one, other = ConversationId("conv_1"), ConversationId("conv_2")
    assert handle_of(one, "c1") == handle_of(one, "c1")
    assert len({handle_of(one, "c1"), handle_of(other, "c1"), handle_of(one, "c2")}) == 3
    told = SOURCES[1].citation(one)
    assert "doc_2" not in str(told)
    assert SOURCES[1].stored(one) == {**told, "documentId": "doc_2", "chunkId": "c2", "page": 4}
