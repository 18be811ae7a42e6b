"""The process that reads one document: `python -m knowledge.parse.child MEDIA_TYPE < file`.

It limits itself before it touches the document, knows no secret, and answers one JSON object on its standard output:
{"parsed": ...} or {"failed": "a sentence"}.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
from collections.abc import Callable
from typing import Any

from knowledge.parse.blocks import Parsed, ParseFailed
from knowledge.parse.formats import PARSERS
from knowledge.process import die_with_parent

MEMORY_BYTES = 512 * 1024 * 1024
CPU_S = 20
FILES = 64
MAX_INPUT_BYTES = 100_000_000
TOO_MUCH_MEMORY = "This file needs more memory to read than is allowed."


def limit() -> None:
    """Memory, processor time, open files; and not one byte may be written to a file."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S + 2))
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def parse(data: bytes, media_type: str) -> Parsed:
    """Try the parsers of a kind in order; raises the first one's ParseFailed when none succeeds."""
    failures: list[ParseFailed] = []
    for name in PARSERS[media_type].parsers:
        try:
            return _parser(name)(data)
        except ParseFailed as problem:
            failures.append(problem)
        except MemoryError:
            failures.append(ParseFailed(TOO_MUCH_MEMORY))
        except Exception as problem:  # libraries meet hostile files with every kind of exception
            failures.append(ParseFailed(f"This file could not be read ({type(problem).__name__})."))
    raise failures[0]


def _parser(name: str) -> Callable[[bytes], Parsed]:
    module, _, function = name.partition(":")
    found: Callable[[bytes], Parsed] = getattr(importlib.import_module(module), function)
    return found


def main() -> None:
    """Read, parse, answer."""
    die_with_parent()
    limit()
    answer: dict[str, Any]
    try:
        data = sys.stdin.buffer.read(MAX_INPUT_BYTES)
        answer = {"parsed": parse(data, sys.argv[1]).to_json()}
    except ParseFailed as problem:
        answer = {"failed": str(problem)}
    except BaseException as problem:  # whatever a document does to us, its owner gets a sentence
        answer = {"failed": TOO_MUCH_MEMORY if isinstance(problem, MemoryError) else "This file could not be read."}
    os.write(1, b"")  # fail here, not half-way, if nobody listens
    sys.stdout.buffer.write(json.dumps(answer).encode())
    sys.stdout.buffer.flush()
    # No finalisers: some libraries crash in theirs under a memory limit, after the answer was given.
    os._exit(0)


if __name__ == "__main__":
    main()
