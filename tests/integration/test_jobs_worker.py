"""The worker as a process of its own: it takes jobs, dies in the middle of one, and nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from server.ids import new_id
from server.storage import bots, documents, queues
from server.storage.database import Database
from server.storage.queues import open_queue
from server.storage.records import DocumentRecord
from server.storage.valkey import Valkey
from tests.integration.knowing import ROOT, Knowing, encoder_socket, knowing

RERUN_S = 15.0
LONG = "\n\n".join(
    f"## Rule {number}\n\n"
    + " ".join(f"Rule {number} says that gate {number * 100 + part} opens at dawn." for part in range(14))
    for number in range(90)
)


@pytest.fixture
async def room(db: Database, valkey: Valkey, tmp_path: Path) -> AsyncIterator[Knowing]:
    async with knowing(db, valkey, tmp_path) as opened:
        run = tmp_path / "run"
        run.mkdir()
        (run / "encoder.sock").symlink_to(encoder_socket())
        (run / "vectors.sock").symlink_to(opened.vectors_socket)
        yield opened


@asynccontextmanager
async def _worker(room: Knowing, folder: Path, valkey_url: str) -> AsyncIterator[subprocess.Popen[bytes]]:
    ready = folder / f"worker-{new_id('job')}.ready"
    environ = os.environ | {
        "PARLOUR_DATA_DIR": str(folder),
        "PARLOUR_REDIS_URL": valkey_url,
        "PARLOUR_DATABASE_URL": room.db.url,
    }
    with (folder / "worker.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "server", "worker", "--ready-file", str(ready)],
            cwd=ROOT,
            env=environ,
            stdout=log,
            stderr=log,
        )
    try:
        await _until(lambda: _exists(ready), 30)
        yield process
    finally:
        process.terminate()
        assert await asyncio.to_thread(process.wait, 15) is not None


async def _exists(path: Path) -> bool:
    return path.exists()


async def _until(check: Callable[[], Awaitable[bool]], within_s: float) -> float:
    began = time.monotonic()
    while not await check():
        if time.monotonic() - began > within_s:
            raise AssertionError(f"not so after {within_s} s")
        await asyncio.sleep(0.05)
    return time.monotonic() - began


async def _now(room: Knowing, document: DocumentRecord) -> DocumentRecord:
    found = await documents.get_document(room.db, room.tenant, document.id)
    assert found is not None
    return found


async def test_a_killed_worker_costs_seconds_and_nothing_else(
    room: Knowing, valkey: Valkey, valkey_url: str, tmp_path: Path
) -> None:
    queue = await open_queue(valkey)
    document = await room.upload("rules.md", LONG.encode(), "text/markdown")
    async with _worker(room, tmp_path, valkey_url) as first:
        await queue.enqueue_ingest(room.tenant, document)

        async def half_way() -> bool:
            return (await _now(room, document)).progress > 0.3

        await _until(half_way, 60)
        first.kill()
        first.wait()
        killed_at = await _now(room, document)
    assert killed_at.status == "embedding"
    async with _worker(room, tmp_path, valkey_url):

        async def goes_on() -> bool:
            return (await _now(room, document)).updated_at > killed_at.updated_at

        assert await _until(goes_on, RERUN_S) < RERUN_S

        async def is_ready() -> bool:
            return (await _now(room, document)).status == "ready"

        await _until(is_ready, 90)
        await _until(lambda: _nothing_open(room, document), 10)
    after = await _now(room, document)
    points = [point async for point in room.library.store.scroll(room.scope)]
    assert len(points) == len(set(points)) == after.chunk_count
    assert await bots.knowledge_epoch(room.db, room.tenant, room.bot) == 1
    assert "Rule 41" in (await room.ask("What does rule 41 say?"))[0]


async def test_a_stopped_worker_gives_its_work_back(
    room: Knowing, valkey: Valkey, valkey_url: str, tmp_path: Path
) -> None:
    document = await room.upload("rules.md", LONG.encode(), "text/markdown")
    async with _worker(room, tmp_path, valkey_url) as worker:

        async def is_embedding() -> bool:
            return (await _now(room, document)).progress > 0.15

        await _until(is_embedding, 60)
        worker.terminate()
        assert await asyncio.to_thread(worker.wait, 15) == 0
    work = await queues.find_work(room.db, room.tenant, document.id)
    assert work is not None
    assert await queues.free_work(room.db, room.tenant) == [work]
    taken = await queues.take_work(room.db, room.tenant, work, "test")
    assert taken is not None
    assert (taken.tries, taken.fence) == (1, 2)


async def _nothing_open(room: Knowing, document: DocumentRecord) -> bool:
    return await queues.find_work(room.db, room.tenant, document.id) is None


async def test_the_sweep_finds_what_valkey_forgot_and_progress_is_told(
    room: Knowing, valkey: Valkey, valkey_url: str, tmp_path: Path
) -> None:
    listening = valkey.subscriber().pubsub()
    await listening.subscribe(documents.channel(room.tenant, room.bot))
    document = await room.upload("short.md", b"# Hours\n\nOpen from nine to five.\n", "text/markdown")
    async with _worker(room, tmp_path, valkey_url):

        async def is_ready() -> bool:
            return (await _now(room, document)).status == "ready"

        await _until(is_ready, 30)
    told = []
    async with aclosing(listening):
        # The first None stands for the acknowledged subscription, the second for the end.
        for _ in range(2):
            while message := await listening.get_message(ignore_subscribe_messages=True, timeout=0.5):
                told.append(json.loads(message["data"]))
    await listening.connection_pool.disconnect()
    states = [(row["event"], row["data"]["status"]) for row in told]
    assert states[0] == ("document", "parsing")
    assert states[-1] == ("document", "ready")
    progress = [row["data"]["progress"] for row in told]
    assert progress == sorted(progress)
    assert progress[-1] == 1.0
