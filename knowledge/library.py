"""The door of retrieval: documents in, cited passages out, and never an exception for a part that is away."""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from knowledge import rank
from knowledge.chunk import Chunker, Draft
from knowledge.embed import About, Encoder, EncoderAway, SocketEncoder, tokenizer_file
from knowledge.language import detect
from knowledge.parse import Parsed, parse_document
from knowledge.rank import Found
from knowledge.records import BotScope, Records, StoredChunk
from knowledge.store import EdgeStore, KnowledgeStore, Legs, Sparse, StoreAway
from knowledge.store.words import document_words, question_words

BUDGET_S = 0.4
PREFETCH = 100
JUDGED = 40
FALLBACK_ROWS = 200
FALLBACK_WORDS = 8
MAX_QUESTION_CHARS = 2000
REMEMBERED_BOTS = 4096
_WORD = re.compile(r"\w{3,}")


@dataclass(frozen=True, slots=True)
class Results:
    """What a search found, best first; `degraded` names the parts it had to do without."""

    found: tuple[Found, ...] = ()
    degraded: str | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A document read and cut, ready to be embedded."""

    title: str
    pages: int | None
    hidden: int
    drafts: tuple[Draft, ...]


class Library:
    """One process's way to the knowledge of every bot."""

    def __init__(self, records: Records, store: KnowledgeStore, encoder: Encoder, model: Path | None = None) -> None:
        self.store = store
        self.encoder = encoder
        self._records = records
        self._model = model
        self._chunker: Chunker | None = None
        self._languages: OrderedDict[tuple[str, str, int], frozenset[str]] = OrderedDict()

    # Out ------------------------------------------------------------------------------------------------------------
    async def search(self, scope: BotScope, question: str, *, epoch: int, limit: int = 5) -> Results:
        """The passages that answer a question at a knowledge epoch, within 400 ms; empty when none does."""
        question = question[:MAX_QUESTION_CHARS].strip()
        if epoch <= 0 or not question:
            return Results()
        scope = BotScope(scope.tenant, scope.bot)
        deadline = asyncio.get_running_loop().time() + BUDGET_S
        try:
            async with asyncio.timeout_at(deadline):
                return await self._search(scope, question, epoch, limit)
        except TimeoutError:
            return Results((), "search took too long")

    async def _search(self, scope: BotScope, question: str, epoch: int, limit: int) -> Results:
        languages = await self._languages_of(scope, epoch)
        if not languages:
            return Results()
        asked_in = detect(question, default="en" if "en" in languages else min(languages))
        words = [question_words(question, language) for language in sorted(languages)]
        dense, degraded = await self._question_vector(question, asked_in)
        try:
            legs = await self.store.search(scope, generation=epoch, dense=dense, words=words, limit=PREFETCH)
        except StoreAway:
            return await self._search_words_only(scope, question, words, epoch, limit)
        if not legs.dense and not legs.words and not await self._has_index(scope):
            return await self._search_words_only(scope, question, words, epoch, limit)
        found = await self._judge(scope, legs, words, epoch, limit)
        return Results(tuple(found), degraded)

    async def _judge(self, scope: BotScope, legs: Legs, words: Sequence[Sparse], epoch: int, limit: int) -> list[Found]:
        fused = rank.fuse(legs)
        chunks = await self._chunks(scope, fused[:JUDGED], epoch)
        missing = rank.entered(chunks) - {(chunk.document_id, chunk.ordinal) for chunk in chunks}
        if missing and len(fused) > JUDGED:
            rest = await self._chunks(scope, fused[JUDGED:], epoch)
            chunks += [chunk for chunk in rest if (chunk.document_id, chunk.ordinal) in missing]
        return _chosen(fused, chunks, words, bool(legs.dense), limit)

    async def _chunks(self, scope: BotScope, candidates: Sequence[rank.Candidate], epoch: int) -> list[StoredChunk]:
        return await self._records.chunks(scope, [candidate.id for candidate in candidates], epoch=epoch)

    async def _search_words_only(
        self, scope: BotScope, question: str, words: Sequence[Sparse], epoch: int, limit: int
    ) -> Results:
        """The last resort: rows that hold a word of the question, ranked by how many they hold."""
        terms = sorted(set(_WORD.findall(question.lower())), key=len, reverse=True)[:FALLBACK_WORDS]
        rows = await self._records.containing(scope, [_stem(term) for term in terms], epoch=epoch, limit=FALLBACK_ROWS)
        asked = _asked(words)
        judged = rank.judge(
            [rank.Candidate(row.id, 0.0) for row in rows], {row.id: row for row in rows}, asked, _terms_of
        )
        found = rank.choose(judged, terms=len(asked), dense=False, limit=limit)
        return Results(tuple(found), "the vector index is away")

    async def _question_vector(self, question: str, language: str) -> tuple[bytes | None, str | None]:
        """The question's vector, or None with the reason; no reason when the encoder does not know the language."""
        try:
            about = await self.encoder.about()
            if not about.knows(language):
                return None, None
            return await self.encoder.embed_question(question), None
        except EncoderAway:
            return None, "the encoder is away"

    async def _languages_of(self, scope: BotScope, epoch: int) -> frozenset[str]:
        key = (scope.tenant, scope.bot, epoch)
        known = self._languages.get(key)
        if known is None:
            known = self._languages[key] = await self._records.languages(scope, epoch=epoch)
            while len(self._languages) > REMEMBERED_BOTS:
                self._languages.popitem(last=False)
        return known

    async def _has_index(self, scope: BotScope) -> bool:
        try:
            return (await self.store.stats(scope)).generation >= 0
        except StoreAway:
            return False

    # In -------------------------------------------------------------------------------------------------------------
    async def read(self, path: Path, media_type: str) -> Parsed:
        """Read a file in a process of its own; raises ParseFailed or ParserDied."""
        return await parse_document(path, media_type)

    async def cut(self, parsed: Parsed, name: str) -> Prepared:
        """Cut a document into chunks, in a thread; raises TooManyChunks."""
        title = parsed.title or name
        drafts = await asyncio.to_thread(self._cut, parsed, title)
        return Prepared(title, parsed.pages, parsed.hidden, tuple(drafts))

    def _cut(self, parsed: Parsed, title: str) -> list[Draft]:
        if self._chunker is None:
            self._chunker = Chunker(tokenizer_file(self._model))
        return self._chunker.cut(parsed, title)

    async def about(self) -> About:
        """What the encoder is; raises EncoderAway."""
        return await self.encoder.about()

    # All ------------------------------------------------------------------------------------------------------------
    async def drop(self, tenant: str, bot: str) -> None:
        """Remove a bot's whole index; if the engine is away, the worker's sweep finds the orphan later."""
        try:
            await self.store.drop(BotScope(tenant, bot))
        except StoreAway:
            return

    async def states(self) -> dict[str, str]:
        """`ok` or `down` for the two parts behind the library."""
        states = {"vectors": "ok", "encoder": "ok"}
        try:
            await self.store.ping()
        except StoreAway:
            states["vectors"] = "down"
        try:
            await self.encoder.about()
        except EncoderAway:
            states["encoder"] = "down"
        return states

    async def close(self) -> None:
        """Close the connections to both parts."""
        await self.store.close()
        await self.encoder.close()


