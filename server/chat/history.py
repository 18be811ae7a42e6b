"""The messages a turn goes on from."""

from __future__ import annotations

from collections.abc import Sequence

from server.chat.answer import TurnRequest
from server.chat.prompt import HISTORY_MESSAGES
from server.ids import MessageId
from server.storage import conversations
from server.storage.database import Database
from server.storage.records import MessageRecord


async def history_of(db: Database, request: TurnRequest) -> tuple[MessageRecord, ...]:
    """The last messages before the one to answer, oldest first; raises MessageUnknown.

    What is answered is nearly always the newest message, so the newest are read at once; only for an older one is its
    place looked up first, which is a second query.
    """
    tenant, conversation, limit = request.tenant.id, request.conversation, HISTORY_MESSAGES
    newest = await conversations.messages_before(db, tenant, conversation, before=None, limit=limit + 1)
    before = before_of(newest, request.reply_to, limit)
    if before is not None:
        return before
    return await conversations.messages_before(db, tenant, conversation, before=request.reply_to, limit=limit)


def before_of(newest: Sequence[MessageRecord], message: MessageId, limit: int) -> tuple[MessageRecord, ...] | None:
    """What stands before a message among the `limit` + 1 newest; None when those do not reach back far enough."""
    at = next((at for at, row in enumerate(newest) if row.id == message), None)
    if at is None or (len(newest) > limit and at < limit):
        return None
    return tuple(newest[:at])
