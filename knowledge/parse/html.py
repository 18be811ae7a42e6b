"""HTML: what a visitor of the page would see, without navigation and without what is hidden."""

from __future__ import annotations

import bisect
import re
from collections.abc import Callable, Iterator
from itertools import groupby, takewhile

from lxml import etree
from selectolax.lexbor import LexborHTMLParser, LexborNode

from knowledge.parse.blocks import Builder, Kind, Parsed, ParseFailed
from knowledge.parse.text import decode

DROPPED = "script, style, template, noscript, iframe, object, embed, svg, canvas, audio, video, [hidden]"
MAX_RULES = 2000
CELL = " | "
_META = re.compile(rb"<meta[^>]{0,300}charset\s*=\s*[\"']?\s*([A-Za-z0-9_-]{1,40})", re.IGNORECASE)
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_CSS_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
_RULE = re.compile(r"([^{}@]{1,500})\{([^{}]{0,2000})\}")
_AT_BLOCK = re.compile(r"@[^{};]{0,500}\{(?:[^{}]|\{[^{}]*\})*\}")
_DECLARATION = re.compile(r"([a-z-]{2,40})\s*:\s*([^;]{1,300})")
_LENGTH = re.compile(r"^(-?\d*\.?\d+)(px|pt|em|rem|%|vw|vh)?$")
_COLOURS = {"white": "#ffffff", "#fff": "#ffffff", "rgb(255,255,255)": "#ffffff", "black": "#000000", "#000": "#000000"}
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_GROUPS: dict[str, Kind] = {
    "p": "paragraph",
    "pre": "code",
    "blockquote": "paragraph",
    "dd": "paragraph",
    "dt": "paragraph",
}


def read(data: bytes) -> str:
    """The page as text, by its own charset if it names one."""
    named = _META.search(data[:4096])
    if named and not data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        try:
            return data.decode(named.group(1).decode("ascii"))
        except (LookupError, UnicodeDecodeError):
            pass
    return decode(data)


def parse_article(data: bytes) -> Parsed:
    """The page's main text; raises ParseFailed when it finds none, and then `parse_whole` is tried."""
    from trafilatura import extract  # noqa: PLC0415 - slow to import, and only this parser needs it

    tree, hidden = visible_tree(read(data))
    found = extract(
        tree.html or "",
        output_format="xml",
        favor_recall=True,
        include_tables=True,
        include_comments=False,
        include_links=False,
        include_formatting=False,
    )
    if not found:
        raise ParseFailed("No text was found on this page.")
    root = etree.fromstring(found.encode(), etree.XMLParser(resolve_entities=False, no_network=True, recover=True))
    builder = Builder(title=_title(tree), hidden=hidden)
    headings = _Headings(tree)
    for body in root.iter("main"):
        _walk_article(builder, body, headings)
    return builder.finish()


class _Headings:
    """Where each text of the page stands: the extraction forgets most headings, the page itself does not."""

    def __init__(self, tree: LexborHTMLParser) -> None:
        self._starts: list[int] = []
        self._paths: list[tuple[tuple[int, str], ...]] = []
        self._open: tuple[tuple[int, str], ...] = ()
        self._cursor = 0
        texts: list[str] = []
        path: list[tuple[int, str]] = []
        length = 0
        for tag, text in _pieces(tree.body) if tree.body is not None else ():
            words = " ".join(text.split())
            if tag in _HEADINGS:
                path = [*(entry for entry in path if entry[0] < _HEADINGS[tag]), (_HEADINGS[tag], words)]
                continue
            self._starts.append(length)
            self._paths.append(tuple(path))
            texts.append(words)
            length += len(words) + 1
        self._whole = " ".join(texts)

    def enter(self, builder: Builder, text: str) -> None:
        """Open the headings that a text stands under, as far as they are not open already."""
        start = " ".join(text.split())[:40]
        at = self._whole.find(start, self._cursor)
        if at < 0 or not start:
            return
        self._cursor = at
        path = self._paths[bisect.bisect_right(self._starts, at) - 1]
        shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(path, self._open, strict=False)))
        for level, heading in path[shared:]:
            builder.heading(level, heading)
        if len(path) == shared < len(self._open):
            builder.leave(self._open[shared][0])
        self._open = path


