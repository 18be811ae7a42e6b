"""Cursor pages: newest first by (created_at, id), stable while rows are added."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from sqlalchemy import Select, and_, or_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from server import errors
from server.storage.records import Page

Record = TypeVar("Record")
_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class Listed(Protocol):
    """A table that can be paged."""

    id: Any
    created_at: Any


def encode(created_at: datetime, row_id: str) -> str:
    """The place after a row, as opaque text."""
    raw = json.dumps([created_at.astimezone(UTC).isoformat(), row_id]).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(cursor: str) -> tuple[datetime, str]:
    """The place a cursor names; raises BadCursor for anything that is not one of ours."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        created_at, row_id = json.loads(raw)
        moment = datetime.fromisoformat(created_at)
        is_ours = moment.tzinfo is not None and _ID.fullmatch(row_id) is not None and encode(moment, row_id) == cursor
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise errors.BadCursor from None
    if not is_ours:
        raise errors.BadCursor
    return moment, row_id


async def fetch_page(
    session: AsyncSession,
    query: Select[Any],
    created_at: InstrumentedAttribute[datetime],
    row_id: InstrumentedAttribute[str],
    *,
    limit: int,
    cursor: str | None,
    read: Callable[[Any], Record],
) -> Page[Record]:
    """One page of `query`, which must be scoped already; one row more is read to know whether another page follows."""
    if cursor is not None:
        moment, last = decode(cursor)
        query = query.where(or_(created_at < moment, and_(created_at == moment, row_id < last)))
    query = query.order_by(created_at.desc(), row_id.desc()).limit(limit + 1)
    rows: Sequence[Any] = (await session.scalars(query)).all()
    more = len(rows) > limit
    shown = rows[:limit]
    return Page(tuple(read(row) for row in shown), encode(shown[-1].created_at, shown[-1].id) if more else None)
