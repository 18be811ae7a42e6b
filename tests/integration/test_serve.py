"""`parlour serve` as a process: starts, second starts, deaths, a second server, clean ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.running import ROOT, Running, running_server, start_server

QUESTION = "Which file formats can I upload?"


def ask(running: Running, text: str = QUESTION, credentials: dict[str, Any] | None = None) -> dict[str, Any]:
    ready = credentials or running.ready
    answer = httpx.post(
        f"{running.url}/v1/bots/{ready['bot_id']}/messages",
        json={"text": text},
        headers={"Authorization": f"Bearer {ready['api_key']}"},
        timeout=30,
        trust_env=False,
    )
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def children_of(pid: int) -> set[int]:
    """Every descendant of a process."""
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found |= {int(child)} | children_of(int(child))
    return found


def alive(pids: set[int]) -> set[int]:
    return {pid for pid in pids if Path(f"/proc/{pid}").exists() and state_of(pid) != "Z"}


def state_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def until(true: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder whose handbook is indexed, left by a server that ended cleanly."""
    folder = tmp_path_factory.mktemp("serve") / "data"
    first = start_server(folder)
    assert ask(first)["sources"]
    assert first.stop() == 0
    return folder


def test_a_second_start_is_quick_and_keeps_everything(indexed: Path) -> None:
    before = json.loads((indexed / "demo.json").read_text())
    with running_server(indexed) as again:
        assert oct((again.data_dir.parent / f"{again.data_dir.name}.ready.json").stat().st_mode)[-3:] == "600"
        print(f"second start: {again.started_in_s:.1f} s")
        assert again.ready["bot_id"] == before["bot_id"]
        assert again.ready["api_key"] == before["api_key"]
        assert "PDF" in ask(again)["text"]
        conversations = httpx.get(
            f"{again.url}/v1/conversations", headers={"Authorization": f"Bearer {before['api_key']}"}, trust_env=False
        )
        assert len(conversations.json()["data"]) >= 2


def test_children_die_with_a_killed_server_and_the_next_start_works(indexed: Path) -> None:
    server = start_server(indexed)
    until(lambda: len(children_of(server.process.pid)) >= 4)
    family = children_of(server.process.pid)
    server.process.kill()
    server.process.wait()
    until(lambda: not alive(family), 10)
    with running_server(indexed) as again:
        assert "PDF" in ask(again)["text"]


def test_a_killed_child_is_started_again(indexed: Path) -> None:
    with running_server(indexed) as server:
        for name in ("valkey", "vectors", "worker"):
            pid_file = indexed / "run" / f"{name}.pid"
            pid = int(pid_file.read_text())
            os.kill(pid, signal.SIGKILL)
            until(lambda pid_file=pid_file, pid=pid: pid_file.exists() and int(pid_file.read_text()) != pid)  # type: ignore[misc]
        until(lambda: httpx.get(f"{server.url}/health", trust_env=False).json()["parts"]["valkey"] == "ok")
        until(lambda: ask(server)["sources"], 30)


def test_a_real_local_model_is_one_setting_away(indexed: Path) -> None:
    with running_server(indexed, environ={"PARLOUR_LOCAL_MODEL": "default"}) as server:
        port = int((indexed / "run" / "local.port").read_text())
        until(lambda: httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False).status_code == 200, 60)
        bot = httpx.post(
            f"{server.url}/v1/bots",
            json={"config": {"name": "Local", "model": {"max_output_tokens": 24}}},
            headers={"Authorization": f"Bearer {server.ready['api_key']}"},
            trust_env=False,
        ).json()["id"]
        answer = ask(server, "Tell me a story about a dog.", credentials=server.ready | {"bot_id": bot})
    assert (answer["provider"], answer["cost_nanousd"]) == ("local", 0)
    assert answer["usage"]["outputTokens"] > 3


def test_a_second_server_shares_the_first_ones_parts(indexed: Path) -> None:
    with running_server(indexed) as first, running_server(indexed, "--demo", environ={"PARLOUR_PORT": "0"}) as second:
        assert first.url != second.url
        # The ready file is the second one's now; the credentials are the same.
        answer = ask(second)
        seen = httpx.get(
            f"{first.url}/v1/conversations/{answer['conversation_id']}/messages",
            headers={"Authorization": f"Bearer {first.ready['api_key']}"},
            trust_env=False,
        ).json()["data"]
        assert [row["role"] for row in seen] == ["user", "assistant"]
        assert second.stop() == 0
        assert "PDF" in ask(first)["text"]


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "server", *arguments], cwd=ROOT, env=os.environ | environ, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run("serve", PARLOUR_DATA_DIR=str(tmp_path / "data"), PARLOUR_PORT=port)
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr


@pytest.mark.parametrize(
    ("name", "value", "word"), [("PARLOUR_PORT", "many", "PARLOUR_PORT"), ("PARLOUR_POTR", "1", "is not a setting")]
)
def test_a_wrong_setting_is_told(name: str, value: str, word: str) -> None:
    done = run("serve", **{name: value})
    assert done.returncode == 2
    assert word in done.stderr


def test_doctor_and_ask_speak_of_what_is_there(indexed: Path) -> None:
    doctor = run("doctor", "--json", PARLOUR_DATA_DIR=str(indexed))
    assert doctor.returncode == 0, doctor.stdout
    assert {row["part"] for row in json.loads(doctor.stdout)["findings"]} >= {"database", "widget", "models", "port"}
    nobody = run("ask", QUESTION, PARLOUR_DATA_DIR=str(indexed), PARLOUR_PORT="1")
    assert nobody.returncode == 1
    assert "no server at" in nobody.stderr
    with running_server(indexed) as server:
        port = server.url.rpartition(":")[2]
        asked = run("ask", QUESTION, PARLOUR_DATA_DIR=str(indexed), PARLOUR_PORT=port)
        assert "PDF" in asked.stdout
        made = run("keys", "--json", PARLOUR_DATA_DIR=str(indexed))
        key = json.loads(made.stdout)["key"]
        assert ask(server, credentials=server.ready | {"api_key": key})["text"]
