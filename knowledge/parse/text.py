"""Plain text and Markdown."""

from __future__ import annotations

import codecs
import html
import re

from knowledge.parse.blocks import Builder, Parsed, ParseFailed

BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_BLANK = re.compile(r"\n[^\S\n]*\n")
_ATX = re.compile(r"^ {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_SETEXT = re.compile(r"^ {0,3}(=+|-{2,})[ \t]*$")
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
_ITEM = re.compile(r"^[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]+")
_RULE = re.compile(r"^ {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$")
_ALIGN = re.compile(r"^[\s|:-]*-[\s|:-]*$")
_FRONT = re.compile(r"\A---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_FRONT_TITLE = re.compile(r"^title[ \t]*:[ \t]*(.+)$", re.MULTILINE)
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_DEFINITION = re.compile(r"^ {0,3}\[[^\]\n]{1,200}\]:[ \t]*\S.*$", re.MULTILINE)
_INLINE: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"!\[[^\]\n]{0,1000}\]\([^)\n]{0,2000}\)"), ""),  # pictures, and what hides in their descriptions
    (re.compile(r"!\[[^\]\n]{0,1000}\]\[[^\]\n]{0,200}\]"), ""),
    (re.compile(r"\[([^\]\n]{1,1000})\]\([^)\n]{0,2000}\)"), r"\1"),
    (re.compile(r"\[([^\]\n]{1,1000})\]\[[^\]\n]{0,200}\]"), r"\1"),
    (re.compile(r"<(https?://[^>\s]{1,2000})>"), r"\1"),
    (re.compile(r"</?[A-Za-z][^<>\n]{0,2000}>"), ""),
    (re.compile(r"(\*\*|__)(?=\S)(.{1,2000}?)(?<=\S)\1"), r"\2"),
    (re.compile(r"(?<![\w*])\*(?=\S)([^*\n]{1,2000}?)(?<=\S)\*(?![\w*])"), r"\1"),
    (re.compile(r"(?<!\w)_(?=\S)([^_\n]{1,2000}?)(?<=\S)_(?!\w)"), r"\1"),
    (re.compile(r"\\([\\`*_{}\[\]()#+\-.!|<>~])"), r"\1"),
)
_CODE_SPAN = re.compile(r"(`+)(?!`)(.{1,2000}?)(?<!`)\1(?!`)")


