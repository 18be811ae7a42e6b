"""Chunks fit the encoder, stay under their headings and point into the text."""

from __future__ import annotations

import pytest

from knowledge.chunk import MAX_TOKENS, Chunker, is_asking, is_entry
from knowledge.embed import tokenizer_file
from knowledge.parse.blocks import Builder, Parsed
from knowledge.parse.text import parse_markdown


@pytest.fixture(scope="module")
def chunker() -> Chunker:
    return Chunker(tokenizer_file())


def _sentences(count: int, word: str) -> str:
    return " ".join(f"Sentence number {number} speaks about {word} at some length." for number in range(count))


def test_long_sections_are_cut_and_short_ones_kept_whole(chunker: Chunker) -> None:
    parsed = parse_markdown(f"# A\n\nShort one.\n\n## B\n\n{_sentences(80, 'bread')}\n\n## C\n\nThe end.".encode())
    drafts = chunker.cut(parsed, "Guide")
    assert drafts[0].text == "Short one."
    assert (drafts[0].heading, drafts[0].place) == ("Guide > A", "A")
    assert drafts[-1].text == "The end."
    assert drafts[1].heading == "Guide > A > B"
    assert len(drafts) > 5
    assert max(chunker.count(draft.embedded) for draft in drafts) <= 254
    assert max(chunker.count(draft.text) for draft in drafts) <= MAX_TOKENS
    assert all(parsed.text[draft.char_from : draft.char_to] == draft.text for draft in drafts)
    assert [draft.ordinal for draft in drafts] == list(range(len(drafts)))


def test_split_tables_repeat_their_header(chunker: Chunker) -> None:
    rows = "\n".join(f"| item {number} | a description of item {number} | {number} |" for number in range(60))
    drafts = chunker.cut(parse_markdown(f"# T\n\n| name | what | price |\n|-|-|-|\n{rows}\n".encode()), "T")
    assert len(drafts) > 3
    assert all(draft.text.startswith("name | what | price\n") for draft in drafts)
    assert all(chunker.count(draft.text) <= MAX_TOKENS for draft in drafts)


def test_a_line_without_blanks_becomes_many_chunks(chunker: Chunker) -> None:
    parsed = _one_paragraph("x" * 60_000)
    drafts = chunker.cut(parsed, "")
    assert len(drafts) > 5
    assert "".join(dict.fromkeys(draft.text for draft in drafts))
    assert drafts[-1].char_to == len(parsed.text)


def test_pages_are_places(chunker: Chunker) -> None:
    builder = Builder(pages=2)
    builder.add("paragraph", "On the second page.", 2)
    (draft,) = chunker.cut(builder.finish("Report"), "Report")
    assert (draft.place, draft.page, draft.heading) == ("page 2", 2, "Report")


def test_endless_headings_leave_room_for_the_text(chunker: Chunker) -> None:
    path = "\n\n".join(f"{'#' * level} {'very long heading ' * 12}{level}" for level in range(1, 7))
    drafts = chunker.cut(parse_markdown(f"{path}\n\n{_sentences(30, 'rice')}".encode()), "A long title " * 10)
    assert max(chunker.count(draft.embedded) for draft in drafts) <= 254


def test_the_hash_covers_heading_and_text(chunker: Chunker) -> None:
    first, second = (chunker.cut(_one_paragraph("same words"), title)[0] for title in ("A", "B"))
    assert first.text == second.text
    assert first.sha256 != second.sha256


def _one_paragraph(text: str) -> Parsed:
    builder = Builder()
    builder.add("paragraph", text)
    return builder.finish()


def test_a_question_above_a_section_is_an_entry_to_it(chunker: Chunker) -> None:
    page = b"# Shop\n\n## Returns\n\n### Can I return it?\n\nWithin thirty days.\n\n### Price\n\nNine euros."
    entry, answer, price = chunker.cut(parse_markdown(page), "Shop")
    assert (entry.text, entry.heading, entry.place) == ("Can I return it?", "", answer.place)
    assert is_entry(entry.heading, entry.place, entry.text)
    assert (entry.ordinal + 1, answer.text, price.text) == (answer.ordinal, "Within thirty days.", "Nine euros.")
    assert not any(is_entry(one.heading, one.place, one.text) for one in (answer, price))
    assert entry.embedded == "Can I return it?"
    changed = chunker.cut(parse_markdown(page.replace(b"thirty", b"forty")), "Shop")
    assert changed[0].sha256 == entry.sha256
    assert changed[1].sha256 != answer.sha256


@pytest.mark.parametrize(
    ("heading", "asks"),
    [("Is it free?", True), ("My document stays queued", True), ("Price", False), ("Terms of use", False), ("", False)],
)
def test_which_headings_ask(heading: str, asks: bool) -> None:
    assert is_asking((heading,) if heading else ()) is asks
    assert not is_asking(("word " * 40 + "?",))
