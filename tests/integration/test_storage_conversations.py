"""Conversations, bots and idempotency under concurrency, on every database there is."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from argon2 import PasswordHasher
from sqlalchemy import select, update

from server import errors
from server.bot import BotConfig
from server.ids import BotId, ConversationId, MessageId, TenantId
from server.storage import bots, conversations, credentials, idempotency, tenants, usage
from server.storage.database import Database, now
from server.storage.records import BotRecord, ConversationRecord
from server.storage.tables import ApiKeyRow, IdempotencyRow

TENANT = TenantId("ten_1")
VISITOR = {"kind": "visitor"}


@pytest.fixture
async def bot(db: Database) -> BotRecord:
    await tenants.create_tenant(db, TENANT, "A")
    return await bots.create_bot(db, TENANT, BotConfig())


@pytest.fixture
async def conversation(db: Database, bot: BotRecord) -> ConversationRecord:
    visitor, _ = await conversations.create_visitor(db, TENANT, bot.id)
    return await conversations.create_conversation(db, TENANT, bot.id, visitor.id)


async def say(db: Database, conversation: ConversationId, client_id: str, text: str = "hello") -> tuple[Any, bool]:
    return await conversations.add_visitor_message(
        db, TENANT, conversation, client_id=client_id, text=text, author=VISITOR
    )


# Messages -------------------------------------------------------------------------------------------------------------
async def test_twenty_writers_at_once_keep_the_order_whole(db: Database, conversation: ConversationRecord) -> None:
    adds = [say(db, conversation.id, f"c{number}") for number in range(10)]
    answers = [
        conversations.add_answer(
            db, TENANT, conversation.id, id=MessageId(f"msg_{number}"), author={"kind": "bot"}, text="hi"
        )
        for number in range(10)
    ]
    await asyncio.gather(*adds, *answers)
    page = await conversations.list_messages(db, TENANT, conversation.id, limit=50, cursor=None)
    assert [message.ordinal for message in page.data] == list(range(1, 21))


async def test_a_repeated_message_is_the_first_one(db: Database, conversation: ConversationRecord) -> None:
    results = await asyncio.gather(*(say(db, conversation.id, "same") for _ in range(20)))
    assert len({message.id for message, _ in results}) == 1
    assert sum(not duplicate for _, duplicate in results) == 1
    with pytest.raises(errors.IdempotencyConflict):
        await say(db, conversation.id, "same", "other text")


async def test_an_answer_is_stored_once(db: Database, conversation: ConversationRecord) -> None:
    async def answer(text: str) -> Any:
        return await conversations.add_answer(
            db, TENANT, conversation.id, id=MessageId("msg_x"), author={"kind": "bot"}, text=text, finish_reason="stop",
            sources=[{"n": 1}], usage={"inputTokens": 5}, cost_nanousd=9_000_000_000_000_000, cached=False,
        )  # fmt: skip

    stored = await asyncio.gather(*(answer(f"text {number}") for number in range(8)))
    assert len({message.text for message in stored}) == 1
    assert stored[0].sources == [{"n": 1}]
    assert stored[0].cost_nanousd == 9_000_000_000_000_000


async def test_an_id_in_use_elsewhere_is_a_conflict(
    db: Database, bot: BotRecord, conversation: ConversationRecord
) -> None:
    other = await conversations.create_conversation(db, TENANT, bot.id, conversation.visitor_id)
    await conversations.add_answer(db, TENANT, other.id, id=MessageId("msg_x"), author={}, text="hi")
    with pytest.raises(errors.Conflict):
        await conversations.add_answer(db, TENANT, conversation.id, id=MessageId("msg_x"), author={}, text="hi")
    with pytest.raises(errors.Conflict):
        await conversations.create_conversation(
            db, TENANT, bot.id, conversation.visitor_id, conversation_id=conversation.id
        )
    with pytest.raises(errors.NotFound):
        await say(db, ConversationId("conv_nowhere"), "c")


async def test_history_leaves_replaced_answers_out(db: Database, conversation: ConversationRecord) -> None:
    question, _ = await say(db, conversation.id, "c1")
    first, second = MessageId("msg_1"), MessageId("msg_2")
    for answer in (first, second):
        await conversations.add_answer(
            db, TENANT, conversation.id, id=answer, author={}, text="hi", reply_to=question.id
        )
    await conversations.mark_replaced(db, TENANT, first, second)
    shown = await conversations.messages_before(db, TENANT, conversation.id, before=None, limit=10)
    assert [message.id for message in shown] == [question.id, second]
    before = await conversations.messages_before(db, TENANT, conversation.id, before=second, limit=10)
    assert [message.id for message in before] == [question.id]
    newest = await conversations.answer_to(db, TENANT, conversation.id, question.id)
    assert newest is not None
    assert newest.id == second
    with pytest.raises(errors.MessageUnknown):
        await conversations.messages_before(db, TENANT, conversation.id, before=MessageId("msg_9"), limit=10)


async def test_only_answers_are_rated(db: Database, conversation: ConversationRecord) -> None:
    question, _ = await say(db, conversation.id, "c1")
    answer = MessageId("msg_1")
    await conversations.add_answer(db, TENANT, conversation.id, id=answer, author={}, text="hi")
    await conversations.rate_message(db, TENANT, conversation.id, answer, "up", "thanks")
    rated = await conversations.get_message(db, TENANT, conversation.id, answer)
    assert rated is not None
    assert rated.rating == "up"
    with pytest.raises(errors.MessageUnknown):
        await conversations.rate_message(db, TENANT, conversation.id, question.id, "up", None)


async def test_pages_are_whole_while_rows_are_added(db: Database, conversation: ConversationRecord) -> None:
    for number in range(7):
        await say(db, conversation.id, f"c{number}")
    seen, cursor = list[int](), None
    while True:
        page = await conversations.list_messages(db, TENANT, conversation.id, limit=3, cursor=cursor)
        seen += [message.ordinal for message in page.data]
        cursor = page.next_cursor
        if cursor is None:
            break
        if len(seen) == 3:
            await say(db, conversation.id, "late")
    assert seen == list(range(1, 9))
    for bad in ("x", "-1", "1.5", "1e9", "٣", "9" * 10, ""):
        with pytest.raises(errors.BadCursor):
            await conversations.list_messages(db, TENANT, conversation.id, limit=3, cursor=bad)


async def test_lists_are_newest_first_and_whole(db: Database, bot: BotRecord) -> None:
    made = [bot.id] + [(await bots.create_bot(db, TENANT, BotConfig(name=f"b{number}"))).id for number in range(6)]
    seen, cursor = list[str](), None
    while True:
        page = await bots.list_bots(db, TENANT, limit=3, cursor=cursor)
        seen += [entry.id for entry in page.data]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == made[::-1]


async def test_a_text_that_cannot_be_stored_is_our_own_error(db: Database, conversation: ConversationRecord) -> None:
    if not db.is_sqlite:  # SQLite stores anything
        with pytest.raises(errors.BadMessage):
            await say(db, conversation.id, "nul", "a\x00b")
        with pytest.raises(errors.BadMessage):
            await say(db, conversation.id, "c" * 200)


async def test_instants_come_back_in_utc(db: Database, conversation: ConversationRecord) -> None:
    read = await conversations.get_conversation(db, TENANT, conversation.id)
    assert read is not None
    assert read == conversation
    assert read.created_at.tzinfo is UTC or read.created_at.utcoffset() == timedelta(0)


# Bots -----------------------------------------------------------------------------------------------------------------
async def test_writers_of_one_bot_do_not_overwrite_each_other(db: Database, bot: BotRecord) -> None:
    await asyncio.gather(*(bots.update_bot(db, TENANT, bot.id, BotConfig(name=f"n{number}")) for number in range(12)))
    versions = await bots.list_versions(db, TENANT, bot.id)
    assert [entry.version for entry in versions] == list(range(13, 0, -1))
    present = await bots.get_bot(db, TENANT, bot.id)
    assert present is not None
    assert present.config == versions[0].config
    assert {entry.config.name for entry in versions[:-1]} == {f"n{number}" for number in range(12)}


async def test_only_one_of_two_who_read_the_same_version_wins(db: Database, bot: BotRecord) -> None:
    writes = [bots.update_bot(db, TENANT, bot.id, BotConfig(name=f"n{number}"), if_version=1) for number in range(8)]
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert sum(isinstance(result, BotRecord) for result in results) == 1
    assert sum(isinstance(result, errors.VersionConflict) for result in results) == 7


async def test_a_deleted_bot_takes_everything_along(
    db: Database, bot: BotRecord, conversation: ConversationRecord
) -> None:
    await say(db, conversation.id, "c1")
    assert await bots.delete_bot(db, TENANT, bot.id)
    assert not await bots.delete_bot(db, TENANT, bot.id)
    assert await conversations.get_conversation(db, TENANT, conversation.id) is None
    assert (await conversations.list_messages(db, TENANT, conversation.id, limit=9, cursor=None)).data == ()


# Credentials ----------------------------------------------------------------------------------------------------------
async def test_logins(db: Database) -> None:
    await tenants.create_tenant(db, TENANT, "A")
    member = await tenants.create_member(db, TENANT, " Ada@Example.com ", "correct horse")
    assert await credentials.check_login(db, "ada@example.COM", "correct horse") == member
    assert await credentials.check_login(db, "ada@example.com", "wrong") is None
    assert await credentials.check_login(db, "nobody@example.com", "correct horse") is None
    token, session = await tenants.open_console_session(db, TENANT, member)
    assert await credentials.find_console_session(db, token) == session
    await tenants.set_password(db, TENANT, member.id, "battery staple")
    assert await credentials.find_console_session(db, token) is None
    assert await credentials.check_login(db, "ada@example.com", "correct horse") is None
    assert await credentials.check_login(db, "ada@example.com", "battery staple") == member


async def test_an_unknown_address_costs_what_a_wrong_password_costs() -> None:
    assert not tenants._verify(tenants.NOBODY, "x")
    parameters = tenants.NOBODY.split("$")[3]
    hashed = await asyncio.to_thread(PasswordHasher().hash, "x")
    assert hashed.split("$")[3] == parameters, "the hash of nobody must cost what a member's costs"


async def test_api_keys_live_until_revoked_or_expired(db: Database) -> None:
    await tenants.create_tenant(db, TENANT, "A")
    record, key = await tenants.create_api_key(db, TENANT, "ci")
    _, expired = await tenants.create_api_key(db, TENANT, "old", expires_at=now() - timedelta(seconds=1))
    found = await credentials.find_api_key(db, key)
    assert found is not None
    assert found.id == record.id
    assert await credentials.find_api_key(db, expired) is None
    async with db.session() as session:
        row = await session.scalar(select(ApiKeyRow).where(ApiKeyRow.tenant_id == TENANT, ApiKeyRow.id == record.id))
    assert row is not None
    assert row.last_used_at is not None
    assert key not in repr(vars(row))
    assert await tenants.revoke_api_key(db, TENANT, record.id)
    assert await credentials.find_api_key(db, key) is None
    revoked_at = (await tenants.list_api_keys(db, TENANT, limit=9, cursor=None)).data[-1].revoked_at
    assert await tenants.revoke_api_key(db, TENANT, record.id)
    assert (await tenants.list_api_keys(db, TENANT, limit=9, cursor=None)).data[-1].revoked_at == revoked_at


async def test_a_renewal_token_is_worth_something_once(db: Database, bot: BotRecord) -> None:
    visitor, first = await conversations.create_visitor(db, TENANT, bot.id)
    assert await credentials.find_renewal(db, bot.id, first) == visitor
    second = await conversations.rotate_renewal(db, TENANT, visitor.id)
    assert await credentials.find_renewal(db, bot.id, first) is None
    assert await credentials.find_renewal(db, bot.id, second) == visitor


# The ledger -----------------------------------------------------------------------------------------------------------
async def test_the_ledger_is_written_once_and_loses_nothing(db: Database, bot: BotRecord) -> None:
    row = {
        "id": "t.1", "bot_id": bot.id, "conversation_id": "c", "message_id": "m", "attempt": 1, "reason": "primary",
        "provider": "p", "model": "m", "usage_source": "reported", "cost_nanousd": 5_000_000_000_000,
    }  # fmt: skip
    await asyncio.gather(*(usage.add_usage(db, TENANT, [row, row | {"id": "t.2"}]) for _ in range(5)))
    since = datetime(2000, 1, 1, tzinfo=UTC)
    assert await usage.spent_since(db, TENANT, since) == 10_000_000_000_000
    assert await usage.spent_since(db, TENANT, since, bot=bot.id) == 10_000_000_000_000
    assert await usage.spent_since(db, TENANT, now() + timedelta(minutes=1)) == 0
    with pytest.raises(errors.Conflict):
        await usage.add_usage(db, TenantId("ten_nobody"), [row | {"id": "t.3"}])
    with pytest.raises(errors.Conflict):
        await usage.add_usage(db, TENANT, [row | {"id": "t.4", "provider": None}])


# Idempotency ----------------------------------------------------------------------------------------------------------
ROUTE = "POST /v1/bots"


@pytest.mark.usefixtures("bot")
async def test_one_of_many_begins_and_the_rest_replay(db: Database) -> None:
    begun = await asyncio.gather(
        *(idempotency.begin(db, TENANT, "k", ROUTE, "h") for _ in range(10)), return_exceptions=True
    )
    assert sum(isinstance(result, idempotency.Begun) for result in begun) == 1
    assert sum(isinstance(result, errors.IdempotencyRunning) for result in begun) == 9
    with pytest.raises(errors.IdempotencyConflict):
        await idempotency.begin(db, TENANT, "k", ROUTE, "another body")
    await idempotency.finish(db, TENANT, "k", ROUTE, 201, {"id": "bot_1"})
    assert await idempotency.begin(db, TENANT, "k", ROUTE, "h") == idempotency.Replay(201, {"id": "bot_1"})
    assert await idempotency.begin(db, TENANT, "k", "POST /v1/tenants", "h") == idempotency.Begun()


@pytest.mark.usefixtures("bot")
async def test_a_failed_or_abandoned_request_frees_its_key(db: Database) -> None:
    await idempotency.begin(db, TENANT, "k", ROUTE, "h")
    await idempotency.forget(db, TENANT, "k", ROUTE)
    assert await idempotency.begin(db, TENANT, "k", ROUTE, "other") == idempotency.Begun()
    await age(db, idempotency.ABANDONED)
    assert await idempotency.begin(db, TENANT, "k", ROUTE, "h") == idempotency.Begun()
    await idempotency.finish(db, TENANT, "k", ROUTE, 201, {})
    await age(db, idempotency.ABANDONED)
    assert await idempotency.begin(db, TENANT, "k", ROUTE, "h") == idempotency.Replay(201, {})
    await age(db, idempotency.KEPT)
    assert await idempotency.begin(db, TENANT, "k", ROUTE, "h") == idempotency.Begun()


async def age(db: Database, span: timedelta) -> None:
    """Let time pass for every key."""
    async with db.transaction() as session:
        old = now() - span - timedelta(seconds=5)
        await session.execute(update(IdempotencyRow).where(IdempotencyRow.tenant_id == TENANT).values(created_at=old))


# A database that cannot now -------------------------------------------------------------------------------------------
async def test_a_database_that_is_away_is_unavailable() -> None:
    for url in ("sqlite+aiosqlite:////nowhere/x.db", "postgresql+asyncpg://x@127.0.0.1:1/x"):
        database = Database(url)
        assert not await database.is_up()
        with pytest.raises(errors.Unavailable):
            await bots.get_bot(database, TENANT, BotId("bot_1"))
        await database.close()


async def test_many_writers_wait_their_turn(db: Database, bot: BotRecord) -> None:
    made = await asyncio.gather(*(conversations.create_visitor(db, TENANT, bot.id) for _ in range(150)))
    assert len({visitor.id for visitor, _ in made}) == 150
