"""Markdown passages as plain blocks: headings kept aside, paragraphs in whole sentences, lists in items. All pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Kind: TypeAlias = Literal["text", "list", "code", "table"]


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, list, table or piece of code, and the heading above it.

    The lead is the sentence that leads into a list, or the names of a table's columns.
    """

    kind: Kind
    sentences: tuple[str, ...]
    heading: str = ""
    lead: str = ""
    ordered: bool = False


_HEADING = re.compile(r"\s{0,3}(#{1,6})\s+(.*?)\s*#*\s*$")
_UNDERLINE = re.compile(r"\s{0,3}(=+|-{3,})\s*$")
_ITEM = re.compile(r"\s*(?:[-*+•]|(\d{1,3})[.)])\s+(.*)$")
_FENCE = re.compile(r"\s{0,3}(```+|~~~+)")
_TABLE_RULE = re.compile(r"\s*\|?\s*:?-{2,}:?\s*(\|\s*:?-{2,}:?\s*)*\|?\s*$")
_LINK = re.compile(r"!?\[([^\]]*)\]\((?:[^()\s]|\([^()]*\))*(?:\s+\"[^\"]*\")?\)")
_STRONG = re.compile(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1")
_EMPHASIS = re.compile(r"(?<![\w*])\*(?=[^\s*])(.+?)(?<=[^\s*])\*(?![\w*])")
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,200}>|<!--.*?-->")
_END = re.compile(
    r"""(?<=[.!?…])["'”\u2019»)\]]*\s+(?=["'“\u2018«(\[¿¡`]*[A-Z0-9À-ÖØ-ÞА-ЯΑ-Ω`¿¡])|(?<=[。\uff01\uff1f])"""
)
_ABBREVIATION: Final = re.compile(
    r"(?:^|[\s(])(?:e\.g|i\.e|etc|vs|cf|approx|incl|max|min|no|nr|fig|sec|dr|mr|mrs|ms|st|inc|ltd|co|corp|jan|feb|aug|sept?|"
    r"oct|nov|dec|z\. ?b|bzw|ca|usw|d\. ?h|u\. ?a|abs|art|sr|sra|ud|uds|p\. ?ex|env|sig|dott|[a-z])\.$",
    re.IGNORECASE,
)
_COMMAND: Final = re.compile(
    r"[A-Z][A-Z0-9_]+=\S|<(?:!|\w+[\s>/])|\$ \S|[{}]|(?:curl|pip3?|npm|npx|git|docker|python3?|cd|export|sudo|import|"
    r"from \w+ import|const|let|var) [\w./@{\"'-]*(?:$|[ \n;=])(?![^\n]*[.!?]$)"
)
MAX_SIGNS: Final = 0.08
_WHOLE_END: Final = (".", "!", "?", "…", "。", "\uff01", "\uff1f", ":", "”", '"', ")", "»", "`")


def blocks(text: str) -> tuple[Block, ...]:
    """The blocks of a Markdown or plain passage in order; sentences that the passage's edge cut off are left out."""
    reader = _Reader()
    for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        reader.line(line)
    return reader.close()


def plain(text: str) -> str:
    """A line without Markdown's marks: links by their text, no emphasis, no tags; code in backticks stays."""
    pieces = re.split(r"(`+[^`]*`+)", text)
    for i in range(0, len(pieces), 2):
        piece = _LINK.sub(r"\1", pieces[i])
        piece = _STRONG.sub(r"\2", piece)
        piece = _EMPHASIS.sub(r"\1", piece)
        pieces[i] = _TAG.sub("", piece)
    return re.sub(r"\s+", " ", "".join(pieces)).strip()


def sentences(text: str) -> list[str]:
    """The sentences of one paragraph; abbreviations, initials and numbers with points end none."""
    found: list[str] = []
    held = ""
    for piece in _split(text):
        held = f"{held} {piece}".strip() if held else piece.strip()
        if held and not _ABBREVIATION.search(held):
            found.append(held)
            held = ""
    return [*found, held] if held else found


def _split(text: str) -> list[str]:
    """Like re.split on sentence ends, but closing quotes and brackets stay with the sentence they close."""
    pieces, start = [], 0
    for end in _END.finditer(text):
        edge = end.start() + len(end.group().rstrip())
        pieces.append(text[start:edge])
        start = end.end()
    return [*pieces, text[start:]]


def _is_whole(sentence: str, *, first: bool) -> bool:
    """Begins like a sentence and ends like one; a beginning in mid sentence can only be the passage's edge."""
    head = sentence.lstrip("\"'“\u2018«([¿¡*_")
    begins = not first or not head[:1].islower()
    return begins and sentence.endswith(_WHOLE_END) and len(sentence) > 3


def _cells(line: str) -> list[str]:
    return [plain(cell) for cell in line.strip().strip("|").split("|")]


