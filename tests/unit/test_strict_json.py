"""The one reader of foreign JSON: what it takes, what it calls what it refuses, and nothing else ever."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server import errors
from server.strict_json import MAX_VALUES, loads

REFUSED: dict[str, tuple[bytes | str, type[errors.ParlourError]]] = {
    "empty": (b"", errors.BadJson),
    "blank": (b"  ", errors.BadJson),
    "no JSON": (b"hello", errors.BadJson),
    "cut": (b'{"a": "b', errors.BadJson),
    "cut in an escape": (b'{"a": "\\', errors.BadJson),
    "trailing bytes": (b'{"a": 1} x', errors.BadJson),
    "two objects": (b"{}{}", errors.BadJson),
    "trailing comma": (b'{"a": 1,}', errors.BadJson),
    "single quotes": (b"{'a': 1}", errors.BadJson),
    "comment": (b'{"a": 1} // x', errors.BadJson),
    "raw line break in a text": (b'{"a": "x\ny"}', errors.BadJson),
    "raw NUL in a text": (b'{"a": "\x00"}', errors.BadJson),
    "NUL": (b'{"a": "\\u0000"}', errors.BadText),
    "NUL in a key": (b'{"\\u0000": 1}', errors.BadText),
    "lone surrogate": (b'{"a": "\\ud800"}', errors.BadText),
    "lone low surrogate": (b'{"a": ["\\udc00"]}', errors.BadText),
    "surrogates in the wrong order": (b'{"a": {"b": "\\udc00\\ud800"}}', errors.BadText),
    "surrogate as text": ('{"a": "\ud800"}', errors.BadText),
    "NaN": (b'{"a": NaN}', errors.BadJson),
    "Infinity": (b'{"a": Infinity}', errors.BadJson),
    "-Infinity": (b'{"a": -Infinity}', errors.BadJson),
    "1e999": (b'{"a": 1e999}', errors.BadJson),
    "-1e999": (b'{"a": [-1e999]}', errors.BadJson),
    "2 ** 63": (b'{"a": 9223372036854775808}', errors.BadJson),
    "-2 ** 63 - 1": (b'{"a": -9223372036854775809}', errors.BadJson),
    "5000 digits": (b'{"a": ' + b"9" * 5000 + b"}", errors.BadJson),
    "leading zero": (b'{"a": 01}', errors.BadJson),
    "duplicate key": (b'{"a": 1, "a": 2}', errors.DuplicateKey),
    "duplicate key, escaped": (b'{"a": 1, "\\u0061": 2}', errors.DuplicateKey),
    "duplicate key inside": (b'{"b": [{"a": 1, "a": 1}]}', errors.DuplicateKey),
    "array": (b"[]", errors.BadMessage),
    "text": (b'"x"', errors.BadMessage),
    "number": (b"1", errors.BadMessage),
    "null": (b"null", errors.BadMessage),
    "deep arrays": (b"[" * 100_000, errors.BadJson),
    "deep objects": (b'{"x":' * 20_000, errors.BadJson),
    "deep behind a text": (b'{"a": "\\"", "b": ' + b"[" * 40 + b"]" * 40 + b"}", errors.BadJson),
    "33 levels": (b'{"a":' * 33 + b"1" + b"}" * 33, errors.BadJson),
    "too many values": (b'{"a": [' + b"1," * MAX_VALUES + b"1]}", errors.BadJson),
    "byte order mark": (b"\xef\xbb\xbf{}", errors.BadEncoding),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), errors.BadEncoding),
    "UTF-16 big": (b"\xfe\xff\x00{\x00}", errors.BadEncoding),
    "UTF-16 without a mark": ('{"a": 1}'.encode("utf-16-le"), errors.BadJson),
    "Latin-1": ('{"a": "é"}'.encode("latin-1"), errors.BadEncoding),
    "overlong": (b'{"a": "\xc0\x80"}', errors.BadEncoding),
    "surrogate in UTF-8": (b'{"a": "\xed\xa0\x80"}', errors.BadEncoding),
    "mark as text": ("\ufeff{}", errors.BadJson),
}


@pytest.mark.parametrize(("data", "expected"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(data: bytes | str, expected: type[errors.ParlourError]) -> None:
    with pytest.raises(errors.ParlourError) as caught:
        loads(data)
    assert type(caught.value) is expected


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"{}", {}),
        (b' {"a" : null } \n', {"a": None}),
        (b'{"a": 9223372036854775807, "b": -9223372036854775808}', {"a": 2**63 - 1, "b": -(2**63)}),
        (b'{"a": 1.5e300, "b": -0.0, "c": 1E2}', {"a": 1.5e300, "b": -0.0, "c": 100.0}),
        (b'{"a": "\\ud83d\\ude00", "b": "\xf0\x9f\x98\x80"}', {"a": "😀", "b": "😀"}),
        (b'{"a": "[[[[{{{{,,,,\\""}', {"a": '[[[[{{{{,,,,"'}),
        (b'{"a":' * 32 + b"1" + b"}" * 32, None),
        ('{"a": "é"}', {"a": "é"}),
        (b'{"__proto__": 1, "constructor": 2}', {"__proto__": 1, "constructor": 2}),
    ],
)
def test_taken(data: bytes | str, value: dict[str, Any] | None) -> None:
    read = loads(data)
    assert value is None or read == value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_characters="\x00")),
    lambda inner: st.lists(inner, max_size=5)
    | st.dictionaries(st.text(st.characters(codec="utf-8", exclude_characters="\x00")), inner, max_size=5),
    max_leaves=30,
)  # fmt: skip


@given(st.dictionaries(st.text(st.characters(codec="utf-8", exclude_characters="\x00")), JSON, max_size=5))
def test_what_json_writes_is_read_back(value: dict[str, Any]) -> None:
    for ascii_only in (True, False):
        assert loads(json.dumps(value, ensure_ascii=ascii_only)) == value


FRAGMENTS = st.sampled_from([*'{}[],:"\\- \x00\ud800', "\\u", "d800", "0000", "NaN", "1e999", "9" * 30, '"a"', "null"])


@given(st.binary() | st.text(st.characters(exclude_categories=[])) | st.lists(FRAGMENTS).map("".join))
def test_nothing_but_a_value_or_a_documented_error(data: bytes | str) -> None:
    assert outcome(data) in {200, 400, 422}


def outcome(data: bytes | str) -> int:
    try:
        return 200 if isinstance(loads(data), dict) else 0
    except errors.ParlourError as refused:
        return refused.status
