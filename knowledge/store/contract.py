"""The one interface of every vector store, and the values that cross it.

A point is visible at knowledge epoch G when `from_epoch <= G < to_epoch`. Payloads hold ids only: text is read from
the database afterwards, under the tenant's scope, which is also the re-check of what the index says.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from knowledge.records import FOREVER, BotScope


class StoreAway(ConnectionError):
    """The vector store cannot be asked now."""


@dataclass(frozen=True, slots=True)
class Sparse:
    """Words of a text as hashed terms with weights, made by the stemmer of `language`."""

    indices: tuple[int, ...]
    values: tuple[float, ...]
    language: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A chunk in the index; `dense` is little-endian float32, None when the encoder does not know its language."""

    id: str
    document: str
    dense: bytes | None
    words: Sparse
    from_epoch: int
    to_epoch: int = FOREVER


@dataclass(frozen=True, slots=True)
class Upsert:
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Close:
    """Points not visible from `epoch` on."""

    ids: tuple[str, ...]
    epoch: int


@dataclass(frozen=True, slots=True)
class Delete:
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeleteDocument:
    document: str


@dataclass(frozen=True, slots=True)
class KeepOnly:
    """Delete a document's points but these: what a run that died may have left."""

    document: str
    ids: tuple[str, ...]


Op = Upsert | Close | Delete | DeleteDocument | KeepOnly


@dataclass(frozen=True, slots=True)
class Hit:
    """A point found by one leg, with that leg's own score (cosine or BM25)."""

    id: str
    document: str
    score: float


@dataclass(frozen=True, slots=True)
class Legs:
    """What each leg found, best first; fusing them is `rank`'s work, the same for every engine."""

    dense: tuple[Hit, ...] = ()
    words: tuple[Hit, ...] = ()


@dataclass(frozen=True, slots=True)
class Stats:
    """State of one bot's index; `generation` is the marker of the last change applied, -1 when there is no index."""

    points: int = 0
    generation: int = -1
    fingerprint: str = ""
    extra: dict[str, int] = field(default_factory=dict)


class KnowledgeStore(Protocol):
    """Every call names the bot first; none works without it. All raise StoreAway when the engine is not there."""

    async def apply(self, bot: BotScope, ops: Sequence[Op], *, generation: int, fingerprint: str) -> None:
        """Change points and move the marker; may be repeated without harm.

        Another `fingerprint` than the marker's empties the index first: vectors of two encoders never mix.
        """
        ...

    async def search(
        self, bot: BotScope, *, generation: int, dense: bytes | None, words: Sequence[Sparse], limit: int
    ) -> Legs:
        """The best `limit` points of each leg that are visible at `generation`."""
        ...

    def scroll(self, bot: BotScope, *, generation: int | None = None) -> AsyncIterator[str]:
        """Every point's id, or only those visible at `generation`."""
        ...

    async def drop(self, bot: BotScope) -> None:
        """Remove everything of a bot."""
        ...

    async def stats(self, bot: BotScope) -> Stats:
        """How much there is and how far it has come."""
        ...

    async def bots(self) -> list[BotScope]:
        """Every bot that has an index, for finding orphans."""
        ...

    async def ping(self) -> None:
        """Return when the engine answers."""
        ...

    async def close(self) -> None:
        """Close connections."""
        ...
