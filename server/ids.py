"""Identifiers: one type per noun, so that a tenant's id cannot be passed for a bot's."""

from __future__ import annotations

import secrets
import time
from typing import NewType

TenantId = NewType("TenantId", str)
MemberId = NewType("MemberId", str)
ApiKeyId = NewType("ApiKeyId", str)
BotId = NewType("BotId", str)
VisitorId = NewType("VisitorId", str)
ConversationId = NewType("ConversationId", str)
MessageId = NewType("MessageId", str)
StreamId = NewType("StreamId", str)
DocumentId = NewType("DocumentId", str)

PREFIXES: dict[str, str] = {
    "tenant": "ten",
    "member": "mem",
    "api_key": "key",
    "bot": "bot",
    "visitor": "vis",
    "conversation": "conv",
    "message": "msg",
    "document": "doc",
    "job": "job",
    "request": "req",
    "connection": "con",
    "usage": "use",
}

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_BASE32_LOWER = "abcdefghijklmnopqrstuvwxyz234567"


def new_ulid() -> str:
    """Make a ULID: 48 bits of milliseconds, 80 random bits, 26 Crockford characters that sort by time."""
    value = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    return "".join(_CROCKFORD[(value >> shift) & 31] for shift in range(125, -1, -5))


def new_id(noun: str) -> str:
    """Make a prefixed ULID such as `bot_01JX...`; KeyError for a noun without a prefix."""
    return f"{PREFIXES[noun]}_{new_ulid()}"


def new_stream_id() -> StreamId:
    """Make a short random stream id: it rides on every chunk, so eight characters instead of a ULID."""
    return StreamId("s_" + "".join(secrets.choice(_BASE32_LOWER) for _ in range(8)))
