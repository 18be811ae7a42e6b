"""Every table. A column `tenant_id` stands in all of them but `tenants` itself."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Float, ForeignKey, Index, Integer, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from server.storage.database import Base, Json, Utc, now

_ID = String(64)


class Scoped:
    """A row that belongs to one tenant and goes with it."""

    @declared_attr
    def tenant_id(cls) -> Mapped[str]:  # noqa: N805 - declared_attr hands over the class
        return mapped_column(_ID, ForeignKey("tenants.id", ondelete="CASCADE"), index=True)


class TenantRow(Base):
    __tablename__ = "tenants"
    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    name: Mapped[str] = mapped_column(String(120))
    status: Mapped[str] = mapped_column(String(16), default="active")  # active, suspended
    monthly_budget_nanousd: Mapped[int | None] = mapped_column(BigInteger)
    messages_per_minute: Mapped[int] = mapped_column(Integer, default=600)
    created_at: Mapped[datetime] = mapped_column(Utc, default=now)


class MemberRow(Scoped, Base):
    __tablename__ = "members"
    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    password_hash: Mapped[str] = mapped_column(String(255))
    role: Mapped[str] = mapped_column(String(16), default="owner")  # owner, admin, editor, viewer
    created_at: Mapped[datetime] = mapped_column(Utc, default=now)


class ConsoleSessionRow(Scoped, Base):
    __tablename__ = "console_sessions"
    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)  # SHA-256 of the cookie, in hex
    member_id: Mapped[str] = mapped_column(_ID, ForeignKey("members.id", ondelete="CASCADE"))
    csrf_token: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(Utc, default=now)
    expires_at: Mapped[datetime] = mapped_column(Utc)


class ApiKeyRow(Scoped, Base):
    __tablename__ = "api_keys"
    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    name: Mapped[str] = mapped_column(String(120))
    key_hash: Mapped[str] = mapped_column(String(64), unique=True)  # SHA-256 in hex; the key is 256 random bits
    last_four: Mapped[str] = mapped_column(String(4))
    created_at: Mapped[datetime] = mapped_column(Utc, default=now)
    expires_at: Mapped[datetime | None] = mapped_column(Utc)
    revoked_at: Mapped[datetime | None] = mapped_column(Utc)
    last_used_at: Mapped[datetime | None] = mapped_column(Utc)


class BotRow(Scoped, Base):
    __tablename__ = "bots"
    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    version: Mapped[int] = mapped_column(Integer, default=1)
    config: Mapped[dict[str, Any]] = mapped_column(Json)
    knowledge_epoch: Mapped[int] = mapped_column(Integer, default=0)
    created_at: Mapped[datetime] = mapped_column(Utc, default=now)
    updated_at: Mapped[datetime] = mapped_column(Utc, default=now)


class BotVersionRow(Scoped, Base):
    __tablename__ = "bot_versions"
    bot_id: Mapped[str] = mapped_column(_ID, ForeignKey("bots.id", ondelete="CASCADE"), primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    config: Mapped[dict[str, Any]] = mapped_column(Json)
    created_at: Mapped[datetime] = mapped_column(Utc, default=now)


class VisitorRow(Scoped, Base):
    __tablename__ = "visitors"
    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    bot_id: Mapped[str] = mapped_column(_ID, ForeignKey("bots.id", ondelete="CASCADE"), index=True)
    renewal_hash: Mapped[str | None] = mapped_column(String(64), unique=True)  # SHA-256 of the renewal token in force
    locale: Mapped[str | None] = mapped_column(String(35))
    created_at: Mapped[datetime] = mapped_column(Utc, default=now)
    seen_at: Mapped[datetime] = mapped_column(Utc, default=now)


class ConversationRow(Scoped, Base):
    __tablename__ = "conversations"
    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    bot_id: Mapped[str] = mapped_column(_ID, ForeignKey("bots.id", ondelete="CASCADE"), index=True)
    visitor_id: Mapped[str] = mapped_column(_ID, ForeignKey("visitors.id", ondelete="CASCADE"), index=True)
    channel: Mapped[str] = mapped_column(String(16), default="widget")  # widget, api, console
    locale: Mapped[str | None] = mapped_column(String(35))
    page: Mapped[str | None] = mapped_column(String(2048))
    created_at: Mapped[datetime] = mapped_column(Utc, default=now)
    updated_at: Mapped[datetime] = mapped_column(Utc, default=now)


class MessageRow(Scoped, Base):
    __tablename__ = "messages"
    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    conversation_id: Mapped[str] = mapped_column(_ID, ForeignKey("conversations.id", ondelete="CASCADE"))
    ordinal: Mapped[int] = mapped_column(Integer)  # position in the conversation, from 1
    client_id: Mapped[str | None] = mapped_column(String(64))  # the command's id: idempotency key of the visitor
    content_hash: Mapped[str | None] = mapped_column(String(64))
    role: Mapped[str] = mapped_column(String(16))
    author: Mapped[dict[str, Any]] = mapped_column(Json)
    text: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(String(16), default="complete")  # complete, interrupted, replaced
    reply_to: Mapped[str | None] = mapped_column(_ID)
    replaced_by: Mapped[str | None] = mapped_column(_ID)
    sentiment: Mapped[str | None] = mapped_column(String(16))
    sentiment_score: Mapped[float | None] = mapped_column(Float)
    intent: Mapped[str | None] = mapped_column(String(32))
    animation: Mapped[str | None] = mapped_column(String(16))
    sources: Mapped[list[dict[str, Any]] | None] = mapped_column(Json)
    suggestions: Mapped[list[str] | None] = mapped_column(Json)
    finish_reason: Mapped[str | None] = mapped_column(String(16))
    provider: Mapped[str | None] = mapped_column(String(64))
    model: Mapped[str | None] = mapped_column(String(120))
    usage: Mapped[dict[str, Any] | None] = mapped_column(Json)
    cost_nanousd: Mapped[int | None] = mapped_column(BigInteger)
    cached: Mapped[bool | None] = mapped_column()
    ttft_ms: Mapped[int | None] = mapped_column(Integer)
    total_ms: Mapped[int | None] = mapped_column(Integer)
    chunks: Mapped[int | None] = mapped_column(Integer)
    rating: Mapped[str | None] = mapped_column(String(8))
    rating_comment: Mapped[str | None] = mapped_column(String(2000))
    created_at: Mapped[datetime] = mapped_column(Utc, default=now)
    __table_args__ = (
        UniqueConstraint("conversation_id", "client_id", name="uq_messages_client_id"),
        UniqueConstraint("conversation_id", "ordinal", name="uq_messages_ordinal"),
    )


class DocumentRow(Scoped, Base):
    __tablename__ = "documents"
    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    bot_id: Mapped[str] = mapped_column(_ID, ForeignKey("bots.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(255))  # the file's name: a re-upload of the same name replaces
    title: Mapped[str | None] = mapped_column(String(500))
    media_type: Mapped[str] = mapped_column(String(120))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))  # of the newest upload: the file's name in storage/files
    version: Mapped[int] = mapped_column(Integer, default=1)  # newest upload
    live_version: Mapped[int] = mapped_column(Integer, default=0)  # what searches see; 0 = nothing yet
    status: Mapped[str] = mapped_column(String(16), default="queued")  # queued parsing embedding ready failed deleting
    progress: Mapped[float] = mapped_column(Float, default=0.0)
    error: Mapped[str | None] = mapped_column(String(500))
    pages: Mapped[int | None] = mapped_column(Integer)
    chunk_count: Mapped[int] = mapped_column(Integer, default=0)
    created_at: Mapped[datetime] = mapped_column(Utc, default=now)
    updated_at: Mapped[datetime] = mapped_column(Utc, default=now)
    __table_args__ = (UniqueConstraint("bot_id", "name", name="uq_documents_name"),)


class ChunkRow(Scoped, Base):
    """A passage as it is searched: visible at knowledge epoch G when from_epoch <= G < to_epoch."""

    __tablename__ = "chunks"
    id: Mapped[str] = mapped_column(_ID, primary_key=True)  # uuid5(key, from_epoch): also the vector point's id
    bot_id: Mapped[str] = mapped_column(_ID, ForeignKey("bots.id", ondelete="CASCADE"))
    document_id: Mapped[str] = mapped_column(_ID, ForeignKey("documents.id", ondelete="CASCADE"), index=True)
    key: Mapped[str] = mapped_column(String(64))  # content address within the document
    ordinal: Mapped[int] = mapped_column(Integer)
    text: Mapped[str] = mapped_column(Text)
    heading: Mapped[str] = mapped_column(Text, default="")
    place: Mapped[str] = mapped_column(String(500), default="")  # what a citation shows: heading path or page
    page: Mapped[int | None] = mapped_column(Integer)
    char_from: Mapped[int] = mapped_column(Integer)
    char_to: Mapped[int] = mapped_column(Integer)
    language: Mapped[str] = mapped_column(String(16), default="en")
    sha256: Mapped[str] = mapped_column(String(64))  # of prefix + text: the embedding cache's key
    from_epoch: Mapped[int] = mapped_column(Integer)
    to_epoch: Mapped[int] = mapped_column(Integer)
    __table_args__ = (Index("ix_chunks_bot_epochs", "bot_id", "from_epoch", "to_epoch"),)


class EmbeddingRow(Scoped, Base):
    """Vectors by content, so that a re-upload embeds only what changed; never shared between tenants."""

    __tablename__ = "embeddings"
    tenant_id: Mapped[str] = mapped_column(_ID, ForeignKey("tenants.id", ondelete="CASCADE"), primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64), primary_key=True)
    vector: Mapped[bytes] = mapped_column(LargeBinary)


class OutboxRow(Scoped, Base):
    """Work that must happen: written with its cause, swept until done, leased while it runs."""

    __tablename__ = "outbox"
    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))  # ingest, remove
    subject_id: Mapped[str] = mapped_column(_ID, index=True)
    payload: Mapped[dict[str, Any]] = mapped_column(Json)
    tries: Mapped[int] = mapped_column(Integer, default=0)
    lease_owner: Mapped[str | None] = mapped_column(String(64))
    lease_fence: Mapped[int] = mapped_column(Integer, default=0)
    lease_until: Mapped[datetime | None] = mapped_column(Utc)
    done_at: Mapped[datetime | None] = mapped_column(Utc)
    error: Mapped[str | None] = mapped_column(String(500))
    created_at: Mapped[datetime] = mapped_column(Utc, default=now)


class UsageRow(Scoped, Base):
    """The ledger: one append-only row per attempt at a provider, priced when it was made."""

    __tablename__ = "usage"
    id: Mapped[str] = mapped_column(_ID, primary_key=True)  # turn.attempt: a repeated settle writes once
    bot_id: Mapped[str] = mapped_column(_ID, index=True)
    conversation_id: Mapped[str] = mapped_column(_ID)
    message_id: Mapped[str] = mapped_column(_ID)
    attempt: Mapped[int] = mapped_column(Integer)
    reason: Mapped[str] = mapped_column(String(16))
    provider: Mapped[str] = mapped_column(String(64))
    model: Mapped[str] = mapped_column(String(120))
    input_tokens: Mapped[int] = mapped_column(Integer, default=0)
    cache_read_tokens: Mapped[int] = mapped_column(Integer, default=0)
    cache_write_tokens: Mapped[int] = mapped_column(Integer, default=0)
    output_tokens: Mapped[int] = mapped_column(Integer, default=0)
    reasoning_tokens: Mapped[int] = mapped_column(Integer, default=0)
    usage_source: Mapped[str] = mapped_column(String(16))
    cost_nanousd: Mapped[int] = mapped_column(BigInteger)
    ttft_ms: Mapped[int | None] = mapped_column(Integer)
    total_ms: Mapped[int | None] = mapped_column(Integer)
    finish: Mapped[str | None] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(Utc, default=now)


class IdempotencyRow(Scoped, Base):
    """Answers of creating requests, kept for a day so that a repeat is a replay."""

    __tablename__ = "idempotency"
    tenant_id: Mapped[str] = mapped_column(_ID, ForeignKey("tenants.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    route: Mapped[str] = mapped_column(String(200), primary_key=True)
    body_hash: Mapped[str] = mapped_column(String(64))
    status: Mapped[int | None] = mapped_column(Integer)  # None while the first request runs
    answer: Mapped[dict[str, Any] | None] = mapped_column(Json)
    created_at: Mapped[datetime] = mapped_column(Utc, default=now)
