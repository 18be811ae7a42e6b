"""A real server for tests: `parlour serve --demo` in a process of its own, on a free port and a data folder of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
START_S = 150.0
STOP_S = 40.0


@dataclass
class Running:
    """A server that runs; `ready` is what its ready file says."""

    process: subprocess.Popen[bytes]
    data_dir: Path
    ready: dict[str, Any]
    log: Path
    started_in_s: float

    @property
    def url(self) -> str:
        return str(self.ready["url"])

    def stop(self) -> int:
        """SIGTERM, then the exit code; a server that does not end is killed and the test fails."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


def start_server(data_dir: Path, *arguments: str, environ: Mapping[str, str] | None = None) -> Running:
    """Start a server and wait for its ready file; its output goes to a log beside the data."""
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    ready_file, log = data_dir.parent / f"{data_dir.name}.ready.json", data_dir.parent / f"{data_dir.name}.log"
    ready_file.unlink(missing_ok=True)
    settings = {"PARLOUR_DATA_DIR": str(data_dir), "PARLOUR_PORT": "0", **(environ or {})}
    keys = {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_BASE_URL"))}
    command = [sys.executable, "-m", "server", "serve", *(arguments or ("--demo",)), "--ready-file", str(ready_file)]
    started = time.monotonic()
    with log.open("ab") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=keys | settings, stdout=output, stderr=output)
    while not ready_file.exists():
        if process.poll() is not None or time.monotonic() - started > START_S:
            process.kill()
            process.wait()
            raise AssertionError(f"the server did not start:\n{log.read_text()[-4000:]}")
        time.sleep(0.02)
    return Running(process, data_dir, json.loads(ready_file.read_text()), log, time.monotonic() - started)


@contextmanager
def running_server(data_dir: Path, *arguments: str, environ: Mapping[str, str] | None = None) -> Iterator[Running]:
    """A server for the length of a block."""
    running = start_server(data_dir, *arguments, environ=environ)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.stop()
