"""What storage hands out: frozen values, one per noun, never a live row."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from server.bot import BotConfig
from server.ids import ApiKeyId, BotId, ConversationId, DocumentId, MemberId, MessageId, TenantId, VisitorId

Role = Literal["owner", "admin", "editor", "viewer"]
DocumentStatus = Literal["queued", "parsing", "embedding", "ready", "failed", "deleting"]
MessageStatus = Literal["complete", "interrupted", "replaced"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A slice of a list; `next_cursor` is None at the end."""

    data: tuple[T, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class TenantRecord:
    id: TenantId
    name: str
    status: str
    monthly_budget_nanousd: int | None
    messages_per_minute: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class MemberRecord:
    id: MemberId
    tenant_id: TenantId
    email: str
    role: Role
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ConsoleSession:
    """A member's open console; `csrf_token` must come back with every change."""

    member: MemberRecord
    csrf_token: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class ApiKeyRecord:
    id: ApiKeyId
    tenant_id: TenantId
    name: str
    last_four: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class BotRecord:
    """A bot as it stands: `version` counts configurations, `knowledge_epoch` visible states of its documents."""

    id: BotId
    tenant_id: TenantId
    version: int
    config: BotConfig
    knowledge_epoch: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class VisitorRecord:
    id: VisitorId
    tenant_id: TenantId
    bot_id: BotId
    locale: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ConversationRecord:
    id: ConversationId
    tenant_id: TenantId
    bot_id: BotId
    visitor_id: VisitorId
    channel: str
    locale: str | None
    page: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRecord:
    id: MessageId
    tenant_id: TenantId
    conversation_id: ConversationId
    ordinal: int
    role: Literal["user", "assistant", "system"]
    author: dict[str, Any]
    text: str
    status: MessageStatus = "complete"
    client_id: str | None = None
    reply_to: MessageId | None = None
    replaced_by: MessageId | None = None
    sentiment: str | None = None
    sentiment_score: float | None = None
    intent: str | None = None
    animation: str | None = None
    sources: list[dict[str, Any]] | None = None
    suggestions: list[str] | None = None
    finish_reason: str | None = None
    provider: str | None = None
    model: str | None = None
    usage: dict[str, Any] | None = None
    cost_nanousd: int | None = None
    cached: bool | None = None
    ttft_ms: int | None = None
    total_ms: int | None = None
    chunks: int | None = None
    rating: str | None = None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentRecord:
    id: DocumentId
    tenant_id: TenantId
    bot_id: BotId
    name: str
    title: str | None
    media_type: str
    size_bytes: int
    sha256: str
    version: int
    live_version: int
    status: DocumentStatus
    progress: float
    error: str | None
    pages: int | None
    chunk_count: int
    created_at: datetime
    updated_at: datetime
