"""Runs every benchmark and gathers the figures: `python -m tests.load.bench [--short]`.

Each module has `async def measure(short: bool) -> dict[str, float]` and prints its own table with the ratio against the bare
alternative of the same run. The figures land in build/bench.json, a flat object of name to number.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import time
from pathlib import Path

MODULES = ("bench_gateway", "bench_turn", "bench_hub", "bench_knowledge")
RESULTS = Path(__file__).parents[2] / "build" / "bench.json"


async def run(short: bool) -> dict[str, float]:
    """Every figure, in the order of MODULES; a benchmark that breaks fails the run."""
    figures: dict[str, float] = {}
    for name in MODULES:
        started = time.perf_counter()
        print(f"== {name}", flush=True)
        figures |= await importlib.import_module(f"tests.load.{name}").measure(short)
        print(f"   {time.perf_counter() - started:.0f} s", flush=True)
    return figures


def main(arguments: list[str]) -> None:
    """Measure, print, write."""
    figures = asyncio.run(run("--short" in arguments))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({name: round(value, 4) for name, value in figures.items()}, indent=2) + "\n")
    print("== all figures")
    for name, value in figures.items():
        print(f"   {name:<36} {value:>12.3f}")


if __name__ == "__main__":
    main(sys.argv[1:])
