"""Upload, re-upload and deletion over real SQLite, real Valkey, the real engine and the real encoder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from server.jobs.ingest import Run, ingest
from server.storage import bots, documents, queues
from server.storage.database import Database
from server.storage.valkey import Valkey
from tests.integration.knowing import Knowing, knowing

PAGE = b"""# Opening hours

We are open from nine to five on weekdays.

## Returns

You may return a jacket within thirty days. The refund arrives a week later.
"""


@pytest.fixture
async def room(db: Database, valkey: Valkey, tmp_path: Path) -> AsyncIterator[Knowing]:
    async with knowing(db, valkey, tmp_path) as opened:
        yield opened


async def test_upload_is_found_with_title_and_place(room: Knowing) -> None:
    document = await room.index("shop.md", PAGE)
    assert (document.status, document.progress, document.error) == ("ready", 1.0, None)
    assert (document.title, document.live_version, document.chunk_count) == ("Opening hours", 1, 2)
    epoch = await bots.knowledge_epoch(room.db, room.tenant, room.bot)
    results = await room.library.search(room.scope, "How long can I send a coat back?", epoch=epoch)
    best = results.found[0]
    assert results.degraded is None
    assert (best.title, best.place) == ("Opening hours", "Returns")
    assert "thirty days" in best.text
    assert best.document_id == document.id


async def test_reupload_replaces_and_keeps_what_is_unchanged(room: Knowing) -> None:
    first = await room.index("shop.md", PAGE)
    before = await documents.open_chunks(room.db, room.tenant, first.id)
    second = await room.index("shop.md", PAGE.replace(b"thirty days", b"ninety days"))
    after = await documents.open_chunks(room.db, room.tenant, first.id)
    assert (second.id, second.version, second.live_version) == (first.id, 2, 2)
    assert len(set(before.values()) & set(after.values())) == 1
    texts = await room.ask("Within how many days may a jacket be returned?")
    assert "ninety days" in texts[0]
    assert not any("thirty days" in text for text in texts)


async def test_deletion_leaves_nothing(room: Knowing) -> None:
    document = await room.index("shop.md", PAGE)
    other = await room.index("other.md", b"# Shipping\n\nParcels leave every morning by train.\n")
    await documents.begin_removal(room.db, room.tenant, document.id)
    assert not await room.ask("return a jacket within thirty days")
    await room.work_on(document)
    assert await documents.get_document(room.db, room.tenant, document.id) is None
    stats = await room.library.store.stats(room.scope)
    assert stats.points == await documents.count_chunks(room.db, room.tenant, room.bot) == other.chunk_count
    assert not room.files.path(room.tenant, document.sha256).exists()
    assert room.files.path(room.tenant, other.sha256).exists()


async def test_two_workers_on_one_document_leave_one_set_of_points(room: Knowing) -> None:
    document = await room.upload("shop.md", PAGE, "text/markdown")
    work = await queues.find_work(room.db, room.tenant, document.id)
    assert work is not None
    first = await queues.take_work(room.db, room.tenant, work, "first")
    assert first is not None
    assert await queues.take_work(room.db, room.tenant, work, "second") is None
    # Both run at once, as when the first was believed dead.
    parts = (replace(room.jobs.parts, bot_locks={}), replace(room.jobs.parts, bot_locks={}))
    await asyncio.gather(*(ingest(Run(parts=each, work=first)) for each in parts))
    live = await documents.open_chunks(room.db, room.tenant, document.id)
    assert {point async for point in room.library.store.scroll(room.scope)} == set(live.values())
    assert "thirty days" in (await room.ask("How long can I send a coat back?"))[0]


async def test_many_failures_end_in_a_dead_letter(room: Knowing) -> None:
    document = await room.upload("shop.md", PAGE, "text/markdown")
    work = await queues.find_work(room.db, room.tenant, document.id)
    assert work is not None
    for attempt in range(queues.MAX_TRIES):
        taken = await queues.take_work(room.db, room.tenant, work, "dies")
        assert taken is not None
        assert taken.tries == attempt + 1
        await queues.return_work(room.db, room.tenant, taken, after_s=-1, blameless=False)
    after = await room.work_on(document)
    assert after.status == "failed"
    assert after.error is not None
    assert "stopped the worker" in after.error
    assert await queues.find_work(room.db, room.tenant, document.id) is None
