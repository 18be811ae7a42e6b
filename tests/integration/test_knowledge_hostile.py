"""Files made to do harm: each ends with a sentence for its owner, and the worker lives."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pypdf import PdfWriter

from knowledge.parse import ParseFailed, parse_document
from knowledge.parse.formats import DOCX, HTML, MARKDOWN, PDF, TEXT
from server.storage import documents
from server.storage.database import Database
from server.storage.valkey import Valkey
from tests.integration.knowing import Knowing, knowing

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def docx(body: str, **others: bytes) -> bytes:
    """A Word document of this body."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr(
            "word/document.xml", f'<?xml version="1.0"?><w:document {W}><w:body>{body}</w:body></w:document>'
        )
        for name, data in others.items():
            archive.writestr(name.replace("__", "/"), data)
    return out.getvalue()


def paragraph(text: str, properties: str = "") -> str:
    """A paragraph of one run."""
    return f"<w:p><w:r><w:rPr>{properties}</w:rPr><w:t>{text}</w:t></w:r></w:p>"


def locked_pdf() -> bytes:
    """A PDF that asks for a password."""
    writer, out = PdfWriter(), io.BytesIO()
    writer.add_blank_page(200, 200)
    writer.encrypt("secret", algorithm="RC4-128")
    writer.write(out)
    return out.getvalue()


def blank_pdf() -> bytes:
    """A PDF of one empty page, as a scanner makes it."""
    writer, out = PdfWriter(), io.BytesIO()
    writer.add_blank_page(200, 200)
    writer.write(out)
    return out.getvalue()


def lying_zip() -> bytes:
    """An archive whose directory says less than its data holds."""
    data = bytearray(docx(paragraph("x" * 3_000_000)))
    for mark, offset in ((b"PK\x01\x02", 24),):
        at = data.rfind(mark)
        data[at + offset : at + offset + 4] = (1000).to_bytes(4, "little")
    return bytes(data)


BAD = {
    "bomb.docx": (docx(paragraph("x"), word__media__a=b"\x00" * 150_000_000), DOCX, "too large"),
    "text bomb.docx": (docx(paragraph("x" * 120_000_000)), DOCX, "too large"),
    "liar.docx": (lying_zip(), DOCX, "damaged|too large"),
    "slip.docx": (docx(paragraph("x"), **{"..__..__evil": b"x"}), DOCX, "leads out"),
    "laughs.docx": (docx("").replace(b"PK", b"PK"), DOCX, "No text"),
    "garbage.docx": (b"PK\x03\x04" + b"rubbish" * 100, DOCX, "damaged"),
    "locked.pdf": (locked_pdf(), PDF, "password"),
    "scan.pdf": (blank_pdf(), PDF, "No text was found"),
    "truncated.pdf": (blank_pdf()[:150], PDF, "damaged"),
    "program.pdf": (b"MZ" + bytes(range(256)) * 50, PDF, "damaged|could not be read"),
    "empty.txt": (b"", TEXT, "No text"),
    "binary.txt": (bytes(range(256)) * 100, TEXT, "not text"),
    "script.html": (b"<html><body><script>x()</script></body></html>", HTML, "No text"),
    "odd.html": (b"<![k", HTML, "No text"),
}


@pytest.mark.parametrize("name", BAD)
async def test_bad_files_end_with_a_reason(name: str, tmp_path: Path) -> None:
    data, media_type, reason = BAD[name]
    path = tmp_path / "file"
    path.write_bytes(data)
    began = time.monotonic()
    with pytest.raises(ParseFailed, match=reason):
        await parse_document(path, media_type)
    assert time.monotonic() - began < 30


async def test_entities_are_never_expanded(tmp_path: Path) -> None:
    path = tmp_path / "file"
    laughs = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>'
    body = f"{laughs}<w:document {W}><w:body>{paragraph('&b;')}</w:body></w:document>"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", body)
    with pytest.raises(ParseFailed, match="entities"):
        await parse_document(path, DOCX)


async def test_deep_nesting_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"<html><body>" + b"<div>" * 20_000 + b"The shop opens at nine." + b"</div>" * 20_000)
    assert "opens at nine" in (await parse_document(path, HTML)).text


async def test_hidden_text_of_word_is_left_out_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "file"
    hidden = (
        paragraph("one", "<w:vanish/>")
        + paragraph("two", '<w:color w:val="FFFFFF"/>')
        + paragraph("three", '<w:sz w:val="2"/>')
    )
    path.write_bytes(docx(paragraph("Seen by all.") + hidden))
    parsed = await parse_document(path, DOCX)
    assert (parsed.text, parsed.hidden) == ("Seen by all.", 3)


async def test_a_document_that_eats_memory_dies_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"# A\n\n" + b"word " * 8_000_000)
    with pytest.raises(ParseFailed, match="longer than|memory|too long"):
        await parse_document(path, MARKDOWN)


@pytest.fixture
async def room(db: Database, valkey: Valkey, tmp_path: Path) -> AsyncIterator[Knowing]:
    async with knowing(db, valkey, tmp_path) as opened:
        yield opened


async def test_failure_is_told_and_the_old_version_stays(room: Knowing) -> None:
    good = await room.index("page.pdf", b"# Hours\n\nThe shop opens at nine every day.\n", MARKDOWN)
    assert good.status == "ready"
    bad = await room.index("page.pdf", locked_pdf(), PDF)
    assert (bad.status, bad.version, bad.live_version) == ("failed", 2, 1)
    assert bad.error is not None
    assert "password" in bad.error
    assert "opens at nine" in (await room.ask("When does the shop open?"))[0]
    again = await documents.requeue_document(room.db, room.tenant, bad.id)
    assert again.status == "queued"
    assert (await room.work_on(again)).status == "failed"
