"""The socket's edges: refused handshakes, broken frames, tokens, stops, queues, slow readers, drain."""

from __future__ import annotations

import asyncio
import json
import socket as sockets
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import websockets
from websockets.asyncio.client import connect

from server.ids import new_ulid
from server.limits.rates import Admitted
from server.storage.database import Database
from server.storage.valkey import Valkey
from tests.hubs import ORIGIN, Stage, expected, open_stage
from tests.visitor import Visitor


@pytest.fixture
async def stage(db: Database, valkey: Valkey, valkey_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(db, valkey_url, tmp_path, nodes=1) as opened:
        yield opened


def _socket(stage: Stage, origin: str = ORIGIN) -> connect:
    """A bare socket: the test says the first word."""
    options: dict[str, Any] = {"origin": origin, "subprotocols": ["parlour.v1"]}
    return connect(stage.nodes[0].url(stage.bot.id), proxy=None, compression=None, **options)


# Handshake ------------------------------------------------------------------------------------------------------------
async def _refusal(url: str, **options: Any) -> tuple[int, dict[str, Any]]:
    settings: dict[str, Any] = {"origin": ORIGIN, "subprotocols": ["parlour.v1"], "proxy": None} | options
    with pytest.raises(websockets.InvalidStatus) as refused:
        await connect(url, **settings)
    body = refused.value.response.body
    return refused.value.response.status_code, json.loads(body) if body else {}


ORIGINS = [
    (ORIGIN, True),
    ("https://SHOP.example", True),
    ("https://shop.example.", True),
    ("https://shop.example:443", True),
    ("https://a.example.com", True),
    ("https://a.b.example.com", True),
    ("https://chat.example", True),  # the server's own
    ("https://example.com", False),
    ("https://evilexample.com", False),
    ("https://shop.example.evil.com", False),
    ("https://shop.example:444", False),
    ("http://shop.example", False),
    ("https://shop.example/path", False),
    ("https://user@shop.example", False),
    ("https://evil.com#shop.example", False),
    ("null", False),
    ("https://shop.example\\.evil.com", False),
    ("file://", False),
]


async def test_origins(stage: Stage) -> None:
    url = stage.nodes[0].url(stage.bot.id)
    for origin, allowed in ORIGINS:
        if allowed:
            async with _socket(stage, origin) as opened:
                assert opened.subprotocol == "parlour.v1"
        else:
            status, problem = await _refusal(url, origin=origin)
            assert (status, problem["code"]) == (403, "origin_not_allowed"), origin


async def test_handshakes_that_are_refused(stage: Stage) -> None:
    url = stage.nodes[0].url(stage.bot.id)
    assert await _code(url, origin=None) == (403, "origin_missing")
    assert await _code(f"{url}?token=abc") == (400, "token_in_url")
    assert await _code(url, additional_headers={"Authorization": "Bearer x"}) == (400, "token_in_url")
    assert await _code(stage.nodes[0].url("bot_unknown")) == (404, "bot_unknown")
    assert await _code(url, subprotocols=["parlour.v9"]) == (400, "unsupported_version")


async def _code(url: str, **options: Any) -> tuple[int, str]:
    status, problem = await _refusal(url, **options)
    return status, problem.get("code", "")


async def test_numbers_of_sockets(stage: Stage) -> None:
    node = await stage.start_node(max_sockets=4, max_sockets_per_address=3, connects_per_minute=5)
    visitors = [await stage.visitor(node) for _ in range(3)]
    assert (await _code(node.url(stage.bot.id)))[1] == "connection_limit"
    for visitor in visitors:
        await visitor.close()
    await asyncio.sleep(0.1)
    for _ in range(2):
        await (await stage.visitor(node)).close()
    await asyncio.sleep(0.1)
    assert await _code(node.url(stage.bot.id)) == (429, "rate_limited")


async def _raw(port: int, request: bytes, *, wait_s: float = 3) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        async with asyncio.timeout(wait_s):
            return await reader.read(4096)
    finally:
        writer.close()


async def test_raw_requests(stage: Stage) -> None:
    port, path = stage.nodes[0].port, f"/v1/bots/{stage.bot.id}/ws"
    upgrade = (
        f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nOrigin: {ORIGIN}\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: parlour.v1\r\n"
    )
    assert b" 426 " in await _raw(port, f"{upgrade}Sec-WebSocket-Version: 8\r\n\r\n".encode())
    assert b" 101 " in await _raw(port, f"{upgrade}Sec-WebSocket-Version: 13\r\n\r\n".encode())
    many = "".join(f"X-{number}: 1\r\n" for number in range(5000))
    assert b" 431 " in await _raw(port, f"GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n".encode())
    assert b" 431 " in await _raw(port, f"GET / HTTP/1.1\r\nHost: x\r\nX: {'y' * 60_000}\r\n\r\n".encode())
    assert b" 200 " in await _raw(port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")


async def test_a_request_that_never_ends_is_cut(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.hub.serve.REQUEST_S", 0.3)
    assert b" 408 " in await _raw(stage.nodes[0].port, b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
    assert b" 408 " in await _raw(stage.nodes[0].port, b"")


# Frames ---------------------------------------------------------------------------------------------------------------
BAD_FRAMES = [
    ("[" * 100_00, "bad_json"),
    ('{"x":' * 10_000, "bad_json"),
    ("not json", "bad_json"),
    ('{"type":"typing","state":"on","n":NaN}', "bad_json"),
    ('{"type":"typing","state":"on","n":1e999}', "bad_json"),
    ('{"type":"typing","state":"on","n":' + "9" * 5000 + "}", "bad_json"),
    ("42", "bad_message"),
    ("[]", "bad_message"),
    ("{}", "bad_message"),
    ('{"type":"sync","epoch":"e","seq":-1}', "bad_message"),
    ('{"type":"sync","epoch":"e","seq":1.5}', "bad_message"),
    ('{"type":"sync","epoch":"e","seq":"1"}', "bad_message"),
    ('{"type":"sing"}', "unknown_type"),
    ('{"type":"typing","state":"on","loud":true}', "unknown_field"),
    ('{"type":"typing","type":"typing","state":"on"}', "duplicate_key"),
    ('{"type":"message","id":"a","text":"\\ud800"}', "bad_text"),
    ('{"type":"message","id":"a","text":"\\u0000"}', "bad_text"),
    ('{"type":"edit","id":"e","messageId":"m","text":"x"}', "not_permitted"),
    ('{"type":"regenerate","id":"r","messageId":"msg_unknown"}', "message_unknown"),
    ('{"type":"feedback","id":"f","messageId":"msg_unknown","rating":"up"}', "message_unknown"),
    ('{"type":"hello","v":1,"token":"x","client":{"name":"a","version":"1"}}', "bad_message"),
]


async def _next_error(visitor: Visitor, text: str) -> str:
    known = len(visitor.of_type("error"))
    await visitor.send(text)
    await visitor.until(lambda: len(visitor.of_type("error")) > known)
    return str(visitor.of_type("error")[-1]["code"])


async def test_bad_frames_are_answered_and_nothing_else_happens(stage: Stage) -> None:
    async with await stage.visitor(stage.nodes[0]) as visitor:
        for text, code in BAD_FRAMES:
            assert await _next_error(visitor, text) == code, text[:80]
        await visitor.ask("count 5")
        assert (await visitor.end())["finishReason"] == "stop"


async def test_a_hundred_bad_frames_close_and_ban(stage: Stage) -> None:
    async with await stage.visitor(stage.nodes[0]) as visitor:
        for _ in range(60):
            await visitor.send("nope")
        await asyncio.sleep(2.1)  # the flood limit is another one
        for _ in range(45):
            await visitor.send("nope")
        await visitor.until(lambda: visitor.closed is not None)
        assert visitor.closed == (4509, '{"code":"abuse"}')
    assert await _code(stage.nodes[0].url(stage.bot.id)) == (429, "rate_limited")


@pytest.mark.parametrize(
    ("first", "code"),
    [
        ('{"type":"ping","t":1}', 4501),
        ('{"type":"hello","v":2,"token":"x","client":{"name":"a","version":"1"}}', 4501),
        (b"\x00\x01", 1003),
        ("x" * 70_000, 1009),
    ],
)
async def test_first_frames_that_close(stage: Stage, first: str | bytes, code: int) -> None:
    async with _socket(stage) as opened:
        await opened.send(first)
        with pytest.raises(websockets.ConnectionClosed) as closed:
            while True:
                await opened.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == code


async def test_fragments_without_end_are_cut(stage: Stage) -> None:
    async with _socket(stage) as opened:
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await opened.send([""] * 500)
            await opened.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008


async def _close_of(stage: Stage, token: str, **options: Any) -> tuple[int, str]:
    visitor = Visitor(stage.nodes[0].url(stage.bot.id), token, origin=ORIGIN, **options)
    await visitor.connect()
    await visitor.close()
    assert visitor.closed is not None
    code = visitor.of_type("error")[-1]["code"] if visitor.of_type("error") else ""
    return visitor.closed[0], code


async def test_tokens(stage: Stage) -> None:
    good = await stage.token()
    head, body, signature = good.split(".")
    assert await _close_of(stage, "nonsense") == (4500, "token_invalid")
    assert await _close_of(stage, f"{head}.{body}.{signature[::-1]}") == (4500, "token_invalid")
    assert await _close_of(stage, f"eyJhbGciOiJub25lIn0.{body}.") == (4500, "token_invalid")
    assert await _close_of(stage, await stage.token(origin="https://a.example.com")) == (4500, "token_invalid")
    assert await _close_of(stage, await stage.token(life_s=-60)) == (4014, "token_expired")
    other = {"conversationId": "conv_other"}
    assert await _close_of(stage, good, hello_extra=other) == (4500, "token_invalid")


async def test_a_token_is_renewed_over_the_socket(stage: Stage) -> None:
    async with await stage.visitor(stage.nodes[0], await stage.token(life_s=30)) as visitor:
        await visitor.wait_for(lambda frame: frame["type"] == "auth_expiring")
        ack = await visitor.command({"type": "auth_refresh"})
        again = await visitor.command({"type": "auth_refresh", "token": ack["token"]})
        assert again["expiresAt"] == ack["expiresAt"] > visitor.welcomes[0]["authExpiresAt"]
        await visitor.send({"type": "auth_refresh", "id": new_ulid(), "token": await stage.token()})
        await visitor.until(lambda: visitor.closed is not None)
        assert visitor.closed is not None
        assert visitor.closed[0] == 4500


async def test_no_hello_is_closed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.hub.connection.HELLO_S", 0.2)
    async with _socket(stage) as opened:
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await opened.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4408


# Answers --------------------------------------------------------------------------------------------------------------
async def test_stop_from_another_process(stage: Stage) -> None:
    other = await stage.start_node()
    token = await stage.token()
    async with await stage.visitor(stage.nodes[0], token) as asker, await stage.visitor(other, token) as stopper:
        await asker.ask("count 1000 5")
        first = await stopper.wait_for(lambda frame: frame["type"] == "stream_chunk")
        stream = first["streamId"]
        started = time.monotonic()
        ack = await stopper.command({"type": "stop", "streamId": stream, "reason": "barge_in", "heard": {"chars": 7}})
        end = await asker.end()
        assert time.monotonic() - started < 1.5
        assert ack["applied"] is True
        assert (end["finishReason"], end["heardChars"]) == ("cancelled", 7)
        await stopper.end()
        assert asker.state.hash() == stopper.state.hash()
        assert asker.state.wrong_lengths == []
        assert stream in stage.turns.closed_at
        stale = await stopper.command({"type": "stop", "streamId": stream, "reason": "user"})
        assert stale["applied"] is False
        assert (await stopper.command({"type": "stop", "streamId": "s_other", "reason": "user"}))["applied"] is False


async def test_a_silent_answer_can_be_stopped(stage: Stage) -> None:
    async with await stage.visitor(stage.nodes[0]) as visitor:
        await visitor.ask("silent 30")
        start = await visitor.wait_for(lambda frame: frame["type"] == "stream_start")
        await asyncio.sleep(1.3)  # a renewal has passed
        await visitor.command({"type": "stop", "streamId": start["streamId"], "reason": "user"})
        end = await visitor.end(timeout_s=2)
        assert (end["finishReason"], end["chars"]) == ("cancelled", 0)


async def test_a_broken_turn_ends_with_one_error(stage: Stage) -> None:
    async with await stage.visitor(stage.nodes[0]) as visitor:
        await visitor.ask("fail")
        end = await visitor.end()
        assert (end["type"], end["code"]) == ("stream_error", "internal")
        await visitor.ask("count 3")
        await visitor.until(lambda: len(visitor.state.ends) == 2)


async def test_a_second_message_waits_its_turn(stage: Stage) -> None:
    async with await stage.visitor(stage.nodes[0]) as visitor:
        await visitor.ask("count 60 5")
        await visitor.wait_for(lambda frame: frame["type"] == "stream_chunk")
        second = await visitor.ask("count 4")
        assert (await visitor.answer_to(second))["queued"] is True
        third = await visitor.ask("count 5")
        refused = await visitor.answer_to(third)
        assert (refused["code"], refused["retryable"]) == ("busy", True)
        await visitor.until(lambda: len(visitor.state.ends) == 2)
        assert list(visitor.state.texts.values()) == [expected(60), expected(4)]


async def test_a_second_message_may_replace_the_first(stage: Stage) -> None:
    await stage.configure(limits=stage.bot.config.limits.model_copy(update={"while_answering": "replace"}))
    async with await stage.visitor(stage.nodes[0]) as visitor:
        await visitor.ask("count 1000 5")
        await visitor.wait_for(lambda frame: frame["type"] == "stream_chunk")
        await visitor.ask("count 4")
        await visitor.until(lambda: len(visitor.state.ends) == 2)
        first, second = visitor.state.ends.values()
        assert (first["finishReason"], second["finishReason"]) == ("cancelled", "stop")


async def test_a_second_message_may_be_refused(stage: Stage) -> None:
    await stage.configure(limits=stage.bot.config.limits.model_copy(update={"while_answering": "reject"}))
    async with await stage.visitor(stage.nodes[0]) as visitor:
        await visitor.ask("count 40 5")
        await visitor.wait_for(lambda frame: frame["type"] == "stream_chunk")
        again = await visitor.ask("count 4")
        assert (await visitor.answer_to(again))["code"] == "busy"
        await visitor.end()
        await asyncio.sleep(0.1)
        visitor.frames.clear()
        await visitor.ask("count 4", id=again)
        assert (await visitor.answer_to(again))["type"] == "ack"
        await visitor.until(lambda: len(visitor.state.ends) == 2)


async def test_an_answer_is_made_again(stage: Stage) -> None:
    async with await stage.visitor(stage.nodes[0]) as visitor:
        await visitor.ask("count 5")
        old = (await visitor.end())["messageId"]
        await visitor.until(lambda: old in stage.turns.stored)
        ack = await visitor.command({"type": "regenerate", "messageId": old})
        await visitor.until(lambda: len(visitor.state.ends) == 2)
        assert visitor.of_type("stream_start")[-1]["messageId"] == ack["messageId"]
        assert stage.turns.begun[-1].replaces == old
        rated = await visitor.command({"type": "feedback", "messageId": old, "rating": "up", "comment": "nice"})
        assert rated["type"] == "ack"
        pong = new_ulid()
        await visitor.send({"type": "ping", "t": 5})
        await visitor.wait_for(lambda frame: frame["type"] == "pong" and frame["t"] == 5)
        page = await visitor.command({"type": "history", "limit": 1})
        assert len(page["messages"]) == 1
        assert page["nextCursor"] == page["messages"][0]["messageId"]
        older = await visitor.command({"type": "history", "limit": 5, "before": page["nextCursor"]})
        assert older["messages"][0]["text"] == "count 5"
        assert pong


async def test_a_visitor_is_told_when_little_is_left(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    left = Admitted("visitor_messages", 20, 4, 21_000)
    monkeypatch.setattr("tests.hubs.PlainAccepted.rate", left)
    async with await stage.visitor(stage.nodes[0]) as visitor:
        await visitor.ask("count 2")
        told = await visitor.wait_for(lambda frame: frame["type"] == "rate_limit")
        assert told == {
            "type": "rate_limit", "scope": "visitor_messages", "limit": 20, "remaining": 4, "resetMs": 21_000,
        }  # fmt: skip


async def test_typing_reaches_the_other_tab_only(stage: Stage) -> None:
    other = await stage.start_node()
    token = await stage.token()
    async with await stage.visitor(stage.nodes[0], token) as first, await stage.visitor(other, token) as second:
        await first.send({"type": "typing", "state": "on"})
        await second.wait_for(lambda frame: frame["type"] == "typing" and frame["who"] == "visitor")
        assert not first.of_type("typing")


async def test_snapshots_instead_of_deltas(stage: Stage) -> None:
    async with await stage.visitor(stage.nodes[0], caps={"deltas": False}) as visitor:
        await visitor.ask("count 60 3")
        end = await visitor.end()
        assert visitor.state.texts[end["streamId"]] == expected(60)
        assert visitor.of_type("stream_chunk") == []
        assert len(visitor.of_type("stream_snapshot")) == 1


async def test_coalescing_on_one_connection(stage: Stage) -> None:
    token = await stage.token()
    plain = await stage.visitor(stage.nodes[0], token)
    async with plain, await stage.visitor(stage.nodes[0], token, caps={"coalesceMs": 500}) as slow:
        await plain.ask("count 200 5")
        await asyncio.gather(plain.end(), slow.end())
        assert plain.state.hash() == slow.state.hash()
        merged = [frame for frame in slow.of_type("stream_chunk") if "from" in frame]
        assert merged
        assert len(slow.of_type("stream_chunk")) < len(plain.of_type("stream_chunk"))


async def _ask_and_wait(visitor: Visitor, text: str) -> None:
    before = len(visitor.state.ends)
    await visitor.ask(text)
    await visitor.until(lambda: len(visitor.state.ends) > before, 20)


# Slow readers and the end ---------------------------------------------------------------------------------------------
async def test_a_reader_that_stops_reading_is_cut_and_loses_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.hub.session.SEND_S", 1.0)
    token = await stage.token()
    stalled = await stage.visitor(stage.nodes[0], token, caps={"coalesceMs": 0})
    assert stalled._socket is not None
    raw = stalled._socket.transport.get_extra_info("socket")
    raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
    stalled._socket.transport.pause_reading()
    async with await stage.visitor(stage.nodes[0], token) as other:
        for _ in range(2):
            await _ask_and_wait(other, "big 1500")
        hub = stage.nodes[0].hub
        sizes = [session.connection.outbox.size for session in hub._sessions]
        assert max(sizes) <= 128 * 1024
        deadline = time.monotonic() + 8
        while hub.sockets > 1 and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        assert hub.sockets == 1
        await stalled.cut()
        await stalled.connect()
        await stalled.until(lambda: len(stalled.state.ends) == 2 or stalled.state.restarts > 1)
        await stalled.close()


async def test_drain_moves_sockets_and_lets_answers_end(stage: Stage) -> None:
    token = await stage.token()
    old, new = stage.nodes[0], await stage.start_node()
    visitor = await stage.visitor(old, token)
    await visitor.ask("count 300 5")
    await visitor.wait_for(lambda frame: frame["type"] == "stream_chunk")
    stopping = asyncio.create_task(stage.stop_node(old))
    frame = await visitor.wait_for(lambda frame: frame["type"] == "reconnect")
    assert frame["reason"] == "drain"
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", old.port)
    await visitor.close()
    await visitor.connect(new.url(stage.bot.id))
    end = await visitor.end()
    await stopping
    await visitor.close()
    assert end["finishReason"] == "stop"
    assert visitor.state.texts[end["streamId"]] == expected(300)
    assert visitor.state.restarts == 1


async def test_shutdown_without_patience_says_interrupted(stage: Stage) -> None:
    token = await stage.token()
    node = await stage.start_node(drain_s=0)
    watcher = await stage.visitor(stage.nodes[0], token)
    asker = await stage.visitor(node, token)
    await asker.ask("count 2000 5")
    await watcher.wait_for(lambda frame: frame["type"] == "stream_chunk")
    await stage.stop_node(node)
    end = await watcher.end()
    await asker.close()
    await watcher.close()
    assert (end["type"], end["code"]) == ("stream_error", "interrupted")
