"""The socket's state machine, driven without a socket and without a clock."""

from __future__ import annotations

import json
from typing import Any

import pytest

from server import errors
from server.hub.connection import Connection, close_reason, error_frame, rate_limit_frame
from server.protocol import ClientFrames

CHECKS = ClientFrames()
HELLO = '{"type":"hello","v":1,"token":"t","client":{"name":"w","version":"1"}}'


def opened(*, welcomed: bool = True) -> Connection:
    connection = Connection(CHECKS, 0.0)
    assert connection.receive(HELLO, 0.0) is not None
    if welcomed:
        connection.welcome(10_000.0)
    return connection


def out(connection: Connection) -> list[dict[str, Any]]:
    return [json.loads(text) for text in connection.outbox.take()]


def test_hello_first() -> None:
    connection = Connection(CHECKS, 0.0)
    assert connection.receive('{"type":"ping","t":1}', 0.1) is None
    assert out(connection)[0]["code"] == "hello_expected"
    assert connection.closing is not None
    assert connection.closing[0] == 4501
    assert connection.receive(HELLO, 0.2) is None, "a closing connection takes nothing"


def test_other_versions_are_told_what_is_spoken() -> None:
    connection = Connection(CHECKS, 0.0)
    connection.receive(HELLO.replace('"v":1', '"v":2'), 0.0)
    assert out(connection)[0]["supported"] == [1]


def test_no_hello_in_five_seconds() -> None:
    connection = Connection(CHECKS, 0.0)
    assert connection.tick(4.9) is False
    assert connection.tick(5.0) is True
    assert connection.closing == (4408, '{"code":"no_hello"}')


def test_pings_are_answered_and_sent() -> None:
    connection = opened()
    assert connection.receive('{"type":"ping","t":7}', 1.0) is None
    assert out(connection) == [{"type": "pong", "t": 7}]
    connection.sent(1.0)
    assert connection.tick(25.9) is False
    assert connection.tick(26.0) is True
    assert out(connection)[0]["type"] == "ping"
    connection.sent(26.0)
    assert connection.tick(45.0) is False
    connection.receive('{"type":"pong","t":26000}', 45.5)
    assert connection.tick(46.1) is False
    assert connection.tick(51.1) is True, "the next ping"
    assert connection.tick(71.2) is True
    assert connection.closing is not None
    assert connection.closing[0] == 4012


def test_a_reader_that_never_speaks_is_asked_although_much_is_sent() -> None:
    connection = opened()
    for second in range(1, 45):
        connection.sent(float(second))
        assert connection.tick(float(second)) is False
    connection.sent(45.0)
    assert connection.tick(45.0) is True
    assert out(connection)[0]["type"] == "ping"


def test_tokens_end_after_notice_and_grace() -> None:
    connection = opened(welcomed=False)
    connection.welcome(100.0)
    connection.receive('{"type":"pong","t":1}', 39.0)
    connection.sent(39.0)
    assert connection.tick(39.9, "then") is False
    assert connection.tick(40.0, "then") is True
    assert out(connection) == [{"type": "auth_expiring", "expiresAt": "then"}]
    connection.sent(100.0)
    connection.receive('{"type":"pong","t":1}', 100.0)
    assert connection.tick(124.9, "then") is False
    assert connection.tick(125.0, "then") is True
    assert connection.closing == (4014, '{"code":"token_expired"}')


def test_a_renewed_token_goes_on() -> None:
    connection = opened(welcomed=False)
    connection.welcome(100.0)
    connection.tick(41.0, "x")
    connection.welcome(1000.0)
    connection.receive('{"type":"pong","t":1}', 130.0)
    connection.sent(130.0)
    connection.tick(130.0, "x")
    assert connection.closing is None


def test_a_hundred_bad_frames_close() -> None:
    connection = opened()
    for number in range(99):
        connection.receive("no json", float(number))
    assert connection.closing is None
    connection.receive("no json", 99.0)
    assert connection.closing == (4509, '{"code":"abuse"}')


def test_what_is_not_enabled_is_no_abuse() -> None:
    connection = opened()
    for number in range(150):
        connection.receive('{"type":"handover_request","id":"a"}', float(number))
    assert connection.closing is None
    assert {frame["code"] for frame in out(connection)} == {"not_permitted"}


def test_a_flood_is_refused_then_closed() -> None:
    connection = opened()
    taken = sum(connection.receive('{"type":"typing","state":"on"}', 1.0) is not None for _ in range(300))
    assert taken < 100
    assert [frame["code"] for frame in out(connection)] == ["rate_limited"]
    assert connection.closing is not None
    assert connection.closing[0] == 4013


def test_binary_is_refused() -> None:
    connection = opened()
    connection.receive(b"\x00", 1.0)
    assert connection.closing is not None
    assert connection.closing[0] == 1003


def test_errors_carry_the_id_and_when_to_retry() -> None:
    failure = errors.RateLimited(
        retry_after_s=12, extra={"scope": "visitor_messages", "limit": 20, "remaining": 0, "reset_ms": 12_000}
    )
    assert error_frame(failure, "k1") == {
        "type": "error", "id": "k1", "code": "rate_limited", "message": "Too many requests.", "retryable": True,
        "retryAfterMs": 12_000,
    }  # fmt: skip
    assert rate_limit_frame(failure) == {
        "type": "rate_limit", "scope": "visitor_messages", "limit": 20, "remaining": 0, "resetMs": 12_000,
    }  # fmt: skip
    assert rate_limit_frame(errors.Busy()) is None


@pytest.mark.parametrize("code", ["rate_limited", "x" * 300])
def test_close_reasons_fit(code: str) -> None:
    assert len(close_reason(code, 12.0).encode()) <= 123
