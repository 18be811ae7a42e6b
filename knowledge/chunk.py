"""Documents to chunks: pieces small enough for the encoder, each under the headings it stands below.

A chunk holds at most 200 tokens of the encoder's own tokenizer, since a model cuts silently what is longer than its
window. It never crosses a heading; a table or a listing is kept whole where it fits, and a split table repeats its
header. "title > section > heading" is part of what is embedded and hashed.

A section under a question is a question-and-answer pair with two vectors: one of its text, and one of the question
alone, which is what visitors type. The second is an entry: a chunk without a heading, whose text is the question and
whose passage is the chunk after it. Searching shows that one, never the entry.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from semantic_text_splitter import TextSplitter
from tokenizers import Tokenizer

from knowledge.language import detect
from knowledge.parse.blocks import Block, Parsed

MIN_TOKENS = 120
MAX_TOKENS = 200
OVERLAP_TOKENS = 30
PREFIX_TOKENS = 48
# The splitter looks at a text as a whole: a line of megabytes is cut before, where a blank is near.
PIECE_CHARS = 8000
MAX_CHUNKS = 40_000
SEPARATOR = " > "
# A heading that a visitor might have asked: it becomes a way in of its own to the section below it.
MIN_ASKING_WORDS = 4
MAX_ASKING_WORDS = 24


class TooManyChunks(Exception):
    """The document is too long to index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A chunk before it is stored; `sha256` covers prefix and text, and is the embedding's name."""

    ordinal: int
    text: str
    heading: str
    place: str
    page: int | None
    char_from: int
    char_to: int
    language: str
    sha256: str

    @property
    def embedded(self) -> str:
        """What the encoder and the word index read."""
        return f"{self.heading}\n{self.text}" if self.heading else self.text


@dataclass(frozen=True, slots=True)
class _Unit:
    """A piece that is not cut further; `tokens` is its length."""

    text: str
    tokens: int
    page: int | None
    char_from: int
    char_to: int


