"""A socket's state machine, sans I/O: what comes in becomes commands, errors or a close; time becomes pings and closes.

The session beside this file and the tests drive the same class.
"""

from __future__ import annotations

from typing import Any

from server import errors, strict_json
from server.hub.events import dumps
from server.hub.outbox import Outbox
from server.protocol import HEARTBEAT_MS, VERSION, ClientFrame, ClientFrames

HELLO_S = 5.0
HEARTBEAT_S = HEARTBEAT_MS / 1000
PONG_S = 20.0
MAX_BAD_FRAMES = 100
EXPIRY_NOTICE_S = 60.0
EXPIRY_GRACE_S = 25.0
BURST_FRAMES = 80.0
FRAMES_PER_S = 20.0
FLOOD_FRAMES = 200
MAX_REASON_BYTES = 123

CLOSE_TITLES: dict[int, str] = {
    4001: "drain",
    4008: "slow_reader",
    4010: "insufficient_state",
    4012: "no_pong",
    4013: "rate_limited",
    4408: "no_hello",
}


def close_reason(code: str, retry_after_s: float | None = None) -> str:
    """The reason of a close frame: JSON of at most 123 bytes."""
    reason: dict[str, Any] = {"code": code}
    if retry_after_s is not None:
        reason["retryAfterMs"] = int(retry_after_s * 1000)
    return dumps(reason)[:MAX_REASON_BYTES]


def error_frame(failure: errors.ParlourError, command_id: str | None = None) -> dict[str, Any]:
    """The `error` frame of a failure."""
    frame: dict[str, Any] = {"type": "error"}
    if command_id:
        frame["id"] = command_id
    frame |= {"code": failure.code, "message": failure.detail, "retryable": failure.retryable}
    if failure.retry_after_s is not None:
        frame["retryAfterMs"] = int(failure.retry_after_s * 1000)
    if isinstance(failure, errors.UnsupportedVersion):
        frame["supported"] = [VERSION]
    return frame


def rate_limit_frame(failure: errors.ParlourError) -> dict[str, Any] | None:
    """The `rate_limit` frame that goes with a refusal, if it names its limit."""
    extra = failure.extra
    if not {"scope", "limit", "remaining", "reset_ms"} <= extra.keys():
        return None
    return {
        "type": "rate_limit",
        "scope": extra["scope"],
        "limit": extra["limit"],
        "remaining": extra["remaining"],
        "resetMs": extra["reset_ms"],
    }


