"""A visitor's stream through the real parts: Valkey, SQLite, uvicorn, websockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.storage.database import Database
from server.storage.valkey import Valkey
from tests.hubs import Stage, expected, open_stage


@pytest.fixture
async def stage(db: Database, valkey: Valkey, valkey_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(db, valkey_url, tmp_path, nodes=1) as opened:
        yield opened


async def test_a_question_is_answered_token_by_token(stage: Stage) -> None:
    async with await stage.visitor(stage.nodes[0]) as visitor:
        command = await visitor.ask("count 40")
        ack = await visitor.answer_to(command)
        end = await visitor.end()
    stream = end["streamId"]
    assert visitor.state.texts[stream] == expected(40)
    assert end["finishReason"] == "stop"
    assert visitor.state.wrong_lengths == []
    message = visitor.of_type("message")[0]
    assert (message["messageId"], message["seq"], message["clientId"]) == (ack["messageId"], ack["seq"], command)
    assert visitor.frames.index(ack) < visitor.frames.index(message)
    chunks = visitor.of_type("stream_chunk")
    assert len(chunks) < 20
    assert [frame["seq"] for frame in visitor.state.applied] == list(range(1, len(visitor.state.applied) + 1))