def _walk_article(builder: Builder, body: etree._Element, headings: _Headings) -> None:
    for element in body:
        _add_element(builder, element, headings)
        if (element.tail or "").strip():  # text right after a heading, in no paragraph of its own
            headings.enter(builder, element.tail or "")
            builder.add("paragraph", element.tail or "")


def _add_element(builder: Builder, element: etree._Element, headings: _Headings) -> None:
    kind, text = str(element.tag), "".join(element.itertext())
    if kind == "head":
        return  # `headings` knows them better, with those above them
    if kind == "div":
        _walk_article(builder, element, headings)
        return
    headings.enter(builder, next((part for part in element.itertext() if part.strip()), ""))
    if kind == "list":
        items = [" ".join("".join(item.itertext()).split()) for item in element.iter("item")]
        builder.add("list", "\n".join(f"- {item}" for item in items if item))
    elif kind == "table":
        builder.add("table", "\n".join(filter(None, map(_article_row, element.iter("row")))))
    else:
        builder.add("code" if kind == "code" and "\n" in text else "paragraph", text)


def _article_row(row: etree._Element) -> str:
    return " | ".join(" ".join("".join(cell.itertext()).split()) for cell in row.iter("cell"))


def parse_whole(data: bytes) -> Parsed:
    """Every visible text of the page in its order: for pages without a main part, and for broken ones."""
    tree, hidden = visible_tree(read(data))
    builder = Builder(title=_title(tree), hidden=hidden)
    if tree.body is None:
        raise ParseFailed("This page has no body.")
    for is_row, group in groupby(_pieces(tree.body), key=lambda piece: piece[0] == "tr"):
        if is_row:
            builder.add("table", "\n".join(" ".join(text.split()) for _, text in group))
            continue
        for tag, text in group:
            if tag in _HEADINGS:
                builder.heading(_HEADINGS[tag], text)
            else:
                builder.add(_GROUPS.get(tag, "paragraph"), text)
    return builder.finish()


_BLOCKS = """
address article aside blockquote body br dd details div dl dt figure footer form h1 h2 h3 h4 h5 h6 header hr li
main nav ol p pre section summary table td th tr ul
"""
_BREAKING = frozenset(_BLOCKS.split())


_CELLS = frozenset({"td", "th"})


def _pieces(body: LexborNode) -> Iterator[tuple[str, str]]:
    """Runs of text between the edges of block elements, each with the innermost block it stands in."""
    run: list[str] = []
    open_ = ["p"]
    for node, enters in _edges(body):
        if node.tag == "-text":
            if enters:
                run.append(node.text_content or "")
        elif node.tag in _CELLS:
            if enters and "".join(run).strip():
                run.append(CELL)
        elif node.tag in _BREAKING:
            if "".join(run).strip(" \n\t|"):
                yield open_[-1], "".join(run)
            run = []
            if enters:
                open_.append(node.tag or "p")
            elif len(open_) > 1:
                open_.pop()
    if "".join(run).strip(" \n\t|"):
        yield open_[-1], "".join(run)


def _edges(body: LexborNode) -> Iterator[tuple[LexborNode, bool]]:
    """Every node below in order, entered and left; without recursion, since pages nest thousands deep."""
    node, depth = body.first_child, 0
    while node is not None:
        yield node, True
        below = node.first_child if node.tag != "-text" else None
        if below is not None:
            node, depth = below, depth + 1
            continue
        yield node, False
        while node is not None and node.next is None:
            if depth == 0:
                return
            node, depth = node.parent, depth - 1
            if node is not None:
                yield node, False
        node = node.next if node is not None else None


def _title(tree: LexborHTMLParser) -> str:
    """The one first heading of the page or of its main part, as in other formats; else what stands in the tab."""
    for selector in ("main h1, article h1", "h1"):
        headings = [" ".join(node.text().split()) for node in tree.css(selector)]
        if len(headings) == 1 and headings[0]:
            return headings[0]
    node = tree.css_first("title")
    return node.text().strip() if node is not None else ""


