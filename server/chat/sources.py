"""Citations: the passages an answer may cite, the markers [n] in its text, and who was really cited."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Protocol

from server.ids import ConversationId
from server.llm.messages import Passage
from server.protocol import Citation

MAX_QUOTE_CHARS: Final = 240

_MARK: Final = re.compile(r"[ \u00a0]?(?:\[(\d{1,2}(?: ?, ?\d{1,2}){0,4})\]|【(\d{1,2})[^】\n]{0,20}】)|`|\n")
_OPEN: Final = re.compile(r"(?:[ \u00a0]|[ \u00a0]?(?:\[[\d, ]{0,18}|【[^】\n]{0,22}))\Z")
_WORTH_A_LOOK: Final = re.compile(r"[\[【`]|[ \u00a0]\Z")
_SENTENCES: Final = re.compile(r"[^.!?\n]+[.!?]*")
_WORDS: Final = re.compile(r"\w{3,}")


class Found(Protocol):
    """What retrieval hands over: one passage of one document."""

    @property
    def chunk_id(self) -> str: ...
    @property
    def document_id(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def place(self) -> str: ...
    @property
    def page(self) -> int | None: ...
    @property
    def text(self) -> str: ...
    @property
    def score(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Citable:
    """A numbered passage as it can be cited and stored; `quote` is its sentence nearest to the question."""

    n: int
    title: str
    place: str
    quote: str
    document_id: str
    chunk_id: str
    page: int | None = None

    def citation(self, conversation: ConversationId) -> Citation:
        """What the widget is told; the handle opens this source in this conversation only."""
        told: Citation = {"n": self.n, "title": self.title, "handle": handle_of(conversation, self.chunk_id)}
        if self.place:
            told["place"] = self.place
        if self.quote:
            told["quote"] = self.quote
        return told

    def stored(self, conversation: ConversationId) -> dict[str, Any]:
        """The row kept with the message: the citation and what its handle stands for."""
        inner = {"documentId": self.document_id, "chunkId": self.chunk_id, "page": self.page}
        return {**self.citation(conversation), **inner}

    def as_dict(self) -> dict[str, Any]:
        """For the answer cache."""
        return asdict(self)


def handle_of(conversation: ConversationId, chunk_id: str) -> str:
    """An opaque name for a passage: the same within a conversation, another one in every other."""
    digest = hashlib.blake2b(f"{conversation}\0{chunk_id}".encode(), digest_size=10, person=b"parlour.source").digest()
    return "src_" + base64.b32encode(digest).decode().lower()


def citables(found: Iterable[Found], question: str) -> tuple[Citable, ...]:
    """The passages, numbered from 1."""
    return tuple(
        Citable(n, hit.title, hit.place, best_quote(hit.text, question), hit.document_id, hit.chunk_id, hit.page)
        for n, hit in enumerate(found, 1)
    )


def passages(found: Iterable[Found], max_chars: int) -> tuple[Passage, ...]:
    """The same passages as a model reads them, each cut to `max_chars`."""
    return tuple(Passage(n, hit.title, hit.place, hit.text[:max_chars], hit.score) for n, hit in enumerate(found, 1))


def best_quote(text: str, question: str) -> str:
    """The sentence of a passage that shares most words with the question, at most 240 characters of it."""
    asked = set(_WORDS.findall(question.lower()))
    sentences = [" ".join(sentence.split()) for sentence in _SENTENCES.findall(text[:4000])]
    sentences = [sentence for sentence in sentences if len(sentence) >= 20] or [" ".join(text.split())]
    best = max(sentences, key=lambda sentence: len(asked.intersection(_WORDS.findall(sentence.lower()))))
    return best if len(best) <= MAX_QUOTE_CHARS else best[: MAX_QUOTE_CHARS - 1].rstrip() + "…"


class Markers:
    """Finds [n] in streamed text: drops a number without a passage, keeps back what may become a marker.

    `[1, 2]` becomes `[1][2]`; brackets within code are code. The numbers that are shown count from 1 in the order of
    their first appearance, in the text as in the sources: a lone source is never number 3.
    """

    def __init__(self, sources: Sequence[Citable]) -> None:
        self._sources = {source.n: source for source in sources}
        self._shown: dict[int, int] = {}
        self._held = ""
        self._ticks = 0
        self._inline = False
        self._fenced = False
        self.cited: list[Citable] = []

    def feed(self, text: str) -> tuple[str, list[Citable]]:
        """What may be shown now, and the passages it cites for the first time."""
        if not self._held and not self._inline and not _WORTH_A_LOOK.search(text):
            self._ticks = 0
            return text, []
        text = self._held + text
        open_ = _OPEN.search(text)
        cut = open_.start() if open_ else len(text)
        self._held = text[cut:]
        return self._resolve(text[:cut])

    def finish(self) -> tuple[str, list[Citable]]:
        """What was kept back."""
        held, self._held = self._held, ""
        return self._resolve(held)

    def _resolve(self, text: str) -> tuple[str, list[Citable]]:
        shown: list[str] = []
        fresh: list[Citable] = []
        end = 0
        for match in _MARK.finditer(text):
            if match.start() > end:
                self._ticks = 0
            shown.append(text[end : match.start()])
            shown.append(self._one(match, fresh))
            end = match.end()
        if end < len(text):
            self._ticks = 0
        shown.append(text[end:])
        self.cited += fresh
        return "".join(shown), fresh

    def _one(self, match: re.Match[str], fresh: list[Citable]) -> str:
        sign = match.group()
        if sign == "`":
            self._tick()
            return sign
        self._ticks = 0
        if sign == "\n":
            self._inline = False
            return sign
        if self._inline or self._fenced:
            return sign
        numbers = [int(number) for number in (match.group(1) or match.group(2)).split(",")]
        known = [n for n in dict.fromkeys(numbers) if n in self._sources]
        for n in known:
            if n not in self._shown:
                self._shown[n] = len(self._shown) + 1
                fresh.append(replace(self._sources[n], n=self._shown[n]))
        blank = sign[0] if known and sign[0] in " \u00a0" else ""
        return blank + "".join(f"[{self._shown[n]}]" for n in known)

    def _tick(self) -> None:
        """One backtick opens and closes code in a line, three a block, two nothing."""
        self._ticks += 1
        if self._ticks <= 2:
            self._inline = not self._inline
        elif self._ticks == 3:
            self._inline, self._fenced = False, not self._fenced
