"""What is read, told by content."""

from __future__ import annotations

import pytest

from knowledge.parse.formats import DOCX, HTML, MARKDOWN, PARSERS, PDF, TEXT, sniff

ZIP = b"PK\x03\x04\x14\x00\x06\x00" + b"\x00" * 20 + b"[Content_Types].xml"


@pytest.mark.parametrize(
    ("name", "head", "media_type"),
    [
        ("a.pdf", b"%PDF-1.7\n", PDF),
        ("a.PDF", b"\n\n%PDF-1.4", PDF),
        ("a.pdf", b"MZ\x90\x00\x03" + b"\x00" * 60, None),
        ("a.pdf", b"<!doctype html><html>", None),
        ("a.pdf", b"MZ..%PDF-1.4", None),
        ("a.docx", ZIP, DOCX),
        ("a.docx", b"PK\x03\x04" + b"x" * 100, None),
        ("a.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 60, None),
        ("a.html", b"<!DOCTYPE html><p>x", HTML),
        ("a.html", b"<p>no doctype</p>", HTML),
        ("a.html", b"just words", None),
        ("a.txt", b"just words", TEXT),
        ("a.txt", b"", None),
        ("a.txt", b"<html><body>", None),
        ("a.txt", "h\u00e9llo".encode("utf-16"), TEXT),
        ("a.txt", b"\x7fELF\x02\x01\x01\x00", None),
        ("a.md", b"# Title", MARKDOWN),
        ("a.md", b"<html>", MARKDOWN),
        ("a.png", b"\x89PNG\r\n\x1a\n\x00\x00", None),
        ("noend", b"words", TEXT),
        ("noend", b"%PDF-1.7", PDF),
    ],
)
def test_sniff(name: str, head: bytes, media_type: str | None) -> None:
    assert sniff(name, head) == media_type


def test_the_table_names_each_suffix_once() -> None:
    suffixes = [suffix for row in PARSERS.values() for suffix in row.suffixes]
    assert len(suffixes) == len(set(suffixes))
