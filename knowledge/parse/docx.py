"""Word documents: a walk over the body with headings, lists, tables, text boxes, equations and notes."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass

from lxml import etree

from knowledge.parse.archive import open_archive, read_entry
from knowledge.parse.blocks import Builder, Parsed, ParseFailed

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
DC = "{http://purl.org/dc/elements/1.1/}"
MAX_PART_BYTES = 60_000_000
_HEADING = re.compile(r"heading (\d)")


@dataclass(frozen=True, slots=True)
class Style:
    """What matters of a paragraph style: its outline level (1 to 9) and whether its text is hidden."""

    level: int | None = None
    hidden: bool = False


def parse_docx(data: bytes) -> Parsed:
    """Read a .docx; raises ParseFailed."""
    with open_archive(io.BytesIO(data)) as archive:
        body = _xml(read_entry(archive, "word/document.xml", MAX_PART_BYTES))
        if body is None:
            raise ParseFailed("This file is not a Word document.")
        styles = _styles(_xml(read_entry(archive, "word/styles.xml", MAX_PART_BYTES)))
        notes = [_xml(read_entry(archive, f"word/{part}.xml", MAX_PART_BYTES)) for part in ("footnotes", "endnotes")]
        core = _xml(read_entry(archive, "docProps/core.xml", 1_000_000))
    title = "" if core is None else (core.findtext(f"{DC}title") or "").strip()
    builder = Builder(title=title)
    walk = _Walk(builder, styles)
    for element in body.iter(f"{W}body"):
        walk.container(element)
    for part in notes:
        if part is not None:
            walk.container(part)
    return builder.finish()


def _xml(data: bytes) -> etree._Element | None:
    if not data:
        return None
    if b"<!ENTITY" in data[:100_000]:
        raise ParseFailed("This file declares XML entities, which no Word document does.")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        return etree.fromstring(data, parser)
    except etree.XMLSyntaxError as problem:
        raise ParseFailed("This file is damaged: its text cannot be read.") from problem


def _styles(root: etree._Element | None) -> dict[str, Style]:
    rows = {} if root is None else {row.get(f"{W}styleId", ""): row for row in root.iter(f"{W}style")}
    return {name: Style(_style_level(rows, name, 0), _vanishes(row.find(f"{W}rPr"))) for name, row in rows.items()}


def _style_level(rows: dict[str, etree._Element], name: str, depth: int) -> int | None:
    row = rows.get(name)
    if row is None or depth > 10:
        return None
    label = row.find(f"{W}name")
    called = "" if label is None else label.get(f"{W}val", "").lower()
    found = _HEADING.match(called)
    if found or called == "title":
        return int(found.group(1)) if found else 1
    outline = row.find(f"{W}pPr/{W}outlineLvl")
    if outline is not None and outline.get(f"{W}val", "9").isdigit() and int(outline.get(f"{W}val", "9")) < 9:
        return int(outline.get(f"{W}val", "9")) + 1
    parent = row.find(f"{W}basedOn")
    return None if parent is None else _style_level(rows, parent.get(f"{W}val", ""), depth + 1)


def _on(properties: etree._Element, name: str) -> bool:
    mark = properties.find(f"{W}{name}")
    return mark is not None and mark.get(f"{W}val", "1") not in {"0", "false", "off"}


def _vanishes(properties: etree._Element | None) -> bool:
    """Hidden by its mark, by white ink without shading, or by a size of two points and less."""
    if properties is None:
        return False
    colour, size = properties.find(f"{W}color"), properties.find(f"{W}sz")
    white = colour is not None and colour.get(f"{W}val", "").lower() == "ffffff"
    shaded = properties.find(f"{W}shd") is not None or properties.find(f"{W}highlight") is not None
    points = "" if size is None else size.get(f"{W}val", "")
    return _on(properties, "vanish") or (white and not shaded) or (points.isdigit() and int(points) <= 4)


class _Walk:
    """Goes through paragraphs and tables in order."""

    def __init__(self, builder: Builder, styles: dict[str, Style]) -> None:
        self._builder = builder
        self._styles = styles
        self._list: list[str] = []

    def container(self, parent: etree._Element) -> None:
        """A body, a note or a content control: whatever holds paragraphs."""
        for element in parent:
            if element.tag == f"{W}p":
                self._paragraph(element)
            elif element.tag == f"{W}tbl":
                self._end_list()
                self._builder.add("table", "\n".join(self._rows(element)))
            elif element.tag in {f"{W}sdt", f"{W}sdtContent", f"{W}footnote", f"{W}endnote", f"{W}ins"}:
                self.container(element)
        self._end_list()

    def _paragraph(self, element: etree._Element) -> None:
        properties = element.find(f"{W}pPr")
        text = self._text(element).strip()
        style = self._style(properties)
        numbered = properties is not None and properties.find(f"{W}numPr") is not None
        if text and numbered and style.level is None:
            self._list.append(f"- {text}")
        elif text:
            self._end_list()
            if style.level is None:
                self._builder.add("paragraph", text)
            else:
                self._builder.heading(style.level, text)
        for box in _boxes(element):
            self.container(box)

    def _end_list(self) -> None:
        items, self._list = self._list, []
        if items:
            self._builder.add("list", "\n".join(items))

    def _style(self, properties: etree._Element | None) -> Style:
        named = None if properties is None else properties.find(f"{W}pStyle")
        return Style() if named is None else self._styles.get(named.get(f"{W}val", ""), Style())

    def _rows(self, table: etree._Element) -> Iterator[str]:
        for row in table.iter(f"{W}tr"):
            cells = [
                " ".join(self._text(part).strip() for part in cell.iter(f"{W}p")) for cell in row.findall(f"{W}tc")
            ]
            if any(cell.strip() for cell in cells):
                yield " | ".join(cells)

    def _text(self, paragraph: etree._Element) -> str:
        return "".join(self._runs(paragraph))

    def _runs(self, element: etree._Element) -> Iterator[str]:
        for child in element:
            tag = child.tag
            if tag == f"{W}r":
                yield from self._run(child)
            elif tag in {f"{M}oMath", f"{M}oMathPara"}:
                yield " " + "".join(part.text or "" for part in child.iter(f"{M}t")) + " "
            elif tag not in {f"{W}pPr", f"{W}del", f"{W}p"} and isinstance(tag, str):
                yield from self._runs(child)

    def _run(self, run: etree._Element) -> Iterator[str]:
        if _vanishes(run.find(f"{W}rPr")):
            if "".join(part.text or "" for part in run.iter(f"{W}t")).strip():
                self._builder.hidden += 1
            return
        for part in run:
            if part.tag == f"{W}t":
                yield part.text or ""
            elif part.tag in {f"{W}tab", f"{W}br", f"{W}cr"}:
                yield "\n" if part.tag != f"{W}tab" else " "


def _boxes(paragraph: etree._Element) -> Iterator[etree._Element]:
    """Text boxes, once: the drawing for new readers is repeated in a fallback for old ones."""
    for box in paragraph.iter(f"{W}txbxContent"):
        ancestors = [parent.tag for parent in box.iterancestors()]
        if f"{MC}Fallback" not in ancestors and ancestors.count(f"{W}txbxContent") == 0:
            yield box
