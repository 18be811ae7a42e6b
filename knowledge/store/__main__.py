"""The process that owns the embedded engine: `python -m knowledge.store --socket PATH --dir DIR`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from knowledge.process import AlreadyOwned, OwnerLock, die_with_parent, until_told
from knowledge.store.engine import Engine
from knowledge.wire import Handler, Server

METHODS = ("apply", "search", "scroll", "drop", "stats", "bots", "ping")


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to stop; 3 when another process owns the folder."""
    parent = die_with_parent()
    parser = argparse.ArgumentParser(prog="knowledge.store")
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--dir", type=Path, required=True)
    chosen = parser.parse_args(arguments)
    lock = OwnerLock(chosen.dir / "owner.lock", f"the vector folder {chosen.dir}")
    try:
        lock.take()
    except AlreadyOwned as problem:
        sys.stderr.write(f"{problem}\n")
        return 3
    asyncio.run(until_told(_serve(chosen.socket, chosen.dir), parent))
    return 0


async def _serve(socket: Path, folder: Path) -> None:
    engine = Engine(folder)
    server = Server({name: _handler(getattr(engine, name)) for name in METHODS})
    await server.start(socket)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    try:
        await asyncio.Event().wait()
    finally:
        await server.stop()
        engine.close()


def _handler(method: Callable[..., Any]) -> Handler:
    async def answer(**arguments: Any) -> Any:
        # In the loop's own thread: the engine holds the interpreter lock anyway, and one caller at a time is its rule.
        return method(**arguments)

    return answer


if __name__ == "__main__":
    sys.exit(main())
