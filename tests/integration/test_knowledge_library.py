"""Searches go on while parts are away, and the index comes back from the database."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from knowledge.embed import EncoderAway, SocketEncoder
from knowledge.library import Library, open_library
from knowledge.records import BotScope
from server.bot import BotConfig
from server.jobs.worker import open_jobs
from server.settings import Settings
from server.storage import bots, documents
from server.storage.database import Database
from server.storage.queues import tenants_with_work
from server.storage.valkey import Valkey
from tests.integration.knowing import ROOT, Knowing, encoder_socket, knowing, running_engine

PAGE = b"""# The library

## Opening hours

The reading room opens at nine in the morning and closes at eight.

## Borrowing

You may borrow six books for four weeks. Magazines stay in the house.
"""


@pytest.fixture
async def room(db: Database, valkey: Valkey, tmp_path: Path) -> AsyncIterator[Knowing]:
    async with knowing(db, valkey, tmp_path) as opened:
        await opened.index("library.md", PAGE)
        yield opened


async def _epoch(room: Knowing) -> int:
    return await bots.knowledge_epoch(room.db, room.tenant, room.bot)


async def _degraded(room: Knowing, library: Library, question: str) -> tuple[list[str], str | None]:
    results = await library.search(room.scope, question, epoch=await _epoch(room))
    return [found.text for found in results.found], results.degraded


async def test_without_the_encoder_words_still_find(room: Knowing, tmp_path: Path) -> None:
    nowhere = tmp_path / "none.sock"
    async with open_library(
        documents.Records(room.db), encoder_socket=nowhere, vectors_socket=room.vectors_socket
    ) as library:
        texts, degraded = await _degraded(room, library, "How many books may I borrow?")
        assert "six books" in texts[0]
        assert degraded == "the encoder is away"
        assert await library.states() == {"vectors": "ok", "encoder": "down"}
        assert (await _degraded(room, library, "what is the capital of France"))[0] == []


async def test_without_any_part_the_database_answers(room: Knowing, tmp_path: Path) -> None:
    nowhere = tmp_path / "none.sock"
    async with open_library(documents.Records(room.db), encoder_socket=nowhere, vectors_socket=nowhere) as library:
        texts, degraded = await _degraded(room, library, "How many books may I borrow?")
        assert "six books" in texts[0]
        assert degraded == "the vector index is away"
        assert (await _degraded(room, library, "how do I bake bread"))[0] == []
        await library.drop(room.tenant, room.bot)


async def test_a_lost_index_is_served_by_words_and_built_anew(
    room: Knowing, db: Database, valkey: Valkey, tmp_path: Path
) -> None:
    shutil.copytree(tmp_path / "vectors", tmp_path / "kept", ignore=shutil.ignore_patterns("tmp-*"))
    empty = tmp_path / "empty"
    with running_engine(empty) as socket:
        async with (
            open_library(documents.Records(db), encoder_socket=encoder_socket(), vectors_socket=socket) as library,
            open_jobs(Settings(data_dir=tmp_path), db, valkey, library, room.files) as jobs,
        ):
            texts, degraded = await _degraded(room, library, "How many books may I borrow?")
            assert "six books" in texts[0]
            assert degraded == "the vector index is away"
            await jobs.upkeep()
            assert await tenants_with_work(db) == [room.tenant]
            await jobs.run(room.tenant, room.bot)
            assert await tenants_with_work(db) == []
            texts, degraded = await _degraded(room, library, "How many books may I borrow?")
            assert "six books" in texts[0]
            assert degraded is None
            await jobs.upkeep()
            assert await tenants_with_work(db) == []


async def test_a_deleted_bot_leaves_no_index(room: Knowing) -> None:
    await bots.create_bot(room.db, room.tenant, BotConfig())
    assert room.scope in await room.library.store.bots()
    await bots.delete_bot(room.db, room.tenant, room.bot)
    await room.jobs.upkeep()
    assert room.scope not in await room.library.store.bots()


async def test_another_tenant_finds_nothing(room: Knowing) -> None:
    stranger = BotScope("ten_somebody", room.bot)
    results = await room.library.search(stranger, "How many books may I borrow?", epoch=await _epoch(room))
    assert results.found == ()


async def test_an_older_epoch_still_sees_its_own_state(room: Knowing) -> None:
    before = await _epoch(room)
    await room.index("library.md", PAGE.replace(b"six books", b"nine books"))
    old = await room.library.search(room.scope, "How many books may I borrow?", epoch=before)
    new = await room.library.search(room.scope, "How many books may I borrow?", epoch=await _epoch(room))
    assert "six books" in old.found[0].text
    assert "nine books" in new.found[0].text


async def test_documents_of_one_bot_flip_side_by_side(room: Knowing) -> None:
    pages = [
        f"# Branch {number}\n\nThe branch number {number} is in street {number}.\n".encode() for number in range(6)
    ]
    uploads = [await room.upload(f"branch{number}.md", page, "text/markdown") for number, page in enumerate(pages)]
    done = await asyncio.gather(*(room.work_on(upload) for upload in uploads))
    assert {document.status for document in done} == {"ready"}
    stats = await room.library.store.stats(room.scope)
    assert stats.points == await documents.count_chunks(room.db, room.tenant, room.bot)


async def test_a_question_does_not_wait_for_documents() -> None:
    encoder = SocketEncoder(encoder_socket())
    about = await encoder.about()
    assert (about.dimensions, about.max_tokens, about.knows("en"), about.knows("de")) == (384, 256, True, False)
    batches = asyncio.create_task(encoder.embed_chunks(["a long text about nothing " * 40] * 32))
    await asyncio.sleep(0.05)
    for _ in range(20):
        try:
            vector = await encoder.embed_question("Where is the reading room?")
            break
        except EncoderAway:  # a loaded machine may miss the deadline once
            continue
    assert len(vector) == 384 * 4
    assert not batches.done()
    await batches
    await encoder.close()


def test_children_die_with_their_parent(tmp_path: Path) -> None:
    script = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-m', 'knowledge.store', '--socket', {str(tmp_path / 's')!r}, "
        f"'--dir', {str(tmp_path / 'v')!r}], stdout=subprocess.PIPE)\n"
        "assert child.stdout.readline() == b'ready\\n'\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    deadline = time.monotonic() + 10
    while _runs(child):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_an_encoder_without_a_model_says_so(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "knowledge.embed", "--socket", str(tmp_path / "e.sock"), "--model", str(tmp_path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=30, env=os.environ)
    assert ended.returncode == 2
    assert b"not the folder of a sentence-transformers model" in ended.stderr
