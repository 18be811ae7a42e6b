"""A server-sent-events parser without I/O: bytes in, data fields out, whatever way the bytes are cut."""

from __future__ import annotations

from typing import Final

MAX_LINE_BYTES: Final = 256 * 1024
MAX_STREAM_BYTES: Final = 64 * 1024 * 1024
"""Of the wire, not of the answer: a token of three letters travels in 300 bytes of JSON."""
KEPT_RAW_BYTES: Final = 4096


class Garbled(Exception):
    """The far side sends what is not a stream of events: too long a line, too long an answer, or no such format."""


class EventParser:
    """Splits a byte stream into the data of its events.

    Lines end with \\n, \\r\\n or \\r, mixed as the sender likes. Comments, event names and ids are dropped: every
    dialect we speak repeats the kind inside the data. Data stays bytes, since a line ends on an ASCII byte and so never
    inside a character. `raw` keeps the first lines that belong to no event.
    """

    __slots__ = ("_data", "_limit", "_line_limit", "_rest", "_seen", "_skip_newline", "raw")

    def __init__(self, line_limit: int = MAX_LINE_BYTES, limit: int = MAX_STREAM_BYTES) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._skip_newline = False
        self._seen = 0
        self._line_limit = line_limit
        self._limit = limit
        self.raw = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of every event that `chunk` completes; raises `Garbled` beyond the limits (bytes)."""
        self._seen += len(chunk)
        if self._seen > self._limit:
            raise Garbled(f"the answer is longer than {self._limit} bytes")
        events: list[bytes] = []
        for line in self._lines(chunk):
            if not line:
                if self._data:
                    events.append(self._joined())
            elif line.startswith(b"data:"):
                self._data.append(line[6:] if line[5:6] == b" " else line[5:])
            else:
                self._other(line)
        return events

    def close(self) -> list[bytes]:
        """What stood unfinished at the end: some servers leave out the last blank line."""
        line, self._rest = self._rest, b""
        if line.startswith(b"data:"):
            self._data.append(line[6:] if line[5:6] == b" " else line[5:])
        elif line:
            self._other(line)
        return [self._joined()] if self._data else []

    def _joined(self) -> bytes:
        data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
        self._data.clear()
        return data

    def _other(self, line: bytes) -> None:
        """Comments, `event:`, `id:` and `retry:` pass; other lines are kept: a page or bare JSON is no stream."""
        if line == b"data":
            self._data.append(b"")
        elif not line.startswith((b":", b"event:", b"id:", b"retry:")):
            self.raw = (self.raw + line + b"\n")[:KEPT_RAW_BYTES]

    def _lines(self, chunk: bytes) -> list[bytes]:
        if self._skip_newline and chunk:
            self._skip_newline = False
            if chunk[:1] == b"\n":
                chunk = chunk[1:]
        text = self._rest + chunk if self._rest else chunk
        if b"\r" in text:
            self._skip_newline = text.endswith(b"\r")
            text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = text.split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > self._line_limit or any(len(line) > self._line_limit for line in lines):
            raise Garbled(f"a line is longer than {self._line_limit} bytes")
        return lines
