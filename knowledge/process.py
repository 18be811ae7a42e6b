"""What a child process of ours does first: die with its parent, and be the only owner of what it holds."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fcntl
import os
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import IO, Any

PR_SET_PDEATHSIG = 1
PARENT_CHECK_S = 1.0


class AlreadyOwned(RuntimeError):
    """Another process holds the lock; the text says which one."""


def die_with_parent() -> int:
    """Ask the kernel to kill this process when its parent ends, kill -9 included; returns the parent's id."""
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    return parent


async def leave_when_orphaned(parent: int) -> None:
    """End this process once its parent has changed: for systems without a death signal, and for the race before it."""
    while os.getppid() == parent:  # noqa: ASYNC110 - nothing tells us, we have to look
        await asyncio.sleep(PARENT_CHECK_S)
    os._exit(0)


class OwnerLock:
    """A lock file the kernel frees when its holder ends, however it ends."""

    def __init__(self, path: Path, what: str) -> None:
        self._path = path
        self._what = what
        self._file: IO[str] | None = None

    def take(self) -> None:
        """Hold the lock until the process ends; raises AlreadyOwned."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = self._path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read(20).strip() or "unknown"
            file.close()
            raise AlreadyOwned(f"{self._what} is already in use by process {holder}") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        self._file = file

    def free(self) -> None:
        """Give the lock up."""
        if self._file is not None:
            self._file.close()
            self._file = None


async def until_told(work: Coroutine[Any, Any, None], parent: int) -> None:
    """Run `work` until it ends, SIGTERM or SIGINT comes, or the parent is gone."""
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    watch = asyncio.create_task(leave_when_orphaned(parent))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task
    watch.cancel()