def _row_text(cells: list[str], columns: list[str]) -> str:
    """A table's row as `first: column value, column value`, in the table's own words."""
    named = [
        f"{columns[at]} {cell}" if at < len(columns) and columns[at] else cell
        for at, cell in enumerate(cells[1:], 1)
        if cell and cell != "-"
    ]
    return f"{cells[0]}: {', '.join(named)}" if cells[0] and named else cells[0] or ", ".join(named)


def _is_code(lines: list[str]) -> bool:
    """Whether a paragraph is a listing without its fences: a tag or command first, or mostly signs and no full stop."""
    text = "\n".join(lines).strip()
    if _COMMAND.match(text):
        return True
    signs = sum(text.count(sign) for sign in "<>{}[]();=$\\|")
    return signs > MAX_SIGNS * len(text) and not text.endswith((".", "!", "?", ":", ")"))


class _Reader:
    """Collects lines into blocks."""

    def __init__(self) -> None:
        self._blocks: list[Block] = []
        self._heading = ""
        self._kind: Kind = "text"
        self._lines: list[str] = []
        self._ordered = False
        self._fence = ""
        self._columns: list[str] = []
        self._read_columns: list[str] = []

    def line(self, line: str) -> None:
        fence = _FENCE.match(line)
        if self._fence:
            if fence and fence.group(1).startswith(self._fence):
                self._flush()
                self._fence = ""
            else:
                self._lines.append(line)
            return
        if fence:
            self._start("code")
            self._fence = fence.group(1)
            return
        self._prose(line)

    def _prose(self, line: str) -> None:
        heading, item = _HEADING.match(line), _ITEM.match(line)
        if heading:
            self._flush()
            self._heading = plain(heading.group(2))
        elif _UNDERLINE.match(line) and self._kind == "text":
            self._underlined()
        elif not line.strip():
            self._blank()
        elif line.lstrip().startswith("|") or " | " in line or _TABLE_RULE.match(line):
            self._row(line)
        elif item:
            self._item(item.group(2), ordered=item.group(1) is not None)
        else:
            self._continue(line)

    def _underlined(self) -> None:
        if len(self._lines) == 1:
            self._heading = plain(self._lines.pop())
        self._flush()

    def _blank(self) -> None:
        if self._kind != "list":
            self._flush()
        elif self._lines and self._lines[-1]:
            self._lines.append("")  # items may stand apart; a paragraph after the gap ends the list

    def _row(self, line: str) -> None:
        if self._kind != "table":
            self._start("table")
        if _TABLE_RULE.match(line):
            self._columns = _cells(self._lines.pop()) if self._lines else []
            return
        self._lines.append(line)

    def _item(self, text: str, *, ordered: bool) -> None:
        if self._kind != "list":
            self._start("list")
            self._ordered = ordered
        while self._lines and not self._lines[-1]:
            self._lines.pop()
        self._lines.append(text)

    def _continue(self, line: str) -> None:
        if self._kind == "list" and self._lines:
            if self._lines[-1]:
                self._lines[-1] += " " + line.strip()
                return
            if line[:1].isspace():
                self._lines.pop()
                self._lines[-1] += " " + line.strip()
                return
        if self._kind != "text":
            self._start("text")
        self._lines.append(re.sub(r"^\s*>+\s?", "", line))

    def _start(self, kind: Kind) -> None:
        self._flush()
        self._kind = kind

    def _flush(self) -> None:
        lines, self._lines = self._lines, []
        kind, self._kind = self._kind, "text"
        if kind == "text" and lines and (_is_code(lines) or self._is_led_in(lines)):
            kind = "code"  # our own parser leaves the fences out
        found = self._read(kind, lines)
        if found:
            lead = self._lead() if kind == "list" else " ".join(self._read_columns) if kind == "table" else ""
            self._blocks.append(Block(kind, tuple(found), self._heading, lead, kind == "list" and self._ordered))

    def _read(self, kind: Kind, lines: list[str]) -> list[str]:
        if kind == "code":
            code = "\n".join(lines).strip("\n")
            return [code] if code.strip() else []
        if kind == "list":
            return [text for line in lines if (text := plain(line))]
        if kind == "table":
            columns, self._columns = self._columns, []
            if not columns and len(lines) > 1:
                columns, lines = _cells(lines[0]), lines[1:]  # our own parser leaves the rule under the head out
            self._read_columns = columns
            return [row for line in lines if (row := _row_text(_cells(line), columns))]
        found = sentences(plain(" ".join(line.strip() for line in lines)))
        return [one for at, one in enumerate(found) if _is_whole(one, first=at == 0)]

    def _is_led_in(self, lines: list[str]) -> bool:
        """One short line that is no sentence, right after a colon: a command to type."""
        return len(lines) == 1 and bool(self._lead()) and not lines[0].rstrip().endswith(_WHOLE_END)

    def _lead(self) -> str:
        if not self._blocks or self._blocks[-1].kind != "text" or self._blocks[-1].heading != self._heading:
            return ""
        last = self._blocks[-1].sentences[-1]
        return last if last.endswith(":") else ""

    def close(self) -> tuple[Block, ...]:
        self._flush()
        return tuple(self._blocks)
