"""What the gateway adds to a provider's stream: the same upstream is read through it and directly with httpx, in pairs.

`python -m tests.load.bench_gateway` prints the figures; `measure()` returns them for build/bench.json. Under 10 s.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import httpx

from server.llm.catalog import open_targets
from server.llm.gateway import Gateway
from server.llm.messages import AttemptRecord, CompletionRequest, Grounding, Message, TextDelta
from server.llm.transport import open_transport

TOKENS: Final = 64
PAIRS_ALONE: Final = 6
PAIRS_MANY: Final = 2
MANY: Final = 16
REQUEST: Final = CompletionRequest((), (Message("user", "hi"),), Grounding("hi", "question", "Parlour", "", "en"), 512)
BODY: Final = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}


@dataclass(frozen=True, slots=True)
class Seen:
    """One answer as its reader saw it."""

    ttft_s: float
    tokens: int


class FreePurse:
    """A purse that grants everything: the cost of real budgets is measured with them."""

    async def reserve(self, attempt_id: str, amount_nanousd: int, floor_nanousd: int) -> bool:
        return True

    async def extend(self, attempt_id: str, delta_nanousd: int, floor_nanousd: int) -> bool:
        return True

    async def settle(self, attempt_id: str, actual_nanousd: int, record: AttemptRecord) -> None:
        return None


async def measure(short: bool = True) -> dict[str, float]:
    """CPU per token, added time to first token and throughput ratio against reading the upstream directly."""
    longer = 1 if short else 3
    async with _upstream() as base_url, open_transport() as transport, httpx.AsyncClient(trust_env=False) as client:
        gateway = Gateway(open_targets({"OPENAI_BASE_URL": base_url}), transport)
        ways: dict[str, Callable[[], Awaitable[Seen]]] = {
            "gateway": lambda: _through(gateway),
            "direct": lambda: direct(client, base_url),
        }
        for way in ways.values():
            await way()
        alone = await _paired(ways, 1, longer * PAIRS_ALONE)
        many = await _paired(ways, MANY, longer * PAIRS_MANY)
    figures = {
        "gateway.cpu_us_per_token_c1": alone["gateway"][0],
        "gateway.cpu_us_per_token_direct_c1": alone["direct"][0],
        "gateway.cpu_us_per_token": many["gateway"][0],
        "gateway.cpu_us_per_token_direct": many["direct"][0],
        "gateway.added_ttft_ms_c1": alone["gateway"][1] - alone["direct"][1],
        "gateway.throughput_ratio_c16": many["gateway"][2] / many["direct"][2],
    }
    print(
        f"   CPU per token, 16 streams: {figures['gateway.cpu_us_per_token']:.0f} us, direct httpx "
        f"{figures['gateway.cpu_us_per_token_direct']:.0f} us; added first token {figures['gateway.added_ttft_ms_c1']:.2f} ms; "
        f"throughput ratio {figures['gateway.throughput_ratio_c16']:.2f}"
    )
    return figures


async def _paired(
    ways: Mapping[str, Callable[[], Awaitable[Seen]]], together: int, pairs: int
) -> dict[str, tuple[float, float, float]]:
    """Per way: CPU in us per token, median time to first token in ms, tokens per second; the ways take turns."""
    runs: dict[str, list[tuple[float, float, float]]] = {name: [] for name in ways}
    for at in range(pairs):
        for name in sorted(ways, reverse=bool(at % 2)):
            runs[name].append(await _once(ways[name], together))
    return {
        name: (statistics.median(run[0] for run in seen), statistics.median(run[1] for run in seen),
               statistics.median(run[2] for run in seen))
        for name, seen in runs.items()
    }  # fmt: skip


async def _once(way: Callable[[], Awaitable[Seen]], together: int) -> tuple[float, float, float]:
    cpu, started = time.process_time(), time.perf_counter()
    seen = await asyncio.gather(*(way() for _ in range(together)))
    tokens = sum(one.tokens for one in seen)
    cpu_us = (time.process_time() - cpu) / tokens * 1e6
    return cpu_us, statistics.median(one.ttft_s for one in seen) * 1000, tokens / (time.perf_counter() - started)


async def _through(gateway: Gateway) -> Seen:
    started, first, tokens = time.perf_counter(), 0.0, 0
    async with aclosing(gateway.stream(REQUEST, spending=FreePurse())) as deltas:
        async for delta in deltas:
            if type(delta) is TextDelta:
                first = first or time.perf_counter() - started
                tokens += 1
    return Seen(first, tokens)


async def direct(client: httpx.AsyncClient, base_url: str) -> Seen:
    started, first, tokens = time.perf_counter(), 0.0, 0
    async with client.stream("POST", f"{base_url}/chat/completions", json=BODY) as response:
        async for line in response.aiter_lines():
            if '"content"' in line:
                first = first or time.perf_counter() - started
                tokens += 1
    return Seen(first, tokens)


@asynccontextmanager
async def _upstream() -> AsyncGenerator[str, None]:
    """The provider in a process of its own, so that its CPU is not ours."""
    command = [sys.executable, "-m", "tests.upstream", "--tokens", str(TOKENS), "--first-ms", "20", "--gap-ms", "5"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        port = (await process.stdout.readline()).split()[1].decode()
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        await process.wait()


def main() -> None:
    """Prints one figure a line."""
    for name, value in asyncio.run(measure()).items():
        print(f"{name:40} {value:10.3f}")


if __name__ == "__main__":
    main()
