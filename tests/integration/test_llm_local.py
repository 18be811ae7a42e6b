from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from contextlib import aclosing
from pathlib import Path

import pytest

from server.llm.catalog import open_targets
from server.llm.gateway import Gateway
from server.llm.local import LocalModel, LocalModelFailed, model_path
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


async def test_a_real_model_streams_and_stops() -> None:
    model, ledger = LocalModel(model_path()), Ledger()
    base_url = await model.start()
    try:
        async with open_transport() as transport:
            gateway = Gateway(open_targets({}, local_base_url=base_url), transport)
            async with aclosing(gateway.stream(REQUEST, spending=ledger)) as deltas:
                found = [delta async for delta in deltas]
    finally:
        await model.stop()
    pieces = [delta.text for delta in found if isinstance(delta, TextDelta)]
    assert len(pieces) >= 3
    assert found[-1] in (Finish("stop"), Finish("length"))
    usage = found[-2]
    assert isinstance(usage, Usage)
    assert 3 <= usage.output <= 24
    assert [(record.provider, record.usage_source, record.cost_nanousd) for record in ledger.records] == [
        ("local", "reported", 0)
    ]
    assert not model.is_running


async def test_the_child_dies_with_its_parent() -> None:
    code = (
        "import asyncio\n"
        "from server.llm.local import LocalModel, model_path\n"
        "async def main():\n"
        "    model = LocalModel(model_path())\n"
        "    await model.start()\n"
        "    print(model.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    assert lives(child)
    os.kill(parent.pid, signal.SIGKILL)
    await parent.wait()
    assert await gone(child, 5.0)


async def test_a_file_that_is_no_model_is_told(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF nothing")
    model = LocalModel(broken)
    with pytest.raises(LocalModelFailed):
        await model.start()
    assert not model.is_running


def test_settings_name_files_or_the_default(tmp_path: Path) -> None:
    assert model_path().suffix == ".gguf"
    assert model_path("default") == model_path()
    mine = tmp_path / "mine.gguf"
    mine.write_bytes(b"x")
    assert model_path(str(mine)) == mine
    with pytest.raises(LocalModelFailed):
        model_path(str(tmp_path / "none.gguf"))
