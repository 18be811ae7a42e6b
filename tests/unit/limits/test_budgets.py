"""Windows of a budget: a period is an id, also in December."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from server.bot import BotConfig, Limits
from server.ids import BotId, TenantId
from server.limits.budgets import NO_LIMIT, month_windows
from server.storage.records import BotRecord, TenantRecord

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


def tenant_of(limit: int | None = None) -> TenantRecord:
    return TenantRecord(TenantId("ten_1"), "A", "active", limit, 600, MOMENT)


def bot_of(limit: int | None = None) -> BotRecord:
    config = BotConfig(limits=Limits(monthly_budget_nanousd=limit))
    return BotRecord(BotId("bot_1"), TenantId("ten_1"), 1, config, 0, MOMENT, MOMENT)


@pytest.mark.parametrize(
    ("moment", "period", "since", "forgotten"),
    [
        (datetime(2026, 11, 21, tzinfo=UTC), "m:202611", datetime(2026, 11, 1), datetime(2027, 1, 10)),
        (datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC), "m:202612", datetime(2026, 12, 1), datetime(2027, 2, 10)),
        (datetime(2027, 1, 1, tzinfo=UTC), "m:202701", datetime(2027, 1, 1), datetime(2027, 3, 13)),
        (datetime(2028, 2, 29, tzinfo=UTC), "m:202802", datetime(2028, 2, 1), datetime(2028, 4, 10)),
        (
            datetime(2027, 1, 1, 1, tzinfo=timezone(timedelta(hours=5))),
            "m:202612",
            datetime(2026, 12, 1),
            datetime(2027, 2, 10),
        ),
    ],
)
def test_the_windows_of_a_month(moment: datetime, period: str, since: datetime, forgotten: datetime) -> None:
    for window in month_windows(tenant_of(), bot_of(), moment):
        assert window.name.endswith(period)
        assert window.since == since.replace(tzinfo=UTC)
        assert window.ends_ms == int(forgotten.replace(tzinfo=UTC).timestamp() * 1000)


def test_both_windows_carry_their_limit_and_one_hash_tag() -> None:
    tenant, bot = month_windows(tenant_of(5), bot_of(0), MOMENT)
    assert (tenant.limit, bot.limit) == (5, 0)
    assert (tenant.bot, bot.bot) == (None, "bot_1")
    assert tenant.name == "t:{ten_1}:budget:m:202601"
    assert bot.name == "t:{ten_1}:budget:bot:bot_1:m:202601"
    assert [window.limit for window in month_windows(tenant_of(), bot_of(), MOMENT)] == [NO_LIMIT, NO_LIMIT]