def visible_tree(text: str) -> tuple[LexborHTMLParser, int]:
    """The page without hidden elements, and how many pieces of text were taken out."""
    rules = _style_rules(text)
    text, comments = _COMMENT.subn("", text)
    tree = LexborHTMLParser(text)
    hidden = comments + _drop(tree, "[hidden], template, [aria-hidden='true']")
    for selector, declarations in rules:
        if is_hidden(declarations):
            hidden += _drop(tree, selector)
    for node in tree.css("[style]"):
        if is_hidden(_declarations((node.attributes.get("style") or "").lower())):
            hidden += _remove(node)
    _drop(tree, DROPPED)
    return tree, hidden


def _drop(tree: LexborHTMLParser, selector: str) -> int:
    try:
        found = tree.css(selector)
    except Exception:  # a selector of the page's own that the engine does not know
        return 0
    return sum(map(_remove, found))


def _remove(node: LexborNode) -> int:
    """Take an element out; 1 when it held text, so that counts mean something to the owner."""
    if node.tag in {"html", "body", "head", None}:
        return 0
    held = bool(node.text(strip=True))
    node.decompose()
    return int(held)


def _style_rules(text: str) -> list[tuple[str, dict[str, str]]]:
    """Rules of the page's own style sheets; those inside @media and the like do not always apply and are left."""
    sheets = [node.text() for node in LexborHTMLParser(text).css("style")]
    sheet = _AT_BLOCK.sub("", _CSS_COMMENT.sub("", "\n".join(sheets).lower()))
    rules = _RULE.findall(sheet)[:MAX_RULES]
    return [(_original_case(text, selector.strip()), _declarations(body)) for selector, body in rules]


def _original_case(text: str, selector: str) -> str:
    """Class and id names are case-sensitive: find the selector as it was written."""
    at = text.lower().find(selector)
    return text[at : at + len(selector)] if at >= 0 else selector


def _declarations(style: str) -> dict[str, str]:
    return {name: value.replace("!important", "").strip() for name, value in _DECLARATION.findall(style)}


def is_hidden(style: dict[str, str]) -> bool:
    """Whether an element of this style shows nothing to a person."""
    return any(style.get(name) is not None and test(style) for name, test in HIDING)


def _number(value: str) -> float | None:
    found = _LENGTH.match(value.strip())
    if not found:
        return None
    size = float(found.group(1))
    return size * 16 if found.group(2) in {"em", "rem"} else size


def _at_most(name: str, limit: float) -> Callable[[dict[str, str]], bool]:
    def test(style: dict[str, str]) -> bool:
        size = _number(style[name])
        return size is not None and size <= limit

    return test


def _equals(name: str, *values: str) -> Callable[[dict[str, str]], bool]:
    return lambda style: style[name] in values


def _colour(value: str) -> str:
    value = value.replace(" ", "")
    return _COLOURS.get(value, value)


def _invisible_colour(style: dict[str, str]) -> bool:
    if style["color"] in {"transparent", "rgba(0,0,0,0)"}:
        return True
    behind = style.get("background-color") or style.get("background") or "white"
    return _colour(style["color"]) == _colour(behind.split()[0])


def _clipped(style: dict[str, str]) -> bool:
    small = [_number(style.get(side, "")) for side in ("width", "height")]
    return style["overflow"] == "hidden" and any(size is not None and size <= 1 for size in small)


def _off_screen(side: str) -> Callable[[dict[str, str]], bool]:
    return lambda style: style.get("position") in {"absolute", "fixed"} and _at_most(side, -900)(style)


# Ways to hide text, each with the property that must be there for it.
HIDING: tuple[tuple[str, Callable[[dict[str, str]], bool]], ...] = (
    ("display", _equals("display", "none")),
    ("visibility", _equals("visibility", "hidden", "collapse")),
    ("opacity", _at_most("opacity", 0.01)),
    ("font-size", _at_most("font-size", 1)),
    ("max-height", _at_most("max-height", 0)),
    ("color", _invisible_colour),
    ("overflow", _clipped),
    ("left", _off_screen("left")),
    ("top", _off_screen("top")),
    ("right", _off_screen("right")),
    ("text-indent", _at_most("text-indent", -900)),
    ("clip", lambda style: style["clip"].replace(" ", "").startswith(("rect(0", "rect(1px"))),
    (
        "clip-path",
        lambda style: style["clip-path"].replace(" ", "").startswith(("inset(50%", "inset(100%", "circle(0")),
    ),
    ("transform", lambda style: "scale(0)" in style["transform"].replace(" ", "")),
)
