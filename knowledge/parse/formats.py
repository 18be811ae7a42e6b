"""Which kinds of file are read, told by content and checked against the name; the table everything derives from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath

from knowledge.parse.text import looks_binary

PDF = "application/pdf"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
HTML = "text/html"
MARKDOWN = "text/markdown"
TEXT = "text/plain"
HEAD_BYTES = 4096
_HTML_START = re.compile(
    rb"^(?:\xef\xbb\xbf)?\s*(?:<!--.{0,2000}?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL
)
_TAG = re.compile(
    rb"<(?:p|div|h[1-6]|a|span|table|ul|ol|li|br|meta|title|script|main|article|section)\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of file: its media type, the ends of its names, and the parsers in order of preference."""

    name: str
    media_type: str
    suffixes: tuple[str, ...]
    parsers: tuple[str, ...]


PARSERS: dict[str, Format] = {
    row.media_type: row
    for row in (
        Format("Text", TEXT, (".txt", ".text", ".log"), ("knowledge.parse.text:parse_text",)),
        Format("Markdown", MARKDOWN, (".md", ".markdown", ".mdown"), ("knowledge.parse.text:parse_markdown",)),
        Format(
            "HTML",
            HTML,
            (".html", ".htm", ".xhtml"),
            ("knowledge.parse.html:parse_article", "knowledge.parse.html:parse_whole"),
        ),
        Format("PDF", PDF, (".pdf",), ("knowledge.parse.pdf:parse_pdfium", "knowledge.parse.pdf:parse_pypdf")),
        Format("Word", DOCX, (".docx",), ("knowledge.parse.docx:parse_docx",)),
    )
}


def sniff(name: str, head: bytes) -> str | None:
    """The media type of a file from its name and first bytes (4096 will do); None when it is none we read.

    Content decides; a name that promises another kind than the content holds is refused.
    """
    content = _content(head)
    suffix = PurePath(name.lower()).suffix
    promised = next((row.media_type for row in PARSERS.values() if suffix in row.suffixes), None)
    if promised is None:
        return content
    if promised == content:
        return promised
    # Markdown and plain text may begin with markup; a page need not begin with its doctype.
    if content in {TEXT, HTML} and promised in {TEXT, MARKDOWN}:
        return None if promised == TEXT and content == HTML and _HTML_START.match(head) else promised
    return HTML if promised == HTML and content == TEXT and _TAG.search(head) else None


def _content(head: bytes) -> str | None:
    if b"%PDF-" in head[:1024]:
        # A file that is something else first and a PDF after that has two readers, and one of them is deceived.
        return PDF if not head.startswith((b"MZ", b"PK", b"\x7fELF", b"<")) else None
    if head.startswith(b"PK\x03\x04"):
        return DOCX if b"word/" in head or b"[Content_Types].xml" in head or b"docProps/" in head else None
    if not head or looks_binary(head):
        return None
    return HTML if _HTML_START.match(head) else TEXT