def decode(data: bytes) -> str:
    """Bytes of a text file as text; raises ParseFailed for what is none."""
    for bom, encoding in BOMS:
        if data.startswith(bom):
            return data.decode(encoding, "replace")
    wide = _wide(data)
    if wide:
        return data.decode(wide, "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    if looks_binary(data[:65536]):
        raise ParseFailed("This file is not text.")
    return data.decode("cp1252", "replace")


def _wide(data: bytes) -> str:
    """UTF-16 without a mark: nearly every second byte of western text is zero."""
    sample = data[:4096]
    half = max(len(sample) // 2, 1)
    if sample[1::2].count(0) > half * 0.7 and sample[0::2].count(0) < half * 0.1:
        return "utf-16-le"
    if sample[0::2].count(0) > half * 0.7 and sample[1::2].count(0) < half * 0.1:
        return "utf-16-be"
    return ""


def looks_binary(head: bytes) -> bool:
    """Whether the bytes are no text in any encoding we read."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or _wide(head):
        return False
    controls = sum(byte < 9 or 13 < byte < 32 for byte in head)
    return b"\x00" in head or controls > len(head) * 0.02


def parse_text(data: bytes) -> Parsed:
    """Paragraphs between blank lines."""
    builder = Builder()
    for paragraph in _BLANK.split(decode(data).replace("\r\n", "\n").replace("\r", "\n")):
        builder.add("paragraph", paragraph)
    return builder.finish()


def parse_markdown(data: bytes) -> Parsed:
    """Headings, paragraphs, lists, tables and code; comments, pictures and link titles are left out."""
    text = decode(data).replace("\r\n", "\n").replace("\r", "\n")
    title, text = _front_matter(text)
    builder = Builder(title=title)
    comments = _COMMENT.findall(text)
    builder.hidden += len(comments)
    lines = _DEFINITION.sub("", _COMMENT.sub("", text)).split("\n")
    at = 0
    while at < len(lines):
        at = _take(builder, lines, at)
    return builder.finish()


def _front_matter(text: str) -> tuple[str, str]:
    found = _FRONT.match(text)
    if not found:
        return "", text
    title = _FRONT_TITLE.search(found.group(1))
    return (title.group(1).strip().strip("\"'") if title else ""), text[found.end() :]


def _take(builder: Builder, lines: list[str], at: int) -> int:
    """Read the block that begins at a line; returns the line after it."""
    line = lines[at]
    heading, fence = _ATX.match(line), _FENCE.match(line)
    if heading:
        builder.heading(len(heading.group(1)), inline(heading.group(2) or ""))
        return at + 1
    if fence:
        return _take_code(builder, lines, at, fence.group(1))
    if not line.strip() or _RULE.match(line):
        return at + 1
    if "|" in line and at + 1 < len(lines) and "|" in lines[at + 1] and _ALIGN.match(lines[at + 1]):
        return _take_table(builder, lines, at)
    return _take_lines(builder, lines, at)


def _take_code(builder: Builder, lines: list[str], at: int, fence: str) -> int:
    end = at + 1
    while end < len(lines) and not lines[end].strip().startswith(fence):
        end += 1
    builder.add("code", "\n".join(lines[at + 1 : end]))
    return end + 1


def _take_table(builder: Builder, lines: list[str], at: int) -> int:
    rows, end = [_row(lines[at])], at + 2
    while end < len(lines) and "|" in lines[end]:
        rows.append(_row(lines[end]))
        end += 1
    builder.add("table", "\n".join(rows))
    return end


def _row(line: str) -> str:
    return " | ".join(inline(cell.strip()) for cell in line.strip().strip("|").split("|"))


def _take_lines(builder: Builder, lines: list[str], at: int) -> int:
    """A paragraph or a list: lines up to a blank one or the start of something else."""
    end, is_list = at, bool(_ITEM.match(lines[at]))
    taken: list[str] = []
    while end < len(lines) and (lines[end].strip() or (is_list and _list_goes_on(lines, end))):
        line = lines[end]
        underline = _SETEXT.match(line)
        if underline and taken and not is_list:
            builder.heading(1 if underline.group(1)[0] == "=" else 2, inline(" ".join(taken)))
            return end + 1
        if end > at and (_ATX.match(line) or _FENCE.match(line) or (not is_list and _ITEM.match(line))):
            break
        taken.append(line.lstrip("> ") if line.lstrip().startswith(">") else line)
        end += 1
    builder.add(
        "list" if is_list else "paragraph", _items(taken) if is_list else inline(" ".join(map(str.strip, taken)))
    )
    return max(end, at + 1)


def _list_goes_on(lines: list[str], at: int) -> bool:
    following = lines[at + 1] if at + 1 < len(lines) else ""
    return bool(_ITEM.match(following)) or following.startswith(("  ", "\t"))


def _items(lines: list[str]) -> str:
    """One line per item, continuation lines joined to theirs."""
    items: list[str] = []
    for line in lines:
        if _ITEM.match(line) or not items:
            items.append(inline(line.strip()))
        elif line.strip():
            items[-1] += " " + inline(line.strip())
    return "\n".join(items)


def inline(text: str) -> str:
    """Text of a line without markup; what stands in `code` is kept as it is, ticks included."""
    parts: list[str] = []
    end = 0
    for span in _CODE_SPAN.finditer(text):
        parts += [_plain(text[end : span.start()]), f"`{span.group(2).strip()}`"]
        end = span.end()
    return "".join([*parts, _plain(text[end:])])


def _plain(text: str) -> str:
    for pattern, replacement in _INLINE:
        text = pattern.sub(replacement, text)
    return html.unescape(text)