def _chosen(
    candidates: Sequence[rank.Candidate],
    chunks: Sequence[StoredChunk],
    words: Sequence[Sparse],
    dense: bool,
    limit: int,
) -> list[Found]:
    asked = _asked(words)
    judged = rank.judge(candidates, {chunk.id: chunk for chunk in chunks}, asked, _terms_of)
    return rank.choose(judged, terms=len(asked), dense=dense, limit=limit)


def _asked(words: Sequence[Sparse]) -> frozenset[int]:
    """The question's terms in the language that keeps the fewest: the one whose stop words fit it."""
    return min((frozenset(one.indices) for one in words), key=len, default=frozenset())


def _terms_of(chunk: StoredChunk) -> Collection[int]:
    return document_words(f"{chunk.heading}\n{chunk.text}", chunk.language).indices


def _stem(word: str) -> str:
    """A crude stem for substring search: endings vary, beginnings rarely do."""
    return word[: max(4, len(word) - 3)] if len(word) > 5 else word


@asynccontextmanager
async def open_library(
    records: Records,
    *,
    encoder_socket: Path,
    vectors_socket: Path,
    qdrant_url: str = "",
    qdrant_api_key: str = "",
    model: Path | None = None,
) -> AsyncIterator[Library]:
    """A library over the embedded store, or over the Qdrant server that `qdrant_url` names; nothing need be up yet."""
    store: KnowledgeStore = EdgeStore(vectors_socket)
    if qdrant_url:
        from knowledge.store.server import ServerStore  # noqa: PLC0415 - a heavy client that few need

        store = ServerStore(qdrant_url, qdrant_api_key)
    library = Library(records, store, SocketEncoder(encoder_socket), model)
    try:
        yield library
    finally:
        await library.close()


__all__ = ["BotScope", "Found", "Library", "Prepared", "Records", "Results", "StoredChunk", "open_library"]
