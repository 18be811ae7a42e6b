"""Answers given before, in Valkey: keyed so that no tenant, bot, version or state of knowledge meets another."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
import unicodedata
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Final

from server.chat.sources import Citable
from server.ids import BotId, TenantId
from server.llm.messages import Attempt, Delta, Finish, TextDelta
from server.storage.secrets import Secrets
from server.storage.valkey import Valkey, key
from server.telemetry import logger

KNOWLEDGE_TTL_S: Final = 7 * 86_400
TALK_TTL_S: Final = 3_600
HISTORY_IN_KEY: Final = 3
MAX_ANSWER_CHARS: Final = 20_000
REPLAY_WORDS: Final = 2
REPLAY_GAP_S: Final = 0.04
"""Two words every 40 ms are about fifty tokens a second: reading pace."""

_FORMAT: Final = 1
_log = logger("chat.cache")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Everything an answer depends on; `epoch` is the knowledge epoch read before the search."""

    tenant: TenantId
    bot: BotId
    version: int
    epoch: int
    locale: str
    model_class: str
    question: str
    before: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """An answer as it was shown, and the passages it cited."""

    text: str
    sources: tuple[Citable, ...]
    suggestions: tuple[str, ...]
    provider: str
    model: str


class AnswerCache:
    """Finds and keeps answers; Valkey being away is a miss, never an error."""

    def __init__(self, valkey: Valkey, secrets: Secrets) -> None:
        self._valkey = valkey
        self._secrets = secrets

    async def find(self, asked: Asked) -> CachedAnswer | None:
        """The answer to exactly this, if one is kept."""
        try:
            found = await self._valkey.commands.get(self.key_of(asked))
            return _read(found) if found else None
        except Exception as failure:  # a cache may be away, full of old formats, or slow: the answer goes on
            _log.warning("cache not read", extra={"part": "valkey", "error": type(failure).__name__})
            return None

    async def keep(self, asked: Asked, answer: CachedAnswer) -> None:
        """Keep a whole, good answer: a week when it rests on documents, an hour otherwise."""
        if not answer.text or len(answer.text) > MAX_ANSWER_CHARS:
            return
        ttl_s = KNOWLEDGE_TTL_S if answer.sources else TALK_TTL_S
        try:
            await self._valkey.commands.set(self.key_of(asked), _write(answer), ex=ttl_s)
        except Exception as failure:  # as above: an answer not kept is only slower next time
            _log.warning("cache not written", extra={"part": "valkey", "error": type(failure).__name__})

    def key_of(self, asked: Asked) -> str:
        """The key in Valkey: a keyed hash, so that a reader of keys learns nothing about questions."""
        parts = [
            _FORMAT, asked.bot, asked.version, asked.epoch, asked.locale.lower(), asked.model_class,
            normalise(asked.question), *(normalise(text) for text in asked.before[-HISTORY_IN_KEY:]),
        ]  # fmt: skip
        body = json.dumps([asked.tenant, *parts], ensure_ascii=False).encode()
        digest = hmac.new(self._secrets.cache_key(asked.tenant), body, hashlib.sha256).hexdigest()
        return key(asked.tenant, "answer", asked.bot, digest)


def normalise(question: str) -> str:
    """NFKC, case folded, blanks collapsed, punctuation at the end dropped."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", question).casefold())
    return " ".join(folded.split()).rstrip(" .!?。…")


async def replay(answer: CachedAnswer, gap_s: float = REPLAY_GAP_S) -> AsyncGenerator[Delta, None]:
    """The deltas of a kept answer: the first at once, the rest at reading pace."""
    yield Attempt(1, answer.provider, answer.model, "cache")
    words = re.findall(r"\s*\S+\s*$|\s*\S+|\s+", answer.text)
    for at in range(0, len(words), REPLAY_WORDS):
        if at:
            await asyncio.sleep(gap_s)
        yield TextDelta("".join(words[at : at + REPLAY_WORDS]))
    yield Finish("stop")


def _write(answer: CachedAnswer) -> bytes:
    value: dict[str, Any] = {
        "text": answer.text,
        "sources": [source.as_dict() for source in answer.sources],
        "suggestions": answer.suggestions,
        "provider": answer.provider,
        "model": answer.model,
    }
    return json.dumps(value, ensure_ascii=False).encode()


def _read(data: bytes) -> CachedAnswer:
    value = json.loads(data)
    sources = tuple(Citable(**source) for source in value["sources"])
    return CachedAnswer(value["text"], sources, tuple(value["suggestions"]), value["provider"], value["model"])
