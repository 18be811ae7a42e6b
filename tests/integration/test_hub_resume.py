"""Nothing lost, nothing doubled: cuts, hops between processes, killed subscribers, flushed logs, dead producers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.ids import new_ulid
from server.storage.database import Database
from server.storage.valkey import Valkey
from tests.hubs import Node, Stage, expected, open_stage
from tests.visitor import Conversation, Visitor

TOKENS = 120


@pytest.fixture
async def stage(db: Database, valkey: Valkey, valkey_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(db, valkey_url, tmp_path, nodes=2) as opened:
        yield opened


async def _wander(stage: Stage, seed: int) -> Visitor:
    """One visitor who loses the connection at random and comes back to any process, until the answer has ended."""
    chance = random.Random(seed)
    visitor = await stage.visitor(chance.choice(stage.nodes))
    await visitor.ask(f"count {TOKENS} 4")
    while not visitor.state.ends:
        await asyncio.sleep(chance.uniform(0.0, 0.12))
        if visitor.state.ends:
            break
        await visitor.cut()
        await asyncio.sleep(chance.uniform(0.0, 0.03))
        await visitor.connect(chance.choice(stage.nodes).url(stage.bot.id))
    await visitor.close()
    return visitor


def _check_whole(visitor: Visitor, text: str) -> None:
    assert list(visitor.state.texts.values()) == [text]
    assert list(visitor.state.terminals.values()) == [1]
    assert visitor.state.wrong_lengths == []
    seqs = [frame["seq"] for frame in visitor.state.applied]
    assert seqs == sorted(set(seqs))


async def test_cuts_and_hops_lose_and_double_nothing(stage: Stage) -> None:
    visitors = await asyncio.gather(*[_wander(stage, seed) for seed in range(30)])
    for visitor in visitors:
        _check_whole(visitor, expected(TOKENS))
        assert visitor.state.restarts == 1, "a resume on a living log is never refused"
    assert sum(len(visitor.welcomes) for visitor in visitors) > 60
    assert len(stage.turns.begun) == 30


async def _kill_subscribers(valkey: Valkey, until: asyncio.Event) -> int:
    kills = 0
    while not until.is_set():
        await asyncio.sleep(0.15)
        kills += int(await valkey.commands.client_kill_filter(_type="pubsub"))
    return kills


async def test_killed_subscribers_lose_nothing(stage: Stage, valkey: Valkey) -> None:
    done = asyncio.Event()
    killer = asyncio.create_task(_kill_subscribers(valkey, done))
    visitors = await asyncio.gather(*[_wander(stage, 100 + seed) for seed in range(12)])
    done.set()
    assert await killer > 3
    for visitor in visitors:
        _check_whole(visitor, expected(TOKENS))


async def test_two_tabs_on_two_processes_show_the_same(stage: Stage) -> None:
    token = await stage.token()
    first, second = [await stage.visitor(node, token) for node in stage.nodes]
    async with first, second:
        await first.ask("count 60 2")
        await asyncio.gather(first.end(), second.end())
        await second.ask("count 30 1")
        await first.until(lambda: len(first.state.ends) == 2)
        await second.until(lambda: len(second.state.ends) == 2)
        late = await stage.visitor(stage.nodes[0], token)
        async with late:
            await late.until(lambda: _knows(late, expected(30)))
            told = [message["text"] for message in late.state.messages.values()]
            assert told[:3] == ["count 60 2", expected(60), "count 30 1"]
    assert first.state.hash() == second.state.hash()
    assert sorted(first.state.texts.values()) == sorted([expected(60), expected(30)])


async def test_a_tab_that_comes_in_mid_answer_gets_one_snapshot_and_the_rest(stage: Stage) -> None:
    token = await stage.token()
    async with await stage.visitor(stage.nodes[0], token) as first:
        await first.ask("count 100 4")
        await first.wait_for(lambda frame: frame["type"] == "stream_chunk")
        late: list[Visitor] = []
        for number in range(12):
            late.append(await stage.visitor(stage.nodes[number % 2], token))
            await asyncio.sleep(0.03)
        await first.end()
        for tab in late:
            await _until_told(tab)
            await tab.close()
            _check_late(tab, expected(100))


async def _until_told(tab: Visitor) -> None:
    await tab.until(lambda: bool(tab.state.ends) or len(tab.state.messages) == 2)


async def _until_known(tab: Visitor, text: str) -> None:
    await tab.until(lambda: _knows(tab, text))


async def _ask_and_wait(tab: Visitor, text: str, timeout_s: float = 10) -> None:
    """Ask, and wait for the end of that answer."""
    before = len(tab.state.ends)
    await tab.ask(text)
    await tab.until(lambda: len(tab.state.ends) > before, timeout_s)


def _check_late(tab: Visitor, text: str) -> None:
    snapshots = tab.of_type("stream_snapshot")
    if tab.state.ends:
        assert len(snapshots) == 1
        assert snapshots[0]["seq"] == tab.welcomes[0]["seq"]
        assert tab.welcomes[0]["activeStream"]["streamId"] == snapshots[0]["streamId"]
        assert list(tab.state.texts.values()) == [text]
    else:
        assert [message["text"] for message in tab.state.messages.values()][-1] == text


async def test_attach_races_with_a_fast_answer(stage: Stage) -> None:
    """Tabs that attach in the very moment of start and end see the whole answer, in the stream or in history."""
    for round_ in range(10):
        token = await stage.token()
        async with await stage.visitor(stage.nodes[0], token) as asker:
            await asker.ask("count 5 0")
            tabs = await asyncio.gather(
                *[stage.visitor(stage.nodes[(number + round_) % 2], token) for number in range(4)]
            )
            for tab in tabs:
                await _until_known(tab, expected(5))
                assert all(count == 1 for count in tab.state.terminals.values())
                await tab.close()


def _knows(tab: Visitor, text: str) -> bool:
    shown = [*tab.state.texts.values(), *[message["text"] for message in tab.state.messages.values()]]
    return text in shown and bool(tab.state.ends or len(tab.state.messages) > 1)


async def test_more_than_256_missed_events_come_folded(stage: Stage) -> None:
    token = await stage.token()
    visitor = await stage.visitor(stage.nodes[0], token)
    await visitor.cut()
    async with await stage.visitor(stage.nodes[1], token) as other:
        for _ in range(24):
            await _ask_and_wait(other, "big 20")
    await visitor.connect()
    await visitor.until(lambda: len(visitor.state.ends) == 24)
    await visitor.close()
    assert visitor.welcomes[-1]["resumed"] is True
    assert visitor.of_type("stream_snapshot")
    assert visitor.state.gaps == 0
    assert visitor.state.hash() == other.state.hash()


async def test_sync_fills_a_gap(stage: Stage) -> None:
    async with await stage.visitor(stage.nodes[0]) as visitor:
        await visitor.ask("count 20 1")
        end = await visitor.end()
        top = visitor.state.last
        again = Conversation()
        again.epoch, again.last = visitor.state.epoch, 0
        visitor.state, whole = again, visitor.state
        await visitor.send({"type": "sync", "epoch": whole.epoch, "seq": 0})
        await visitor.until(lambda: visitor.state.last == top)
        assert visitor.state.texts[end["streamId"]] == whole.texts[end["streamId"]]
        await visitor.send({"type": "sync", "epoch": "another", "seq": 3})
        await visitor.until(lambda: len(visitor.welcomes) == 2)
        assert visitor.welcomes[-1]["resumed"] is False


@pytest.mark.parametrize(("epoch", "seq"), [("other", 1), (None, 10_000)])
async def test_a_place_that_is_not_ours_is_not_resumed(stage: Stage, epoch: str | None, seq: int) -> None:
    visitor = await stage.visitor(stage.nodes[0])
    await visitor.close()
    visitor.state.epoch = epoch or visitor.state.epoch
    visitor.state.last = seq
    welcome = await visitor.connect()
    await visitor.close()
    assert welcome["resumed"] is False


async def test_the_same_message_five_times_over_two_processes_is_one_answer(stage: Stage) -> None:
    token = await stage.token()
    tabs = [await stage.visitor(node, token) for node in stage.nodes]
    message = new_ulid()
    await asyncio.gather(*[tabs[number % 2].ask("count 10 1", id=message) for number in range(5)])
    await asyncio.gather(*[tab.end() for tab in tabs])
    await tabs[0].ask("count 10 1", id=message)
    await tabs[0].until(lambda: sum(frame.get("id") == message for frame in tabs[0].of_type("ack")) == 4)
    acks = [frame for tab in tabs for frame in tab.of_type("ack")]
    for tab in tabs:
        await tab.close()
    assert len(stage.turns.begun) == 1
    assert len({ack["messageId"] for ack in acks}) == 1
    assert len({ack["seq"] for ack in acks}) == 1
    assert sum(bool(ack.get("duplicate")) for ack in acks) == 5
    assert len(tabs[0].of_type("message")) == 1


async def test_a_flushed_log_goes_on_under_a_new_epoch(stage: Stage, valkey: Valkey) -> None:
    async with await stage.visitor(stage.nodes[0]) as visitor:
        await visitor.ask("count 150 10")
        await visitor.until(lambda: len(visitor.of_type("stream_chunk")) > 3)
        before = visitor.state.epoch
        await valkey.commands.flushall()
        end = await visitor.end()
        assert visitor.state.epoch != before
        assert visitor.state.texts[end["streamId"]] == expected(150)
        assert visitor.state.restarts >= 2


async def test_a_dead_producer_is_ended_by_the_other_process(stage: Stage) -> None:
    token = await stage.token()
    writer, watcher = stage.nodes
    asker = await stage.visitor(writer, token)
    async with await stage.visitor(watcher, token) as tab:
        await asker.ask("count 1000 10")
        await tab.until(lambda: len(tab.of_type("stream_chunk")) > 3)
        await asker.cut()
        await _die(stage, writer)
        end = await tab.end(timeout_s=9)
        assert (end["type"], end["code"], end["retryable"]) == ("stream_error", "interrupted", True)
        text = next(iter(tab.state.texts.values()))
        assert text
        assert expected(1000).startswith(text)
        again = await tab.command({"type": "history", "limit": 10})
        assert [(row["status"], row["text"]) for row in again["messages"]][-1] == ("interrupted", text)
        await tab.ask("count 3")
        await tab.until(lambda: len(tab.state.ends) == 2)


async def _die(stage: Stage, node: Node) -> None:
    await stage.kill_node(node)


async def test_a_log_that_forgot_its_end_is_not_continued_under_its_epoch(stage: Stage, valkey: Valkey) -> None:
    """An older copy of the log came back (a failover, an old AOF): what it forgot must not be numbered twice."""
    async with await stage.visitor(stage.nodes[0]) as visitor:
        await visitor.ask("count 200 8")
        await visitor.until(lambda: len(visitor.of_type("stream_chunk")) > 6)
        before = visitor.state.epoch
        keys = [key async for key in valkey.commands.scan_iter(match="*meta:*")]
        async with valkey.commands.pipeline(transaction=True) as pipe:
            pipe.hincrby(keys[0], "s", -3)
            pipe.hincrby(keys[0], "n", -3)
            await pipe.execute()
        end = await visitor.end()
        assert visitor.state.epoch != before
        assert visitor.state.texts[end["streamId"]] == expected(200)
        assert visitor.state.terminals == {end["streamId"]: 1}
