"""One contract, every store: the embedded engine always, a Qdrant server when PARLOUR_TEST_QDRANT_URL names one."""

from __future__ import annotations

import array
import math
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from knowledge.records import BotScope
from knowledge.store import Close, Delete, DeleteDocument, EdgeStore, KeepOnly, KnowledgeStore, Point, StoreAway, Upsert
from knowledge.store.engine import Engine
from knowledge.store.words import document_words, question_words
from tests.integration.knowing import ROOT, running_engine, start_child, stop_child

SIZE = 8
QDRANT = os.environ.get("PARLOUR_TEST_QDRANT_URL", "")
STORES = [
    "edge",
    pytest.param(
        "server", marks=pytest.mark.skipif(not QDRANT, reason="PARLOUR_TEST_QDRANT_URL names no Qdrant server")
    ),
]


@asynccontextmanager
async def _opened(kind: str, folder: Path) -> AsyncIterator[KnowledgeStore]:
    if kind == "edge":
        with running_engine(folder) as socket:
            edge = EdgeStore(socket)
            yield edge
            await edge.close()
        return
    from knowledge.store.server import ServerStore

    server = ServerStore(QDRANT, os.environ.get("PARLOUR_TEST_QDRANT_API_KEY", ""))
    yield server
    await server.close()


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[KnowledgeStore]:
    async with _opened(request.param, tmp_path / "vectors") as opened:
        yield opened


@pytest.fixture
def bot() -> BotScope:
    return BotScope(f"ten_{uuid.uuid4().hex}", f"bot_{uuid.uuid4().hex}")


def _vector(*head: float) -> bytes:
    values = [*head, *[0.0] * (SIZE - len(head))]
    length = math.sqrt(sum(value * value for value in values))
    return array.array("f", [value / length for value in values]).tobytes()


def _point(text: str, *head: float, document: str = "doc_a", from_epoch: int = 1) -> Point:
    return Point(
        id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"{text}{from_epoch}")), document=document, dense=_vector(*head),
        words=document_words(text, "en"), from_epoch=from_epoch,
    )  # fmt: skip


CAT, DOG, COW = (
    _point("the cat sleeps", 1, 0, 0.1),
    _point("a dog barks", 0, 1, 0.1),
    _point("cows eat grass", 0.1, 0.1, 1),
)


async def _find(
    store: KnowledgeStore, bot: BotScope, question: str, *head: float, generation: int = 1
) -> list[list[str]]:
    legs = await store.search(
        bot, generation=generation, dense=_vector(*head), words=[question_words(question, "en")], limit=10
    )
    return [[hit.id for hit in legs.dense], [hit.id for hit in legs.words]]


async def test_both_legs_find_the_nearest(store: KnowledgeStore, bot: BotScope) -> None:
    await store.apply(bot, [Upsert((CAT, DOG, COW))], generation=1, fingerprint="f")
    dense, words = await _find(store, bot, "barking dogs", 0, 1)
    assert dense[0] == DOG.id
    assert words == [DOG.id]
    stats = await store.stats(bot)
    assert (stats.points, stats.generation, stats.fingerprint) == (3, 1, "f")


async def test_points_are_visible_between_their_epochs(store: KnowledgeStore, bot: BotScope) -> None:
    later = _point("the cat wakes", 1, 0, from_epoch=2)
    await store.apply(bot, [Upsert((CAT, later))], generation=1, fingerprint="f")
    assert (await _find(store, bot, "cat", 1))[1] == [CAT.id]
    await store.apply(bot, [Close((CAT.id, str(uuid.uuid4())), 2)], generation=2, fingerprint="f")
    assert (await _find(store, bot, "cat", 1, generation=2)) == [[later.id], [later.id]]
    assert (await _find(store, bot, "cat", 1, generation=1))[1] == [CAT.id]
    assert [point async for point in store.scroll(bot, generation=2)] == [later.id]
    assert len([point async for point in store.scroll(bot)]) == 2


async def test_changes_may_be_repeated(store: KnowledgeStore, bot: BotScope) -> None:
    for _ in range(2):
        await store.apply(
            bot, [Upsert((CAT, DOG)), Delete((DOG.id,)), Close((CAT.id,), 5)], generation=1, fingerprint="f"
        )
    assert (await store.stats(bot)).points == 1


