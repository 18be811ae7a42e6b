"""PDF: page by page, without text that is drawn invisibly."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any

from knowledge.parse.blocks import Builder, Parsed, ParseFailed

MAX_PAGES = 2000
TINY_POINTS = 1.5
INVISIBLE_MODE = 3
PICTURE_SHARE = 0.5
_ENDS = re.compile(r"[.!?:;\u3002\uff01\uff1f]['\")\]]?$")
MAX_HEADING_SHARE = 0.6
MAX_HEADING_WORDS = 10
_NO_HEADING = re.compile(r"[.!:;,|\t\u3002\uff01]$|[|\t@]|\s{3}")
_ITEM = re.compile(r"^\s*(?:[\u2022\u2023\u25aa\u25cf\u25cb\u00b7*\u2013-]|\d{1,3}[.)])\s+")
LOCKED = "This PDF is protected by a password. Remove the password and upload it again."
DAMAGED = "This PDF is damaged and cannot be read."


def parse_pdfium(data: bytes) -> Parsed:
    """Read with pdfium; raises ParseFailed."""
    import pypdfium2  # noqa: PLC0415 - each parser pays for its own library only

    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as problem:
        raise ParseFailed(LOCKED if "assword" in str(problem) else DAMAGED) from problem
    try:
        return _read_pdfium(document)
    finally:
        document.close()


def _read_pdfium(document: Any) -> Parsed:
    count = _checked(len(document))
    builder = Builder(title=_title(document.get_metadata_dict(skip_empty=True).get("Title", "")), pages=count)
    for number in range(count):
        page = document[number]
        builder.hidden += _hide(page)
        textpage = page.get_textpage()
        _add_page(builder, textpage.get_text_bounded(), number + 1)
        textpage.close()
        page.close()
    return builder.finish()


def _checked(pages: int) -> int:
    if pages > MAX_PAGES:
        raise ParseFailed(f"This PDF has more than {MAX_PAGES:,} pages. Split it.")
    return pages


def _hide(page: Any) -> int:
    """Take invisible text off a page; returns how many pieces.

    A scan with recognised text under its picture is invisible as a whole: there the text is what people see.
    """
    from pypdfium2 import raw  # noqa: PLC0415

    texts = list(page.get_objects(filter=[raw.FPDF_PAGEOBJ_TEXT], max_depth=1))
    invisible = [text for text in texts if raw.FPDFTextObj_GetTextRenderMode(text.raw) == INVISIBLE_MODE]
    if invisible and len(invisible) == len(texts) and _is_scan(page):
        invisible = []
    hidden = {id(text): text for text in invisible + [text for text in texts if _unseen(page, text)]}
    for text in hidden.values():
        page.remove_obj(text)
    return len(hidden)


def _is_scan(page: Any) -> bool:
    from pypdfium2 import raw  # noqa: PLC0415

    width, height = page.get_size()
    for picture in page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE], max_depth=2):
        left, bottom, right, top = picture.get_bounds()
        if (right - left) * (top - bottom) >= PICTURE_SHARE * width * height:
            return True
    return False


def _unseen(page: Any, text: Any) -> bool:
    """Tiny, white on the bare page, fully transparent, or outside the page."""
    from ctypes import byref, c_float, c_uint  # noqa: PLC0415

    from pypdfium2 import raw  # noqa: PLC0415

    size = c_float()
    scale = max(abs(text.get_matrix().a), abs(text.get_matrix().b), abs(text.get_matrix().d))
    if raw.FPDFTextObj_GetFontSize(text.raw, byref(size)) and 0 < size.value * scale < TINY_POINTS:
        return True
    red, green, blue, alpha = c_uint(), c_uint(), c_uint(), c_uint()
    if raw.FPDFPageObj_GetFillColor(text.raw, byref(red), byref(green), byref(blue), byref(alpha)):
        if alpha.value == 0:
            return True
        if min(red.value, green.value, blue.value) >= 250 and not _has_ground(page, text):
            return True
    left, bottom, right, top = text.get_bounds()
    width, height = page.get_size()
    x, y = _corner(page)
    return bool(right < x or top < y or left > x + width or bottom > y + height)


def _corner(page: Any) -> tuple[float, float]:
    box = page.get_cropbox(fallback_ok=True) or (0, 0, 0, 0)
    return box[0], box[1]


def _has_ground(page: Any, text: Any) -> bool:
    """Whether a drawing or picture lies under white text, as in a dark table header."""
    from pypdfium2 import raw  # noqa: PLC0415

    left, bottom, right, top = text.get_bounds()
    kinds = [raw.FPDF_PAGEOBJ_PATH, raw.FPDF_PAGEOBJ_IMAGE, raw.FPDF_PAGEOBJ_SHADING, raw.FPDF_PAGEOBJ_FORM]
    for thing in page.get_objects(filter=kinds, max_depth=1):
        x0, y0, x1, y1 = thing.get_bounds()
        if x0 <= left + 2 and y0 <= bottom + 2 and x1 >= right - 2 and y1 >= top - 2:
            return True
    return False


def parse_pypdf(data: bytes) -> Parsed:
    """Read with pypdf: slower, and more patient with damaged files."""
    from pypdf import PdfReader  # noqa: PLC0415
    from pypdf.errors import PyPdfError  # noqa: PLC0415

    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise ParseFailed(LOCKED)
        count = _checked(len(reader.pages))
        builder = Builder(title=_title(reader.metadata.title if reader.metadata else ""), pages=count)
        for number, page in enumerate(reader.pages, 1):
            _add_page(builder, page.extract_text(), number)
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, IndexError, NotImplementedError) as problem:
        raise ParseFailed(DAMAGED) from problem
    return builder.finish()


def _title(value: object) -> str:
    """The title its maker gave it; names of files and programs that stand there by accident are none."""
    text = str(value or "").strip()
    accident = re.search(
        r"\.(docx?|indd|tex|dvi|pdf|xlsx?|pptx?|qxd)$|^(untitled|microsoft|document\d*$|\(anonymous\)$|\(unspecified\)$)",
        text,
        re.IGNORECASE,
    )
    return "" if accident or len(text) < 4 else text


def _add_page(builder: Builder, text: str, page: int) -> None:
    for is_heading, paragraph in paragraphs(text):
        if is_heading:
            builder.heading(2, paragraph, page)
        else:
            builder.add("list" if _ITEM.match(paragraph) else "paragraph", paragraph, page)


def paragraphs(text: str) -> Iterator[tuple[bool, str]]:
    """Lines of a page joined to paragraphs: one ends at a blank line, or at a short line that ends a sentence.

    True comes with a line that stands alone above its text, as headings do.
    """
    # pdfium marks a hyphen at the end of a line as U+FFFE or U+0002.
    lines = re.sub(r"[\ufffe\x02]\r?\n?|-\r?\n(?=[a-z])", "", text).replace("\r\n", "\n").split("\n")
    longest = max(map(len, lines), default=0)
    taken: list[str] = []
    for at, line in enumerate(lines):
        starts = not line.strip() or _ITEM.match(line)
        is_heading = (not taken or bool(_ENDS.search(taken[-1]))) and _is_heading(lines, at, longest)
        if taken and (starts or is_heading):
            yield False, " ".join(taken)
            taken = []
        if is_heading:
            yield True, line.strip()
            continue
        if line.strip():
            taken.append(line.strip())
        if taken and len(line) < longest * 0.8 and _ENDS.search(line.strip()):
            yield False, " ".join(taken)
            taken = []
    if taken:
        yield False, " ".join(taken)


def _is_heading(lines: list[str], at: int, longest: int) -> bool:
    """A short line that is no sentence, above a longer one that begins anew."""
    text = lines[at].strip()
    below = next((line.strip() for line in lines[at + 1 : at + 3] if line.strip()), "")
    if not text[:1].isalnum() or text[:1].islower() or not below or below[:1].islower() or _ITEM.match(text):
        return False
    letters = sum(map(str.isalpha, text))
    is_short = len(text) <= MAX_HEADING_SHARE * longest and len(text.split()) <= MAX_HEADING_WORDS
    is_title = is_short and letters >= 0.7 * len(text.replace(" ", "")) and not _NO_HEADING.search(text)
    return is_title and (len(below) > 1.5 * len(text) or bool(_ENDS.search(below)) or not lines[at + 1].strip())
