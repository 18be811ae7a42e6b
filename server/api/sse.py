"""Server-sent events: text of one event, keep-alive comments, headers that keep proxies from buffering."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

PING_EVERY_S = 15.0
PING = ": ping\n\n"
SSE_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


def event_text(name: str, data: Any, event_id: str | None = None) -> str:
    """One event: JSON holds no raw newline, so one data line suffices."""
    head = f"id: {event_id}\n" if event_id else ""
    return f"{head}event: {name}\ndata: {json.dumps(data, ensure_ascii=False, separators=(',', ':'))}\n\n"


async def with_pings(events: AsyncGenerator[str, None], every_s: float = PING_EVERY_S) -> AsyncGenerator[str, None]:
    """The same events, with a comment whenever nothing came for a while: proxies cut silent streams.

    The next event is awaited in a task of its own, because a timeout around `anext` would end the generator.
    """
    waiting: asyncio.Task[str] | None = None
    try:
        while True:
            waiting = waiting or asyncio.ensure_future(anext(events))
            done, _ = await asyncio.wait({waiting}, timeout=every_s)
            if not done:
                yield PING
                continue
            try:
                event = waiting.result()
            except StopAsyncIteration:
                return
            finally:
                waiting = None
            yield event
    finally:
        if waiting is not None:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        await events.aclose()
