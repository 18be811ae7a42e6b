from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.llm.sse import EventParser, Garbled

EVENTS = st.lists(
    st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\r\n"), max_size=30), max_size=6
)


def parse(parts: list[bytes]) -> list[bytes]:
    parser = EventParser()
    found = [event for part in parts for event in parser.feed(part)]
    return found + parser.close()


@given(EVENTS, st.sampled_from(["\n", "\r\n", "\r"]), st.lists(st.integers(0, 400), max_size=20), st.booleans())
def test_any_chunking_gives_the_same_events(texts: list[str], end: str, cuts: list[int], comments: bool) -> None:
    wire = "".join(f"{': ping' + end if comments else ''}data: {text}{end}{end}" for text in texts).encode()
    edges = [0, *sorted(min(cut, len(wire)) for cut in cuts), len(wire)]
    assert parse([wire[a:b] for a, b in pairwise(edges)]) == [text.encode() for text in texts]


@given(st.binary(max_size=300))
def test_single_bytes_and_one_piece_agree_on_any_bytes(wire: bytes) -> None:
    assert parse([wire]) == parse([wire[i : i + 1] for i in range(len(wire))])


@pytest.mark.parametrize(
    ("wire", "events"),
    [
        (b"data: a\n\n", [b"a"]),
        (b"data:a\n\n", [b"a"]),
        (b"data:  a\n\n", [b" a"]),
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        (b"data: a\rdata: b\r\r", [b"a\nb"]),
        (b": comment\n\ndata: a\n\n", [b"a"]),
        (b"event: x\nid: 7\nretry: 9\ndata: a\n\n", [b"a"]),
        (b"data\n\n", [b""]),
        (b"data: unfinished", [b"unfinished"]),
        (b"data: one\n\n\n\ndata: two\n", [b"one", b"two"]),
        (b"", []),
    ],
)
def test_forms_of_events(wire: bytes, events: list[bytes]) -> None:
    assert parse([wire]) == events


def test_a_line_over_the_limit_is_garbled_whether_ended_or_not() -> None:
    with pytest.raises(Garbled):
        EventParser(line_limit=100).feed(b"data: " + b"x" * 200)
    with pytest.raises(Garbled):
        EventParser(line_limit=100).feed(b"data: " + b"x" * 200 + b"\n\n")


def test_a_stream_over_the_limit_is_garbled() -> None:
    parser = EventParser(limit=50)
    parser.feed(b"data: a\n\n" * 5)
    with pytest.raises(Garbled):
        parser.feed(b"data: a\n\n")


def test_lines_of_no_event_are_kept_for_the_diagnosis() -> None:
    parser = EventParser()
    assert parser.feed(b"<html>\n<body>\n") == []
    assert parser.close() == []
    assert parser.raw == b"<html>\n<body>\n"
