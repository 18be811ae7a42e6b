"""Documents to text, each in a limited process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path

from knowledge.parse.blocks import Block, Kind, Parsed, ParseFailed
from knowledge.parse.formats import HEAD_BYTES, PARSERS, Format, sniff

WALL_S = 30.0
MAX_ANSWER_BYTES = 80_000_000
_ROOT = Path(__file__).parent.parent.parent
# Nothing of our own environment: keys and secrets have no business beside a stranger's document.
_ENVIRON = {"PYTHONPATH": str(_ROOT), "PYTHONDONTWRITEBYTECODE": "1", "LANG": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1"}
TOO_LONG = "This file took too long to read."


class ParserDied(Exception):
    """The reading process ended without an answer; it may be the file's doing or the machine's."""


async def parse_document(path: Path, media_type: str) -> Parsed:
    """Read a document; raises ParseFailed (a sentence for its owner) or ParserDied."""
    if media_type not in PARSERS:
        raise ParseFailed("This kind of file cannot be read.")
    code, output = await _run(path, media_type)
    if code in {-signal.SIGXCPU, -signal.SIGALRM} or (code == -signal.SIGKILL and output is None):
        raise ParseFailed(TOO_LONG)
    if not output:
        raise ParserDied(f"the reading process ended with code {code}")
    try:
        answer = json.loads(output)
        if "failed" in answer:
            raise ParseFailed(str(answer["failed"])[:500])
        return Parsed.from_json(answer["parsed"])
    except (ValueError, KeyError, TypeError) as problem:
        raise ParserDied("the reading process gave half an answer") from problem


async def _run(path: Path, media_type: str) -> tuple[int, bytes | None]:
    """Exit code and output of the child; output None when it ran out of time or said too much."""
    with path.open("rb") as file:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "knowledge.parse.child", media_type),
            stdin=file,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=_ENVIRON,
            cwd="/",
            start_new_session=True,
        )
    output: bytes | None = None
    try:
        async with asyncio.timeout(WALL_S):
            output = await _read(process)
            await process.wait()
    except TimeoutError:
        output = None
    finally:
        _kill_group(process)
        await process.wait()
    return process.returncode or 0, output


async def _read(process: asyncio.subprocess.Process) -> bytes | None:
    assert process.stdout is not None  # noqa: S101 - made with a pipe
    parts: list[bytes] = []
    size = 0
    while part := await process.stdout.read(1 << 20):
        parts.append(part)
        size += len(part)
        if size > MAX_ANSWER_BYTES:
            return None
    return b"".join(parts)


def _kill_group(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


__all__ = [
    "HEAD_BYTES",
    "PARSERS",
    "Block",
    "Format",
    "Kind",
    "ParseFailed",
    "Parsed",
    "ParserDied",
    "parse_document",
    "sniff",
]