class Connection:
    """One socket from accept to close."""

    __slots__ = (
        "_bad", "_checks", "_flooded", "_noticed", "_opened_at", "_pinged_at", "_rate_told_at", "_received_at",
        "_refilled_at", "_sent_at", "_tokens", "closing", "expires_at", "greeted", "outbox", "welcomed",
    )  # fmt: skip

    def __init__(self, checks: ClientFrames, now: float) -> None:
        self._checks = checks
        self.outbox = Outbox()
        self.closing: tuple[int, str] | None = None
        self.greeted = False  # hello was seen
        self.welcomed = False
        self.expires_at: float | None = None  # in the clock of `now`
        self._opened_at = self._received_at = self._sent_at = self._refilled_at = now
        self._pinged_at: float | None = None
        self._rate_told_at = -1.0
        self._noticed = False
        self._bad = 0
        self._tokens = BURST_FRAMES
        self._flooded = 0

    # Coming in ------------------------------------------------------------------------------------------------------
    def receive(self, data: str | bytes, now: float) -> ClientFrame | None:
        """Take one message; returns a checked command, or None when it was answered, counted or ignored."""
        self._received_at = now
        self._pinged_at = None
        if self.closing is not None:
            return None
        if isinstance(data, bytes):
            self.refuse(errors.BinaryNotAllowed())
            return None
        if not self._admit(now):
            return None
        return self._read(data, now)

    def _admit(self, now: float) -> bool:
        """A visitor's own flood is refused without work; one that goes on is closed."""
        self._tokens = min(BURST_FRAMES, self._tokens + (now - self._refilled_at) * FRAMES_PER_S)
        self._refilled_at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return True
        self._flooded += 1
        if now - self._rate_told_at >= 1:
            self._rate_told_at = now
            self.fail(errors.RateLimited("Too many frames.", retry_after_s=1.0))
        if self._flooded >= FLOOD_FRAMES:
            self.close(4013, close_reason("rate_limited", 5.0))
        return False

    def _read(self, data: str, now: float) -> ClientFrame | None:
        raw: dict[str, Any] = {}
        try:
            raw = strict_json.loads(data)
            if not self.greeted and raw.get("type") != "hello":
                raise errors.HelloExpected
            frame = self._checks.check(raw)
        except (errors.HelloExpected, errors.UnsupportedVersion) as failure:
            self.refuse(failure)
            return None
        except errors.ParlourError as failure:
            self._count_bad(failure, raw)
            return None
        return self._accept(frame, now)

    def _accept(self, frame: ClientFrame, now: float) -> ClientFrame | None:
        match frame["type"]:
            case "hello":
                return self._hello(frame)
            case "ping":
                self.outbox.put(f'{{"type":"pong","t":{frame["t"]}}}')
                return None
            case "pong" | "seen" | "read":
                return None
            case _:
                return frame

    def _hello(self, frame: ClientFrame) -> ClientFrame | None:
        if self.greeted:
            self._count_bad(errors.BadMessage("hello was said already."), {})
            return None
        if frame["v"] != VERSION:  # type: ignore[typeddict-item]
            self.refuse(errors.UnsupportedVersion())
            return None
        self.greeted = True
        return frame

    def _count_bad(self, failure: errors.ParlourError, raw: dict[str, Any]) -> None:
        command_id = raw.get("id")
        self.fail(failure, command_id if isinstance(command_id, str) and len(command_id) <= 64 else None)
        if isinstance(failure, errors.NotPermitted):
            return
        self._bad += 1
        if self._bad >= MAX_BAD_FRAMES:
            self.close(4509, close_reason(errors.Abuse.code))

    # Answering ------------------------------------------------------------------------------------------------------
    def send(self, frame: dict[str, Any], *, droppable: bool = False) -> None:
        """Queue an ephemeral frame."""
        self.outbox.put(dumps(frame), droppable=droppable)

    def fail(self, failure: errors.ParlourError, command_id: str | None = None) -> None:
        """Answer with an error; a refused rate also tells its limit."""
        limit = rate_limit_frame(failure)
        if limit is not None:
            self.send(limit, droppable=True)
        self.send(error_frame(failure, command_id))

    def refuse(self, failure: errors.ParlourError) -> None:
        """Answer with an error that ends the connection."""
        self.fail(failure)
        self.close(failure.close_code or 4000, close_reason(failure.code, failure.retry_after_s))

    def close(self, code: int, reason: str = "") -> None:
        """Close once everything queued is sent; the first close counts."""
        if self.closing is None:
            self.closing = (code, reason or close_reason(CLOSE_TITLES.get(code, "closed")))

    # Time -----------------------------------------------------------------------------------------------------------
    def sent(self, now: float) -> None:
        """Note that something has left."""
        self._sent_at = now

    def welcome(self, expires_at: float) -> None:
        """The token in force ends at `expires_at`; also after it was renewed."""
        self.welcomed = True
        self.expires_at = expires_at
        self._noticed = False

    def tick(self, now: float, expires_text: str = "") -> bool:
        """Let time pass; True when there is something to send."""
        if self.closing is not None:
            return False
        if not self.greeted:
            return self._close_if(now - self._opened_at >= HELLO_S, 4408)
        if self.expires_at is not None and self._tick_expiry(now, self.expires_at, expires_text):
            return True
        if self._pinged_at is not None:
            return self._close_if(now - self._pinged_at >= PONG_S, 4012)
        quiet = now - self._sent_at >= HEARTBEAT_S or now - self._received_at >= HEARTBEAT_S + PONG_S
        return self.welcomed and quiet and self._ping(now)

    def _tick_expiry(self, now: float, expires_at: float, text: str) -> bool:
        if now >= expires_at + EXPIRY_GRACE_S:
            self.close(4014, close_reason(errors.TokenExpired.code))
            return True
        if not self._noticed and now >= expires_at - EXPIRY_NOTICE_S:
            self._noticed = True
            self.send({"type": "auth_expiring", "expiresAt": text})
            return True
        return False

    def _ping(self, now: float) -> bool:
        self._pinged_at = now
        self.send({"type": "ping", "t": int(now * 1000)}, droppable=True)
        return True

    def _close_if(self, condition: bool, code: int) -> bool:
        if condition:
            self.close(code)
        return condition


def command_id_of(frame: ClientFrame) -> str | None:
    """The command's id, where its type has one."""
    value: Any = dict(frame).get("id")
    return value if isinstance(value, str) else None
