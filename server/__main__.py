"""The `parlour` command line: serve, worker, ask, doctor, keys."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from server import __version__
from server.settings import SettingError, Settings, read_settings
from server.telemetry import open_logs

Command = Callable[[Settings, argparse.Namespace], Awaitable[int]]


async def _serve(settings: Settings, arguments: argparse.Namespace) -> int:
    # Imported when it runs: `parlour --help` must not load a web server.
    from server.serve import serve  # noqa: PLC0415

    return await serve(settings, demo=arguments.demo, ready_file=arguments.ready_file)


async def _worker(settings: Settings, arguments: argparse.Namespace) -> int:
    from server.serve import work  # noqa: PLC0415

    await work(settings, arguments.ready_file)
    return 0


async def _ask(settings: Settings, arguments: argparse.Namespace) -> int:
    from server.commands import ask  # noqa: PLC0415

    return await ask(settings, arguments.question, bot=arguments.bot, as_json=arguments.json)


async def _doctor(settings: Settings, arguments: argparse.Namespace) -> int:
    from server.commands import doctor  # noqa: PLC0415

    return await doctor(settings, as_json=arguments.json)


async def _keys(settings: Settings, arguments: argparse.Namespace) -> int:
    from server.commands import new_key  # noqa: PLC0415

    return await new_key(settings, arguments.tenant, arguments.name, as_json=arguments.json)


def build_parser() -> argparse.ArgumentParser:
    """Every command and its options."""
    parser = argparse.ArgumentParser(prog="parlour", description="A self-hosted chat server with an avatar.")
    parser.add_argument("--version", action="version", version=f"parlour {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = _command(commands, "serve", _serve, "run the server, and every part that no setting provides")
    serve.add_argument("--demo", action="store_true", help="make a demo tenant, bot and page on the first start")
    serve.add_argument("--ready-file", type=Path, help="write addresses and the demo's credentials here when ready")
    worker = _command(commands, "worker", _worker, "run a background worker")
    worker.add_argument("--ready-file", type=Path, help="touch this file when jobs are taken")
    ask = _command(commands, "ask", _ask, "ask a bot of a running server on this data folder")
    ask.add_argument("question")
    ask.add_argument("--bot", help="the bot's id; the demo bot when left out")
    doctor = _command(commands, "doctor", _doctor, "check settings, parts and ports, and say what to do")
    keys = _command(commands, "keys", _keys, "make an API key for a tenant")
    keys.add_argument("--tenant", help="the tenant's id; the only one when left out")
    keys.add_argument("--name", default="made by the command line")
    for command in (ask, doctor, keys):
        command.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, run: Command, text: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; exit codes: 0 done, 1 failed, 2 used wrongly."""
    parsed = build_parser().parse_args(arguments)
    try:
        settings = read_settings()
    except SettingError as problem:
        print(f"parlour: {problem}", file=sys.stderr)
        return 2
    open_logs(settings.log_level)
    # What this process and its children write is for its owner alone, whatever folder it is given.
    os.umask(0o077)
    import uvloop  # noqa: PLC0415

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            code: int = runner.run(parsed.run(settings, parsed))
            return code
        except KeyboardInterrupt:
            return 0


if __name__ == "__main__":
    sys.exit(main())
