"""What a turn goes on from, found among the newest messages."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from server.chat.history import before_of
from server.ids import ConversationId, MessageId, TenantId
from server.storage.records import MessageRecord


def messages(*numbers: int) -> tuple[MessageRecord, ...]:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    return tuple(
        MessageRecord(
            id=MessageId(f"msg_{n}"), tenant_id=TenantId("ten_1"), conversation_id=ConversationId("conv_1"), ordinal=n,
            role="user", author={}, text="text", created_at=moment,
        )
        for n in numbers
    )  # fmt: skip


CASES = [
    ((1,), 1, ()),
    ((1, 2, 3), 3, (1, 2)),
    ((1, 2, 3), 2, (1,)),
    ((1, 2, 3, 4), 4, (1, 2, 3)),
    ((2, 3, 4, 5), 4, None),
    ((2, 3, 4, 5), 1, None),
    ((), 1, None),
]


@pytest.mark.parametrize(("newest", "message", "before"), CASES)
def test_only_what_reaches_back_far_enough_counts(
    newest: tuple[int, ...], message: int, before: tuple[int, ...] | None
) -> None:
    found = before_of(messages(*newest), MessageId(f"msg_{message}"), limit=3)
    assert (None if found is None else tuple(row.ordinal for row in found)) == before
