"""What the library needs of the database, declared here and fulfilled by whoever owns one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

# Larger than any epoch, fits the databases' integers, and is exact as a float, which is what range filters compare.
FOREVER = 2**31 - 1


@dataclass(frozen=True, slots=True)
class BotScope:
    """Whose knowledge: named first in every call, so that none can go without it."""

    tenant: str
    bot: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredChunk:
    """A chunk as the database holds it, with the title of its document."""

    id: str
    document_id: str
    title: str
    ordinal: int
    text: str
    heading: str
    place: str
    page: int | None
    char_from: int
    char_to: int
    language: str


class Records(Protocol):
    """The truth behind the index: every answer is limited to the scope and to one knowledge epoch."""

    async def chunks(self, scope: BotScope, ids: Sequence[str], *, epoch: int) -> list[StoredChunk]:
        """The chunks of these ids that are visible at `epoch`, in any order."""
        ...

    async def languages(self, scope: BotScope, *, epoch: int) -> frozenset[str]:
        """The languages of the visible chunks."""
        ...

    async def containing(self, scope: BotScope, words: Sequence[str], *, epoch: int, limit: int) -> list[StoredChunk]:
        """Visible chunks that hold one of the words: the search of last resort."""
        ...