class Chunker:
    """Cuts with one tokenizer; make it once."""

    def __init__(self, tokenizer: Path) -> None:
        self._tokens = Tokenizer.from_file(str(tokenizer))
        self._tokens.no_truncation()
        self._tokens.no_padding()
        self._splitter = TextSplitter.from_huggingface_tokenizer(
            self._tokens, (MIN_TOKENS, MAX_TOKENS), overlap=OVERLAP_TOKENS
        )

    def cut(self, document: Parsed, title: str) -> list[Draft]:
        """The chunks of a document in order; raises TooManyChunks."""
        language = detect(document.text)
        drafts: list[Draft] = []
        for path, group in groupby(document.blocks, key=lambda block: block.heading_path):
            blocks = [block for block in group if block.kind != "heading"]
            prefix = self._prefix(title, path)
            units = list(self._pack(self._units(blocks)))
            if units and prefix and is_asking(path):
                drafts.append(_entry(units[0], len(drafts), path[-1], _place(title, path, units[0]), language))
            for unit in units:
                drafts.append(_draft(unit, len(drafts), prefix, _place(title, path, unit), language))
            if len(drafts) > MAX_CHUNKS:
                raise TooManyChunks(f"This document is too long: it gives more than {MAX_CHUNKS:,} passages. Split it.")
        return drafts

    def count(self, text: str) -> int:
        """Length in tokens."""
        return len(self._tokens.encode(text, add_special_tokens=False).ids)

    def _prefix(self, title: str, path: tuple[str, ...]) -> str:
        """Title and headings within their share of the window: the middle goes first, the last heading never."""
        names = [title, *(name for name in path if name != title)] if title else list(path)
        while len(names) > 2 and self.count(SEPARATOR.join(names)) > PREFIX_TOKENS:
            del names[len(names) // 2]
        prefix = SEPARATOR.join(names)
        if self.count(prefix) > PREFIX_TOKENS:
            prefix = prefix[: self._tokens.encode(prefix, add_special_tokens=False).offsets[PREFIX_TOKENS - 1][1]]
        return prefix

    def _units(self, blocks: Iterable[Block]) -> Iterator[_Unit]:
        for block in blocks:
            tokens = self.count(block.text) if len(block.text) <= PIECE_CHARS else MAX_TOKENS + 1
            if tokens <= MAX_TOKENS:
                yield _Unit(block.text, tokens, block.page, block.char_from, block.char_to)
            elif block.kind == "table":
                yield from self._cut_lines(block, block.text.split("\n", 1)[0])
            elif block.kind == "code":
                yield from self._cut_lines(block, "")
            else:
                yield from self._cut_text(block.text, block.page, block.char_from)

    def _cut_text(self, text: str, page: int | None, start: int) -> Iterator[_Unit]:
        for at, piece in _pieces(text):
            for offset, part in self._splitter.chunk_indices(piece):
                begin = start + at + offset
                yield _Unit(part, MAX_TOKENS, page, begin, begin + len(part))

    def _cut_lines(self, block: Block, header: str) -> Iterator[_Unit]:
        """Rows or lines packed up to the limit, each piece under the header; a row that is too long is cut as text."""
        room = MAX_TOKENS - self.count(header) - 1 if header else MAX_TOKENS
        if room < MIN_TOKENS // 2:
            header, room = "", MAX_TOKENS
        packed = _packed(self._lines(block, header, room), room, "\n")
        for unit in packed:
            text = f"{header}\n{unit.text}" if header else unit.text
            yield _Unit(text, MAX_TOKENS, unit.page, unit.char_from, unit.char_to)

    def _lines(self, block: Block, header: str, room: int) -> Iterator[_Unit]:
        at = block.char_from
        for number, line in enumerate(block.text.split("\n")):
            tokens = self.count(line) + 1 if len(line) <= PIECE_CHARS else room + 1
            if tokens > room:
                yield from self._cut_text(line, block.page, at)
            elif number > 0 or not header:
                yield _Unit(line, tokens, block.page, at, at + len(line))
            at += len(line) + 1

    def _pack(self, units: Iterable[_Unit]) -> Iterator[_Unit]:
        return _packed(units, MAX_TOKENS, "\n\n")


def _packed(units: Iterable[_Unit], room: int, joint: str) -> Iterator[_Unit]:
    """Neighbours joined while they fit."""
    held: list[_Unit] = []
    size = 0
    for unit in units:
        if held and size + unit.tokens > room:
            yield _joined(held, joint)
            held, size = [], 0
        held.append(unit)
        size += unit.tokens
    if held:
        yield _joined(held, joint)


def _joined(units: list[_Unit], joint: str) -> _Unit:
    text = joint.join(unit.text for unit in units)
    return _Unit(text, sum(unit.tokens for unit in units), units[0].page, units[0].char_from, units[-1].char_to)


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """A long text in pieces with their positions, cut at blanks where there are any."""
    at = 0
    while at < len(text):
        end = at + PIECE_CHARS
        if end < len(text):
            blank = text.rfind(" ", at + PIECE_CHARS // 2, end)
            end = blank if blank > 0 else end
        yield at, text[at:end]
        at = end


def _place(title: str, path: tuple[str, ...], unit: _Unit) -> str:
    """What a citation shows beside the title."""
    names = [name for name in path if name != title]
    if names:
        return SEPARATOR.join(names[-2:])
    return f"page {unit.page}" if unit.page is not None else ""


def is_asking(path: tuple[str, ...]) -> bool:
    """Whether the last heading reads like something a visitor would type: a question, or nearly a sentence."""
    words = len(path[-1].split()) if path else 0
    return words <= MAX_ASKING_WORDS and (
        words >= MIN_ASKING_WORDS or bool(path and path[-1].endswith(("?", "\uff1f")))
    )


def is_entry(heading: str, place: str, text: str) -> bool:
    """Whether a stored chunk is the question above a section: the chunk after it is the passage."""
    return not heading and bool(text) and place.endswith(text)


def _entry(unit: _Unit, ordinal: int, question: str, place: str, language: str) -> Draft:
    asked = _Unit(question, 0, unit.page, unit.char_from, unit.char_from)
    return _draft(asked, ordinal, "", place, language)


def _draft(unit: _Unit, ordinal: int, prefix: str, place: str, language: str) -> Draft:
    return Draft(
        ordinal=ordinal,
        text=unit.text,
        heading=prefix,
        place=place,
        page=unit.page,
        char_from=unit.char_from,
        char_to=unit.char_to,
        language=language,
        sha256=hashlib.sha256(f"{prefix}\n{unit.text}".encode()).hexdigest(),
    )
