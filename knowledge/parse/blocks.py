"""What every parser hands out: blocks in reading order under their headings, and one clean text they point into."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

Kind = Literal["heading", "paragraph", "list", "table", "code"]
KINDS: frozenset[str] = frozenset(get_args(Kind))
MAX_TEXT_CHARS = 12_000_000
MAX_HEADING_CHARS = 200
_SPACES = re.compile(r"[^\S\n]+")
_NEWLINES = re.compile(r"\n{3,}")

# Characters that hide text from people but not from models: zero-width, bidi controls, Unicode tags, the byte order
# mark inside a text, variation selectors that can carry data, and every control but tab and newline. U+00AD is a
# hyphen nobody sees. U+200D and U+200C join letters in some scripts and emoji; a search does not miss them.
_HIDDEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufffb\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\U000e0000-\U000e0fff]"
)


class ParseFailed(Exception):
    """A document that gives no text; the message is a sentence for its owner."""


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a document; `char_from` and `char_to` are its place in the whole text."""

    kind: Kind
    text: str
    heading_path: tuple[str, ...]
    page: int | None
    char_from: int
    char_to: int


@dataclass(frozen=True, slots=True)
class Parsed:
    """A document as text; `hidden` counts the pieces left out because people could not see them."""

    title: str
    text: str
    blocks: tuple[Block, ...]
    pages: int | None = None
    hidden: int = 0

    def to_json(self) -> dict[str, Any]:
        """A value for JSON, without slots or tuples to lose."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Parsed:
        """The inverse; raises ValueError, KeyError or TypeError for anything else."""
        blocks = tuple(Block(**row | {"heading_path": tuple(row["heading_path"])}) for row in value["blocks"])
        if not {block.kind for block in blocks} <= KINDS:
            raise ValueError("a block of no known kind")
        return cls(value["title"], value["text"], blocks, value["pages"], value["hidden"])


def clean(text: str) -> str:
    """Text without hidden characters and lone surrogates, newlines as \\n, runs of blanks as one."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").replace("\u2029", "\n")
    return _SPACES.sub(" ", _HIDDEN.sub("", text))


def clean_code(text: str) -> str:
    """As `clean`, but blanks keep their meaning."""
    return _HIDDEN.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).expandtabs(4)


@dataclass(slots=True)
class Builder:
    """Collects blocks while a parser walks; keeps the heading path and the character positions."""

    title: str = ""
    pages: int | None = None
    hidden: int = 0
    _blocks: list[Block] = field(default_factory=list)
    _texts: list[str] = field(default_factory=list)
    _length: int = 0
    _path: list[tuple[int, str]] = field(default_factory=list)

    def heading(self, level: int, text: str, page: int | None = None) -> None:
        """A heading of `level` 1 to 9: it closes all deeper ones."""
        text = " ".join(clean(text).split())[:MAX_HEADING_CHARS]
        if not text:
            return
        self.leave(level)
        self._path.append((level, text))
        if level == 1 and not self.title:
            self.title = text
        self._append("heading", text, page)

    def leave(self, level: int) -> None:
        """Close every heading of `level` and deeper, without a new one: the text goes on above them."""
        while self._path and self._path[-1][0] >= level:
            self._path.pop()

    def add(self, kind: Kind, text: str, page: int | None = None) -> None:
        """A block that is not a heading; blank ones are left out."""
        text = clean_code(text).strip("\n").rstrip() if kind == "code" else _tidy(text)
        if text.strip():
            self._append(kind, text, page)

    def finish(self, title: str = "") -> Parsed:
        """The document; raises ParseFailed when there is nothing to read."""
        if not any(block.kind != "heading" for block in self._blocks):
            # Nothing but headings, as on a sign: then they are the text.
            self._blocks = [replace(block, kind="paragraph", heading_path=()) for block in self._blocks]
        if not self._blocks:
            raise ParseFailed("No text was found in this file. If it is a scan, run text recognition on it first.")
        name = " ".join(clean(title or self.title).split())[:MAX_HEADING_CHARS]
        return Parsed(name, "\n\n".join(self._texts), tuple(self._blocks), self.pages, self.hidden)

    def _append(self, kind: Kind, text: str, page: int | None) -> None:
        if self._length + len(text) > MAX_TEXT_CHARS:
            raise ParseFailed(f"The text of this file is longer than {MAX_TEXT_CHARS:,} characters. Split it.")
        start = self._length
        path = tuple(heading for _, heading in self._path)
        self._blocks.append(Block(kind, text, path, page, start, start + len(text)))
        self._texts.append(text)
        self._length = start + len(text) + 2


def _tidy(text: str) -> str:
    lines = (line.strip() for line in clean(text).split("\n"))
    return _NEWLINES.sub("\n\n", "\n".join(lines)).strip()
