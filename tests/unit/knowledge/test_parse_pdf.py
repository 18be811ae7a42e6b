"""Lines of a page become headings and paragraphs."""

from __future__ import annotations

from knowledge.parse.pdf import paragraphs

PAGE = """Working at ACME\r
We are a small company that makes lamps in Ghent for homes and\r
offices everywhere.\r
Jobs\r
We look for two engineers with a love of light. Send us a letter\r
or call.\r
"""


def test_a_short_line_above_its_text_is_a_heading() -> None:
    assert list(paragraphs(PAGE)) == [
        (True, "Working at ACME"),
        (False, "We are a small company that makes lamps in Ghent for homes and offices everywhere."),
        (True, "Jobs"),
        (False, "We look for two engineers with a love of light. Send us a letter or call."),
    ]


def test_rows_of_figures_and_broken_lines_are_no_headings() -> None:
    page = "A line that is long enough to be the longest of this whole page.\nLuna 49 euros\nSol 79 euros\nthe end."
    assert [is_heading for is_heading, _ in paragraphs(page)] == [False]
