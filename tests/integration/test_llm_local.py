from __future__ import annotations

import asyncio
import socket
import time
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from server.embedded import ChildFailed, Children, local_model_child
from server.llm.catalog import open_targets
from server.llm.gateway import Gateway
from server.llm.local import LocalModelFailed, model_path
from server.llm.messages import AttemptRecord, CompletionRequest, Finish, Grounding, Message, TextDelta, Usage
from server.llm.transport import open_transport

REQUEST = CompletionRequest(
    (),
    (Message("user", "Tell me a long story about a dog."),),
    Grounding("q", "question", "Ada", "", "en"),
    24,
    turn_id="t",
)


class Ledger:
    """A purse for free models: nobody may reserve."""

    def __init__(self) -> None:
        self.records: list[AttemptRecord] = []

    async def reserve(self, attempt_id: str, amount_nanousd: int, floor_nanousd: int) -> bool:
        raise AssertionError("a free model needs no money")

    async def extend(self, attempt_id: str, delta_nanousd: int, floor_nanousd: int) -> bool:
        raise AssertionError("a free model needs no money")

    async def settle(self, attempt_id: str, actual_nanousd: int, record: AttemptRecord) -> None:
        self.records.append(record)


def lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


async def gone(pid: int, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while lives(pid) and time.monotonic() < until:
        await asyncio.sleep(0.05)
    return not lives(pid)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


async def test_a_real_model_streams_and_stops(tmp_path: Path) -> None:
    port, ledger, children = free_port(), Ledger(), Children(tmp_path)
    await children.start(replace(local_model_child(model_path(), port), wait_ready=True))
    pid = children.pid("local")
    try:
        async with open_transport() as transport:
            gateway = Gateway(open_targets({}, local_base_url=f"http://127.0.0.1:{port}/v1"), transport)
            async with aclosing(gateway.stream(REQUEST, spending=ledger)) as deltas:
                found = [delta async for delta in deltas]
    finally:
        await children.stop()
    pieces = [delta.text for delta in found if isinstance(delta, TextDelta)]
    assert len(pieces) >= 3
    assert found[-1] in (Finish("stop"), Finish("length"))
    usage = found[-2]
    assert isinstance(usage, Usage)
    assert 3 <= usage.output <= 24
    assert [(record.provider, record.usage_source, record.cost_nanousd) for record in ledger.records] == [
        ("local", "reported", 0)
    ]
    assert pid is not None
    assert await gone(pid, 5.0)


async def test_a_file_that_is_no_model_is_told(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF nothing")
    children = Children(tmp_path)
    with pytest.raises(ChildFailed):
        await children.start(replace(local_model_child(broken, free_port()), wait_ready=True))
    await children.stop()


def test_settings_name_files_or_the_default(tmp_path: Path) -> None:
    assert model_path().suffix == ".gguf"
    assert model_path("default") == model_path()
    mine = tmp_path / "mine.gguf"
    mine.write_bytes(b"x")
    assert model_path(str(mine)) == mine
    with pytest.raises(LocalModelFailed):
        model_path(str(tmp_path / "none.gguf"))
