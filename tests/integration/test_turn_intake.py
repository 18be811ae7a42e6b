"""The intake over a real Valkey: what is let in, what is refused, and what it says about the rest."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from server import errors
from server.bot import BotConfig, Limits
from server.chat.insight import Insight
from server.chat.intake import Intake
from server.ids import BotId, TenantId, VisitorId
from server.limits.rates import Rates
from server.storage.records import BotRecord, TenantRecord
from server.storage.valkey import Valkey

NOW = datetime(2026, 11, 21, tzinfo=UTC)
TENANT = TenantRecord(TenantId("ten_1"), "T", "active", None, 600, NOW)
CONFIG = BotConfig(languages=("de",), limits=Limits(messages_per_minute=2, max_message_chars=100))
BOT = BotRecord(BotId("bot_1"), TENANT.id, 1, CONFIG, 0, NOW, NOW)
VISITOR = VisitorId("vis_1")


@pytest.fixture
def intake(valkey: Valkey) -> Intake:
    return Intake(Rates(valkey), Insight())


async def test_a_message_is_taken_in(intake: Intake) -> None:
    accepted = await intake.accept(
        TENANT, BOT, VISITOR, "  Das ist schrecklich,\u200b ich bin enttäuscht! ", address="192.0.2.1"
    )
    assert accepted.text == "Das ist schrecklich, ich bin enttäuscht!"
    assert (accepted.intent, accepted.sentiment) == ("complaint", "negative")
    assert (accepted.rate.limit, accepted.rate.remaining) == (2, 1)


async def test_the_third_message_in_a_minute_is_refused_for_this_visitor_only(intake: Intake) -> None:
    for _ in range(2):
        await intake.accept(TENANT, BOT, VISITOR, "Hi")
    with pytest.raises(errors.RateLimited) as refused:
        await intake.accept(TENANT, BOT, VISITOR, "Hi")
    assert refused.value.retry_after_s is not None
    assert 0 < refused.value.retry_after_s <= 66
    assert refused.value.extra["scope"] == "visitor_messages"
    await intake.accept(TENANT, BOT, VisitorId("vis_2"), "Hi")


async def test_what_is_no_message_costs_nothing(intake: Intake) -> None:
    for text, error in (("", errors.EmptyMessage), ("x" * 101, errors.TooLong)):
        with pytest.raises(error):
            await intake.accept(TENANT, BOT, VISITOR, text)
    accepted = await intake.accept(TENANT, BOT, VISITOR, "Hi")
    assert accepted.rate.remaining == 1


async def test_a_suspended_tenant_takes_nothing_in(intake: Intake) -> None:
    suspended = TenantRecord(TENANT.id, "T", "suspended", None, 600, NOW)
    with pytest.raises(errors.TenantSuspended):
        await intake.accept(suspended, BOT, VISITOR, "Hi")
