"""A family of child processes: started in order, restarted when they die, ended when we end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from server.telemetry import logger

BOUND = Path(__file__).with_name("bound.py")
# In every child's environment: tells our orphans from a stranger with the same process id.
RUN_DIR_MARK = "PARENT_RUN_DIR"
LONGEST_BACKOFF_S = 10.0
# A child that lived this long before it died starts its back-off anew.
SETTLED_S = 30.0
_log = logger("embedded")


class ChildFailed(RuntimeError):
    """A child did not become ready; the text holds its last words."""


@dataclass(frozen=True, slots=True)
class Child:
    """One process to run; `ready` is polled until it is true, within `start_s` seconds.

    `wait_ready=False` lets the others go on while a slow child loads.
    """

    name: str
    command: Sequence[str]
    ready: Callable[[], Awaitable[bool]]
    start_s: float = 20.0
    wait_ready: bool = True
    on_parent_death: signal.Signals = signal.SIGKILL
    stop_signal: signal.Signals = signal.SIGTERM
    stop_s: float = 5.0
    environ: dict[str, str] = field(default_factory=dict)


class Children:
    """Runs `Child`ren; `states` says of each whether it is starting, up or down."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._specs: dict[str, Child] = {}
        self.states: dict[str, str] = {}
        self._stopping = False

    async def start(self, child: Child) -> None:
        """Start a child and, if it says so, wait until it is ready; raises ChildFailed."""
        end_orphan(self._pid_file(child))
        self._specs[child.name] = child
        self.states[child.name] = "starting"
        first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._keepers[child.name] = asyncio.create_task(self._keep(child, first), name=f"keep {child.name}")
        if child.wait_ready:
            await first

    def pid(self, name: str) -> int | None:
        """The process id of a child that runs."""
        process = self._processes.get(name)
        return process.pid if process is not None and process.returncode is None else None

    async def stop(self) -> None:
        """End every child, the youngest first."""
        self._stopping = True
        for name in reversed(list(self._keepers)):
            self._keepers[name].cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keepers[name]
            await self._end(name)

    async def _keep(self, child: Child, first: asyncio.Future[None]) -> None:
        backoff = 0.2
        while not self._stopping:
            born = time.monotonic()
            try:
                await self._run_once(child, first)
            except ChildFailed as failure:
                _log.warning("child did not start", extra={"part": child.name, "error": str(failure)[-500:]})
                # Somebody waits for a first start and must be told; every other one is tried again.
                if child.wait_ready and not first.done():
                    first.set_exception(failure)
                    return
            self.states[child.name] = "down"
            backoff = 0.2 if time.monotonic() - born > SETTLED_S else min(backoff * 2, LONGEST_BACKOFF_S)
            await asyncio.sleep(backoff)
            self.states[child.name] = "starting"

    async def _run_once(self, child: Child, first: asyncio.Future[None]) -> None:
        """Run the child until it dies."""
        process = await self._spawn(child)
        await self._until_ready(child, process)
        self.states[child.name] = "up"
        _log.debug("child is up", extra={"part": child.name, "pid": process.pid})
        if not first.done():
            first.set_result(None)
        code = await process.wait()
        if not self._stopping:
            _log.warning("child died", extra={"part": child.name, "pid": process.pid, "code": code})

    async def _spawn(self, child: Child) -> asyncio.subprocess.Process:
        bound = [sys.executable, "-I", "-S", str(BOUND), str(os.getpid()), str(int(child.on_parent_death))]
        with self._log_file(child).open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *bound,
                *child.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=_bare_environ() | child.environ | {RUN_DIR_MARK: str(self._run_dir)},
                # Ctrl-C reaches the whole foreground group; the children wait for our own, ordered word instead.
                start_new_session=True,
            )
        self._processes[child.name] = process
        self._pid_file(child).write_text(str(process.pid))
        return process

    async def _until_ready(self, child: Child, process: asyncio.subprocess.Process) -> None:
        deadline = time.monotonic() + child.start_s
        while not await child.ready():
            if process.returncode is not None:
                raise ChildFailed(f"{child.name} ended with code {process.returncode}: {self._last_words(child)}")
            if time.monotonic() > deadline:
                process.kill()
                await process.wait()
                raise ChildFailed(f"{child.name} was not ready after {child.start_s:.0f} s: {self._last_words(child)}")
            await asyncio.sleep(0.02)

    async def _end(self, name: str) -> None:
        process, child = self._processes.get(name), self._specs[name]
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(child.stop_signal)
            try:
                async with asyncio.timeout(child.stop_s):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        self._pid_file(child).unlink(missing_ok=True)

    def _pid_file(self, child: Child) -> Path:
        return self._run_dir / f"{child.name}.pid"

    def _log_file(self, child: Child) -> Path:
        path = self._run_dir / f"{child.name}.log"
        if path.exists() and path.stat().st_size > 5_000_000:
            path.replace(path.with_suffix(".log.1"))
        return path

    def _last_words(self, child: Child) -> str:
        return self._log_file(child).read_bytes()[-2000:].decode("utf-8", "replace").strip()


def _bare_environ() -> dict[str, str]:
    """Our environment without the providers' keys: no child of ours asks a provider."""
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith("PARLOUR_") or not name.endswith("_API_KEY")
    }


def end_orphan(pid_file: Path, patience_s: float = 5.0) -> None:
    """Wait for a child of an earlier run to end, and kill it if it does not: a data folder has one owner."""
    try:
        pid = int(pid_file.read_text())
    except (FileNotFoundError, ValueError):
        return
    deadline = time.monotonic() + patience_s
    while _runs_from(pid, pid_file.parent):
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            deadline = time.monotonic() + patience_s
        time.sleep(0.02)
    pid_file.unlink(missing_ok=True)


def _runs_from(pid: int, run_dir: Path) -> bool:
    """Whether the process lives and is ours: numbers are reused, so its environment must name our folder."""
    try:
        environ = Path(f"/proc/{pid}/environ").read_bytes()
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z" and f"{RUN_DIR_MARK}={run_dir}\0".encode() in environ
