"""The same frames without a socket: event streams, single turns, commands and the log's own contract."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from server import errors
from server.hub.commands import Speaker
from server.hub.follower import Place
from server.hub.hub import Hub
from server.hub.log import Address, Claim, Fenced, Log, LogClosed, LogLost, StopRequested
from server.ids import ConversationId, TenantId, new_ulid
from server.storage.database import Database
from server.storage.valkey import Valkey
from server.telemetry import Telemetry
from tests.hubs import ORIGIN, Stage, expected, open_stage
from tests.visitor import Conversation


@pytest.fixture
async def stage(db: Database, valkey: Valkey, valkey_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(db, valkey_url, tmp_path, nodes=2) as opened:
        yield opened


async def _speaker(stage: Stage, hub: Hub) -> Speaker:
    claims = hub.read_token(await stage.token(), bot=stage.bot.id, origin=ORIGIN)
    return await hub.speaker(claims, name="con_test")


async def _read_until_end(hub: Hub, speaker: Speaker, after: Place | None) -> tuple[Conversation, list[dict[str, Any]]]:
    state, frames = Conversation(), []
    if after is not None:
        state.epoch, state.last = after.epoch, after.seq
    async with aclosing(hub.events(speaker, after=after)) as events:
        async for frame in events:
            assert frame is not None
            frames.append(frame)
            assert state.take(frame)
            if state.ends:
                break
    return state, frames


async def test_an_event_stream_is_the_socket_without_a_socket(stage: Stage) -> None:
    first, second = (node.hub for node in stage.nodes)
    speaker = await _speaker(stage, first)
    reading = asyncio.create_task(_read_until_end(second, speaker, None))
    await asyncio.sleep(0.1)
    submitted = await first.submit(speaker, client_id=new_ulid(), text="count 30 2")
    state, frames = await reading
    assert [frame["type"] for frame in frames[:2]] == ["welcome", "history"]
    assert state.texts[submitted.stream_id] == expected(30)
    again, frames = await _read_until_end(second, speaker, Place(submitted.epoch, submitted.seq))
    assert frames[0]["resumed"] is True
    assert again.texts == state.texts


async def test_a_turn_can_be_read_alone_and_again(stage: Stage, valkey: Valkey) -> None:
    hub = stage.nodes[0].hub
    speaker = await _speaker(stage, hub)
    key = new_ulid()
    submitted = await hub.submit(speaker, client_id=key, text="count 12 1")
    first = [frame async for frame in hub.turn_events(speaker, submitted) if frame]
    repeat = await stage.nodes[1].hub.submit(speaker, client_id=key, text="count 12 1")
    assert repeat.duplicate
    assert (repeat.stream_id, repeat.answer_id, repeat.seq) == (
        submitted.stream_id, submitted.answer_id, submitted.seq,
    )  # fmt: skip
    second = [frame async for frame in hub.turn_events(speaker, repeat) if frame]
    assert second == first
    assert [frame["type"] for frame in first][:2] == ["message", "stream_start"]
    assert "".join(frame["chunk"] for frame in first if frame["type"] == "stream_chunk") == expected(12)
    while submitted.answer_id not in stage.turns.stored:
        await asyncio.sleep(0.01)
    await valkey.commands.flushall()
    late = await hub.submit(speaker, client_id=key, text="count 12 1")
    assert (late.duplicate, late.answer_id) == (True, submitted.answer_id)
    told = [frame async for frame in hub.turn_events(speaker, late) if frame]
    assert [frame["type"] for frame in told] == ["stream_start", "stream_chunk", "stream_complete"]
    assert told[1]["chunk"] == expected(12)
    assert len(stage.turns.begun) == 1


async def test_commands_without_a_socket(stage: Stage) -> None:
    hub = stage.nodes[0].hub
    speaker = await _speaker(stage, hub)
    ack = await hub.command(speaker, {"type": "message", "id": "a1", "text": "count 3"})
    assert ack is not None
    assert ack["type"] == "ack"
    assert await hub.command(speaker, {"type": "read", "messageId": "m"}) is None
    with pytest.raises(errors.NotPermitted):
        await hub.command(speaker, {"type": "ping", "t": 1})
    with pytest.raises(errors.IdempotencyConflict):
        await hub.command(speaker, {"type": "message", "id": "a1", "text": "something else"})


async def test_any_channel_can_be_listened_to(stage: Stage) -> None:
    first, second = (node.hub for node in stage.nodes)
    heard: list[bytes] = []

    async def listen() -> None:
        async with aclosing(second.fanout.listen("t:{x}:documents:b")) as messages:
            async for message in messages:
                if message:
                    heard.append(message)
                    return

    task = asyncio.create_task(listen())
    while not heard:
        await first.log.publish("t:{x}:documents:b", "news")
        await asyncio.sleep(0.01)
    await task
    assert heard == [b"news"]


# The log's contract ---------------------------------------------------------------------------------------------------
@pytest.fixture
async def log(valkey: Valkey) -> AsyncIterator[Log]:
    opened = Log(valkey.commands, Telemetry())
    yield opened
    await opened.close()


PLACE = Address(TenantId("ten_1"), ConversationId("conv_1"))
JOB = '{"stream":"s_2","answer":"m_2"}'


async def _claimed(log: Log, stream: str = "s_1") -> Claim:
    result = await log.claim(PLACE, stream, f"m_{stream}", "{}", owner="me", policy="queue")
    assert result.claim is not None
    return result.claim


async def test_a_mark_makes_a_repeat_return_the_first_place(log: Log) -> None:
    first = await log.append(PLACE, '{"type":"message"}', mark="a")
    again = await log.append(PLACE, '{"type":"message"}', mark="a")
    other = await log.append(PLACE, '{"type":"message"}', mark="b")
    assert (first.seq, first.duplicate) == (1, False)
    assert (again.seq, again.duplicate) == (1, True)
    assert other.seq == 2


async def test_a_repeated_append_of_a_producer_is_written_once(log: Log) -> None:
    claim = await _claimed(log)
    first = await log.append_to_stream(claim, 1, '{"type":"stream_start"}')
    again = await log.append_to_stream(claim, 1, '{"type":"stream_start"}')
    assert (again.seq, again.duplicate) == (first.seq, True)
    assert (await log.view(PLACE)).top == 1


async def test_who_lost_the_claim_writes_nothing_more(log: Log, valkey: Valkey) -> None:
    zombie = await _claimed(log)
    await valkey.commands.zadd(PLACE.act, {PLACE.member: 1})
    assert await log.overdue() == [PLACE]
    dead = await log.reap(PLACE, owner="undertaker")
    assert dead is not None
    assert await log.reap(PLACE, owner="another") is None
    with pytest.raises(Fenced):
        await log.append_to_stream(zombie, 1, '{"type":"stream_start"}')
    await log.append_to_stream(dead.claim, 1, '{"type":"stream_error"}', terminal=True, final=True)
    with pytest.raises(LogClosed):
        await log.append_to_stream(dead.claim, 2, '{"type":"stream_error"}', terminal=True)
    assert await log.clear(zombie, owner="me") is None
    with pytest.raises(Fenced):
        await log.renew(zombie)


async def test_a_claim_from_before_a_flush_never_passes_for_its_successor(log: Log, valkey: Valkey) -> None:
    old = await _claimed(log)
    await valkey.commands.flushall()
    new = await _claimed(log, "s_9")
    with pytest.raises(LogLost):
        await log.append_to_stream(old, 1, '{"type":"stream_start"}')
    with pytest.raises(LogLost):
        await log.renew(old)
    await log.append_to_stream(new, 1, '{"type":"stream_start"}')


async def test_stop_is_for_one_stream(log: Log) -> None:
    claim = await _claimed(log)
    assert await log.stop(PLACE, "s_other", None) is False
    assert await log.stop(PLACE, "s_1", 12) is True
    assert await log.stop(PLACE, "s_1", 99) is True
    with pytest.raises(StopRequested) as stop:
        await log.append_to_stream(claim, 1, '{"type":"stream_chunk"}')
    assert stop.value.heard == 12
    with pytest.raises(StopRequested):
        await log.renew(claim)
    await log.append_to_stream(claim, 1, '{"type":"stream_complete"}', terminal=True, final=True)
    assert await log.stop(PLACE, "s_1", None) is False


async def test_one_job_waits_and_is_handed_over(log: Log) -> None:
    claim = await _claimed(log)
    queued = await log.claim(PLACE, "s_2", "m_2", JOB, owner="me", policy="queue", mark="turn:2")
    assert queued.outcome == "queued"
    again = await log.claim(PLACE, "s_3", "m_3", "{}", owner="me", policy="queue", mark="turn:2")
    assert (again.outcome, again.known) == ("known", "s_2:m_2")
    full = await log.claim(PLACE, "s_4", "m_4", "{}", owner="me", policy="queue", mark="turn:4")
    assert full.outcome == "busy"
    handed = await log.clear(claim, owner="you")
    assert handed is not None
    assert handed[1] == JOB
    await log.append_to_stream(handed[0], 1, '{"type":"stream_start"}')
    assert await log.clear(handed[0], owner="you") is None
    assert (await log.view(PLACE)).stream_id == ""


async def test_appends_of_many_share_pipelines_and_keep_their_order(log: Log) -> None:
    places = [Address(TenantId("t"), ConversationId(f"c{number}")) for number in range(20)]
    await asyncio.gather(
        *[log.append(place, f'{{"type":"message","n":{number}}}') for number in range(10) for place in places]
    )
    for place in places:
        view = await log.view(place)
        assert [event.seq for event in view.events] == list(range(1, 11))