async def test_documents_go_and_leftovers_too(store: KnowledgeStore, bot: BotScope) -> None:
    other = _point("a bird sings", 0.5, 0.5, document="doc_b")
    await store.apply(bot, [Upsert((CAT, DOG, other)), KeepOnly("doc_a", (CAT.id,))], generation=1, fingerprint="f")
    assert {point async for point in store.scroll(bot)} == {CAT.id, other.id}
    await store.apply(bot, [DeleteDocument("doc_a")], generation=2, fingerprint="f")
    assert [point async for point in store.scroll(bot)] == [other.id]
    await store.apply(bot, [KeepOnly("doc_b", ())], generation=3, fingerprint="f")
    assert (await store.stats(bot)).points == 0


async def test_bots_do_not_meet(store: KnowledgeStore, bot: BotScope) -> None:
    neighbour = BotScope(bot.tenant, f"{bot.bot}x")
    stranger = BotScope(f"{bot.tenant}x", bot.bot)
    await store.apply(bot, [Upsert((CAT,))], generation=1, fingerprint="f")
    await store.apply(neighbour, [Upsert((DOG,))], generation=1, fingerprint="f")
    assert (await _find(store, bot, "dog", 0, 1)) == [[CAT.id], []]
    with pytest.raises(StoreAway, match="another tenant"):
        await _find(store, stranger, "cat", 1)
    await store.drop(neighbour)
    assert (await store.stats(neighbour)).generation == -1
    assert (await store.stats(bot)).points == 1
    found = await store.bots()
    assert bot in found
    assert neighbour not in found
    await store.drop(bot)


async def test_an_unknown_bot_is_empty(store: KnowledgeStore, bot: BotScope) -> None:
    assert await _find(store, bot, "cat", 1) == [[], []]
    assert (await store.stats(bot)).generation == -1
    assert [point async for point in store.scroll(bot)] == []
    await store.drop(bot)


async def test_another_encoder_starts_anew(store: KnowledgeStore, bot: BotScope) -> None:
    await store.apply(bot, [Upsert((CAT,))], generation=1, fingerprint="f")
    await store.apply(bot, [Upsert((DOG,))], generation=2, fingerprint="g")
    assert [point async for point in store.scroll(bot)] == [DOG.id]
    assert (await store.stats(bot)).fingerprint == "g"


async def test_an_index_that_is_being_built_is_not_searched(store: KnowledgeStore, bot: BotScope) -> None:
    await store.apply(bot, [Upsert((CAT,))], generation=-1, fingerprint="f")
    assert await _find(store, bot, "cat", 1) == [[], []]


# The embedded engine's own promises -------------------------------------------------------------------------------------
async def test_acknowledged_points_survive_kill_nine(tmp_path: Path, bot: BotScope) -> None:
    socket = Path(str(tmp_path)) / "v.sock"
    process = start_child("knowledge.store", "--socket", str(socket), "--dir", str(tmp_path / "v"), socket=socket)
    store = EdgeStore(socket)
    await store.apply(bot, [Upsert((CAT, DOG, COW))], generation=7, fingerprint="f")
    process.send_signal(signal.SIGKILL)
    process.wait()
    with pytest.raises(StoreAway):
        await store.stats(bot)
    socket.unlink()
    process = start_child("knowledge.store", "--socket", str(socket), "--dir", str(tmp_path / "v"), socket=socket)
    stats = await store.stats(bot)
    assert (stats.points, stats.generation) == (3, 7)
    await store.close()
    stop_child(process)


def test_a_second_owner_is_refused(tmp_path: Path) -> None:
    with running_engine(tmp_path / "v"):
        second = subprocess.run(
            [sys.executable, "-m", "knowledge.store", "--socket", str(tmp_path / "x.sock"), "--dir", str(tmp_path / "v")],
            cwd=ROOT, capture_output=True, check=False, timeout=30,
        )  # fmt: skip
    assert second.returncode == 3
    assert b"already in use by process" in second.stderr


def test_few_shards_stay_open_and_a_broken_one_is_set_aside(tmp_path: Path) -> None:
    engine = Engine(tmp_path, open_shards=2)
    row = [CAT.id, "doc", CAT.dense, [CAT.words.indices, CAT.words.values, "en"], 1, 2**31 - 1]
    for name in ("bot_a", "bot_b", "bot_c"):
        engine.apply("ten", name, [["upsert", [row]]], 1, "f")
    assert engine.stats("ten", "bot_a")["points"] == 1
    with pytest.raises(ValueError, match="not a bot"):
        engine.stats("ten", "../etc")
    engine.close()
    for path in (tmp_path / "bot_a" / "points").rglob("*"):
        if path.is_file():
            path.write_bytes(b"rubbish")
    fresh = Engine(tmp_path)
    assert fresh.stats("ten", "bot_a")["points"] == 0
    assert fresh.stats("ten", "bot_b")["points"] == 1
    fresh.close()
