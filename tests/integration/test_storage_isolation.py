"""Another tenant's ids open nothing: every storage function, with A's ids and B's tenant."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy import select

from knowledge.records import FOREVER, BotScope
from server import errors
from server.bot import BotConfig
from server.ids import ApiKeyId, ConversationId, DocumentId, MessageId, TenantId
from server.storage import bots, conversations, credentials, documents, idempotency, queues, tenants, usage
from server.storage.database import Base, Database
from server.storage.documents import Flip, NewChunk
from server.storage.files import StoredFile
from server.storage.records import BotRecord, MemberRecord, VisitorRecord
from server.storage.tables import ChunkRow, EmbeddingRow

MODULES: tuple[ModuleType, ...] = (bots, conversations, documents, idempotency, queues, tenants, usage)
REFUSALS = (
    errors.NotFound, errors.MessageUnknown, errors.Conflict, documents.EpochMoved, documents.Superseded,
)  # fmt: skip
USAGE = {
    "id": "turn.1", "conversation_id": "c", "message_id": "m", "attempt": 1, "reason": "primary", "provider": "p",
    "model": "m", "usage_source": "reported", "cost_nanousd": 700,
}  # fmt: skip


@dataclass
class World:
    """One tenant with a row in every table."""

    tenant: TenantId
    bot: BotRecord
    visitor: VisitorRecord
    renewal: str
    conversation: ConversationId
    question: MessageId
    answer: MessageId
    member: MemberRecord
    console: str
    key: ApiKeyId
    document: DocumentId
    work: queues.Work
    chunk: str
    tag: str
    extra: dict[str, Any] = field(default_factory=dict)


async def build(db: Database, tag: str) -> World:
    tenant = TenantId(f"ten_{tag}")
    await tenants.create_tenant(db, tenant, tag, monthly_budget_nanousd=10**9)
    member = await tenants.create_member(db, tenant, f"{tag}@example.com", "a password", "owner")
    console, _ = await tenants.open_console_session(db, tenant, member)
    key, _ = await tenants.create_api_key(db, tenant, "key")
    bot = await bots.create_bot(db, tenant, BotConfig(name=tag))
    visitor, renewal = await conversations.create_visitor(db, tenant, bot.id)
    conversation = (await conversations.create_conversation(db, tenant, bot.id, visitor.id)).id
    question, _ = await conversations.add_visitor_message(
        db, tenant, conversation, client_id="c1", text="hello", author={"kind": "visitor"}
    )
    answer = await conversations.add_answer(
        db, tenant, conversation, id=MessageId(f"msg_{tag}"), author={"kind": "bot"}, text="hi", reply_to=question.id
    )
    stored = StoredFile(("1" if tag == "a" else "2") * 64, 5)
    document = await documents.create_document(db, tenant, bot.id, name="a.txt", media_type="text/plain", stored=stored)
    taken = await queues.take_work(db, tenant, (await queues.free_work(db, tenant))[0], "worker")
    assert taken is not None
    await usage.add_usage(db, tenant, [USAGE | {"id": f"{tag}.1", "bot_id": bot.id}])
    await idempotency.begin(db, tenant, "k", "POST /v1/bots", "hash")
    await idempotency.finish(db, tenant, "k", "POST /v1/bots", 201, {"id": bot.id})
    await documents.keep_vectors(db, tenant, "f", {"s" * 64: tag.encode()})
    async with db.transaction() as session:
        session.add(
            ChunkRow(
                id=f"chunk_{tag}", tenant_id=tenant, bot_id=bot.id, document_id=document.id, key="k", ordinal=0,
                text="a secret word", heading="", place="", char_from=0, char_to=5, language="en", sha256="s" * 64,
                from_epoch=0, to_epoch=FOREVER,
            )
        )  # fmt: skip
    return World(
        tenant, bot, visitor, renewal, conversation, question.id, answer.id, member, console, key.id, document.id,
        taken, f"chunk_{tag}", tag,
    )  # fmt: skip


async def rows_of(db: Database, tenant: TenantId) -> dict[str, list[str]]:
    """Everything a tenant has, as text."""
    found = {}
    async with db.session() as session:
        for table in Base.metadata.sorted_tables:
            owner = table.c.id if table.name == "tenants" else table.c.tenant_id
            query = select(table).where(owner == tenant).order_by(*table.primary_key.columns)
            found[table.name] = [repr(tuple(row)) for row in await session.execute(query)]
    return found


def staged(a: World) -> Flip:
    chunk = NewChunk(
        id=a.chunk, key="k", ordinal=9, text="x", heading="", place="stolen", page=None, char_from=0, char_to=1,
        language="en", sha256="x",
    )  # fmt: skip
    return Flip(
        document=a.document, version=1, epoch=a.bot.knowledge_epoch + 1, title="t", pages=None, kept=[chunk], added=[],
        closed=[a.chunk],
    )  # fmt: skip


class Own:
    """The call may make something of B's own; it only must not touch A's."""


OWN = Own()
Call = Callable[[Database, TenantId, World], Awaitable[Any]]
# What is asked with B's tenant and A's ids, and the answer when it is not simply nothing.
TABLE: dict[str, tuple[Call, Any]] = {
    "bots.create_bot": (lambda db, b, a: bots.create_bot(db, b, BotConfig(), bot_id=a.bot.id), None),
    "bots.get_bot": (lambda db, b, a: bots.get_bot(db, b, a.bot.id), None),
    "bots.list_bots": (lambda db, b, a: bots.list_bots(db, b, limit=100, cursor=None), OWN),
    "bots.update_bot": (lambda db, b, a: bots.update_bot(db, b, a.bot.id, BotConfig(name="stolen")), None),
    "bots.list_versions": (lambda db, b, a: bots.list_versions(db, b, a.bot.id), None),
    "bots.knowledge_epoch": (lambda db, b, a: bots.knowledge_epoch(db, b, a.bot.id), None),
    "bots.delete_bot": (lambda db, b, a: bots.delete_bot(db, b, a.bot.id), None),
    "conversations.create_visitor": (lambda db, b, a: conversations.create_visitor(db, b, a.bot.id), None),
    "conversations.rotate_renewal": (lambda db, b, a: conversations.rotate_renewal(db, b, a.visitor.id), None),
    "conversations.create_conversation": (
        lambda db, b, a: conversations.create_conversation(db, b, a.bot.id, a.visitor.id), None
    ),
    "conversations.get_conversation": (lambda db, b, a: conversations.get_conversation(db, b, a.conversation), None),
    "conversations.latest_conversation": (
        lambda db, b, a: conversations.latest_conversation(db, b, a.bot.id, a.visitor.id), None
    ),
    "conversations.conversation_ids": (lambda db, b, a: conversations.conversation_ids(db, b, a.bot.id), None),
    "conversations.list_conversations": (
        lambda db, b, a: conversations.list_conversations(db, b, bot=a.bot.id, limit=100, cursor=None), None
    ),
    "conversations.delete_conversation": (
        lambda db, b, a: conversations.delete_conversation(db, b, a.conversation), None
    ),
    "conversations.add_visitor_message": (
        lambda db, b, a: conversations.add_visitor_message(
            db, b, a.conversation, client_id="c2", text="x", author={"kind": "visitor"}
        ),
        None,
    ),
    "conversations.add_answer": (
        lambda db, b, a: conversations.add_answer(db, b, a.conversation, id=a.answer, author={}, text="x"), None
    ),
    "conversations.get_message": (lambda db, b, a: conversations.get_message(db, b, a.conversation, a.answer), None),
    "conversations.answer_to": (lambda db, b, a: conversations.answer_to(db, b, a.conversation, a.question), None),
    "conversations.messages_before": (
        lambda db, b, a: conversations.messages_before(db, b, a.conversation, before=None, limit=50), None
    ),
    "conversations.list_messages": (
        lambda db, b, a: conversations.list_messages(db, b, a.conversation, limit=50, cursor=None), None
    ),
    "conversations.mark_replaced": (lambda db, b, a: conversations.mark_replaced(db, b, a.answer, a.question), None),
    "conversations.rate_message": (
        lambda db, b, a: conversations.rate_message(db, b, a.conversation, a.answer, "down", "x"), None
    ),
    "documents.create_document": (
        lambda db, b, a: documents.create_document(
            db, b, a.bot.id, name="a.txt", media_type="text/plain", stored=StoredFile("3" * 64, 1)
        ),
        None,
    ),
    "documents.requeue_document": (lambda db, b, a: documents.requeue_document(db, b, a.document), None),
    "documents.begin_removal": (lambda db, b, a: documents.begin_removal(db, b, a.document), None),
    "documents.get_document": (lambda db, b, a: documents.get_document(db, b, a.document), None),
    "documents.list_documents": (
        lambda db, b, a: documents.list_documents(db, b, a.bot.id, limit=50, cursor=None), None
    ),
    "documents.all_documents": (lambda db, b, a: documents.all_documents(db, b, a.bot.id), None),
    "documents.set_status": (
        lambda db, b, a: documents.set_status(db, b, a.document, version=1, status="failed", progress=0), None
    ),
    "documents.open_chunks": (lambda db, b, a: documents.open_chunks(db, b, a.document), None),
    "documents.chunk_epochs": (lambda db, b, a: documents.chunk_epochs(db, b, a.document), None),
    "documents.count_chunks": (lambda db, b, a: documents.count_chunks(db, b, a.bot.id), None),
    "documents.known_vectors": (
        lambda db, b, a: documents.known_vectors(db, b, "f", ["s" * 64]), {"s" * 64: b"b"}
    ),
    "documents.keep_vectors": (lambda db, b, a: documents.keep_vectors(db, b, "f", {"s" * 64: b"stolen"}), None),
    "documents.flip": (lambda db, b, a: documents.flip(db, b, a.bot.id, staged(a)), None),
    "documents.collect": (lambda db, b, a: documents.collect(db, b, a.bot.id, FOREVER), None),
    "documents.erase": (lambda db, b, a: documents.erase(db, b, a.document), None),
    "documents.is_file_used": (lambda db, b, a: documents.is_file_used(db, b, "1" * 64), None),
    "documents.indexed_chunks": (
        lambda db, b, a: documents.indexed_chunks(db, b, a.bot.id, after=None, limit=50), None
    ),
    "documents.Records.chunks": (
        lambda db, b, a: documents.Records(db).chunks(BotScope(b, a.bot.id), [a.chunk], epoch=1), None
    ),
    "documents.Records.languages": (
        lambda db, b, a: documents.Records(db).languages(BotScope(b, a.bot.id), epoch=1), None
    ),
    "documents.Records.containing": (
        lambda db, b, a: documents.Records(db).containing(BotScope(b, a.bot.id), ["secret"], epoch=1, limit=9), None
    ),
    "idempotency.begin": (
        lambda db, b, a: idempotency.begin(db, b, "k2", "POST /v1/bots", "hash"), idempotency.Begun()
    ),
    "idempotency.finish": (lambda db, b, a: idempotency.finish(db, b, "k", "POST /v1/bots", 500, {"x": 1}), None),
    "idempotency.forget": (lambda db, b, a: idempotency.forget(db, b, "k", "POST /v1/bots"), None),
    "queues.find_work": (lambda db, b, a: queues.find_work(db, b, f"{a.document}:1"), None),
    "queues.free_work": (lambda db, b, a: queues.free_work(db, b), None),
    "queues.take_work": (lambda db, b, a: queues.take_work(db, b, a.work.id, "thief"), None),
    "queues.keep_work": (lambda db, b, a: queues.keep_work(db, b, a.work, progressed=True), None),
    "queues.return_work": (lambda db, b, a: queues.return_work(db, b, a.work), None),
    "queues.finish_work": (lambda db, b, a: queues.finish_work(db, b, a.work), None),
    "queues.add_work": (
        lambda db, b, a: queues.add_work(db, b, work="job_b", kind="ingest", subject=a.document, payload={}), OWN
    ),
    "queues.has_work_for": (lambda db, b, a: queues.has_work_for(db, b, a.bot.id), None),
    "queues.is_bot_gone": (lambda db, b, a: queues.is_bot_gone(db, b, a.bot.id), True),
    "queues.forget_done": (lambda db, b, a: queues.forget_done(db, b, older_than_s=-60), None),
    "tenants.create_tenant": (lambda db, b, a: tenants.create_tenant(db, a.tenant, "stolen"), None),
    "tenants.get_tenant": (lambda db, b, a: tenants.get_tenant(db, b), OWN),
    "tenants.update_tenant": (lambda db, b, a: tenants.update_tenant(db, b, name="B again"), OWN),
    "tenants.create_member": (lambda db, b, a: tenants.create_member(db, b, "A@example.com ", "stolen", "owner"), None),
    "tenants.list_members": (lambda db, b, a: tenants.list_members(db, b), OWN),
    "tenants.set_password": (lambda db, b, a: tenants.set_password(db, b, a.member.id, "stolen"), None),
    "tenants.open_console_session": (lambda db, b, a: tenants.open_console_session(db, b, a.member), None),
    "tenants.close_console_session": (lambda db, b, a: tenants.close_console_session(db, b, a.console), None),
    "tenants.create_api_key": (lambda db, b, a: tenants.create_api_key(db, b, "mine"), OWN),
    "tenants.list_api_keys": (lambda db, b, a: tenants.list_api_keys(db, b, limit=100, cursor=None), OWN),
    "tenants.revoke_api_key": (lambda db, b, a: tenants.revoke_api_key(db, b, a.key), None),
    "usage.add_usage": (
        lambda db, b, a: usage.add_usage(db, b, [USAGE | {"id": "a.1", "bot_id": a.bot.id, "cost_nanousd": 1}]), None
    ),
    "usage.spent_since": (
        lambda db, b, a: usage.spent_since(db, b, datetime(2000, 1, 1, tzinfo=UTC), bot=a.bot.id), None
    ),
}  # fmt: skip


def scoped_functions() -> set[str]:
    """Every public function and method of the room that takes a tenant or a scope."""
    found = set()
    for module in MODULES:
        short = module.__name__.rpartition(".")[2]
        for name, value in vars(module).items():
            if name.startswith("_") or getattr(value, "__module__", "") != module.__name__:
                continue
            members = vars(value).items() if inspect.isclass(value) else [("", value)]
            for member, function in members:
                if member.startswith("_") or not inspect.iscoroutinefunction(function):
                    continue
                takes = inspect.signature(function).parameters
                if ("db" in takes and "tenant" in takes) or "scope" in takes:
                    found.add(".".join(part for part in (short, name, member) if part))
    return found


def test_the_table_is_complete() -> None:
    assert set(TABLE) == scoped_functions()


async def test_foreign_ids_read_nothing_and_change_nothing(db: Database) -> None:
    a, b = await build(db, "a"), await build(db, "b")
    mine, others = await rows_of(db, a.tenant), set()
    assert all(mine.values()), [table for table, rows in mine.items() if not rows]
    for name, (call, expected) in TABLE.items():
        try:
            answer = await call(db, b.tenant, a)
        except REFUSALS as refusal:
            answer = None
            others.add(f"{name} {type(refusal).__name__}")
        if expected is OWN:
            assert f"'{a.bot.id}'" not in repr(answer), name
            assert f"'{a.tenant}'" not in repr(answer), name
        elif expected is None:
            empty = answer.data == () if hasattr(answer, "data") else not answer
            assert empty, f"{name} gave {answer!r}"
        else:
            assert answer == expected, name
        assert await rows_of(db, a.tenant) == mine, f"{name} changed rows of another tenant"
    assert len(others) >= 15
    async with db.session() as session:
        kept = await session.scalar(select(EmbeddingRow.vector).where(EmbeddingRow.tenant_id == b.tenant))
    assert kept in {b"b", b"stolen"}


async def test_a_credential_of_one_bot_or_tenant_is_none_of_another(db: Database) -> None:
    a, b = await build(db, "a"), await build(db, "b")
    assert await credentials.find_renewal(db, b.bot.id, a.renewal) is None
    found = await credentials.find_renewal(db, a.bot.id, a.renewal)
    assert found is not None
    assert found.tenant_id == a.tenant
    session = await credentials.find_console_session(db, a.console)
    assert session is not None
    assert session.member.tenant_id == a.tenant


@pytest.mark.parametrize("text", ["", "' OR 1=1--", "bot_\x00", "b" * 65, "../../x", "é" * 20, "bot_1\n"])
async def test_hostile_ids_find_nothing(db: Database, text: str) -> None:
    assert await credentials.find_bot(db, text) is None
    assert await credentials.find_api_key(db, text) is None
    assert await credentials.find_console_session(db, text) is None
