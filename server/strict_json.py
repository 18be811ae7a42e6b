"""The one reader of foreign JSON: depth, size, duplicate keys, NaN, surrogates.

Python's own reader accepts NaN, 1e999, duplicate keys, lone surrogates and nests until the stack ends; every one of
them has turned into a 500 or a confused store somewhere. Foreign bytes pass here first, on REST and on sockets alike.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from server import errors

MAX_DEPTH = 32
MAX_VALUES = 20_000
_MAX_INTEGER = 2**63
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")
_SEPARATOR = re.compile(r"[,\[{]")
_BAD_TEXT = re.compile("[\x00\ud800-\udfff]")


def loads(data: bytes | str, *, max_depth: int = MAX_DEPTH, max_values: int = MAX_VALUES) -> dict[str, Any]:
    """Read one JSON object; raises BadEncoding, BadJson, DuplicateKey, BadText or BadMessage (root is no object)."""
    text = _decode(data)
    _check_shape(text, max_depth, max_values)
    try:
        value = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=_finite, parse_int=_bounded
        )
    except (ValueError, RecursionError):
        raise errors.BadJson from None
    if not isinstance(value, dict):
        raise errors.BadMessage("The root must be an object.")
    _check_text(value)
    return value


def _decode(data: bytes | str) -> str:
    if isinstance(data, str):
        return data
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or data[:3] == b"\xef\xbb\xbf":
        raise errors.BadEncoding
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise errors.BadEncoding from None


def _check_shape(text: str, max_depth: int, max_values: int) -> None:
    """Bound depth and count before parsing, so that no parser ever sees a bomb."""
    bare = _STRING.sub('""', text)
    if len(_SEPARATOR.findall(bare)) > max_values:
        raise errors.BadJson("The body holds too many values.")
    depth = 0
    for bracket in _BRACKET.findall(bare):
        depth += 1 if bracket in "[{" else -1
        if depth > max_depth:
            raise errors.BadJson("The body is nested too deeply.")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise errors.DuplicateKey
    return value


def _refuse_constant(name: str) -> float:
    raise errors.BadJson(f"{name} is not JSON.")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise errors.BadJson("A number is too large.")
    return value


def _bounded(text: str) -> int:
    if len(text) > 20 or not -_MAX_INTEGER <= int(text) < _MAX_INTEGER:
        raise errors.BadJson("An integer is too large.")
    return int(text)


def _check_text(value: Any) -> None:
    """Refuse NUL and lone surrogates anywhere: neither can be stored or sent on."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            if _BAD_TEXT.search(item):
                raise errors.BadText
        elif isinstance(item, dict):
            stack.extend(item.keys())
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
