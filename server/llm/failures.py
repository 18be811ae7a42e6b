"""How a provider fails: status, headers and body sorted into the few classes that the gateway acts on. All pure."""

from __future__ import annotations

import email.utils
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias

FailureKind: TypeAlias = Literal[
    "key_dead",
    "key_cool",
    "quota_day",
    "model_cool",
    "cut",
    "garbled",
    "context",
    "policy",
    "request_fault",
    "model_missing",
]

MAX_RETRY_AFTER_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure by class; `retry_after_s` is the provider's own hint, `detail` its words, cut short.

    `unreachable`: no connection stood. `stale_connection`: a kept-alive one was closed under us.
    """

    kind: FailureKind
    retry_after_s: float | None = None
    detail: str = ""
    unreachable: bool = False
    stale_connection: bool = False


class UpstreamFailed(Exception):
    """A provider broke off; carries the sorted `Failure`."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.kind}: {failure.detail}")
        self.failure = failure


TIMEOUTS: Final = frozenset(
    {"ReadTimeout", "WriteTimeout", "SocketTimeoutError", "ServerTimeoutError", "TimeoutException"}
)
UNREACHABLE: Final = frozenset({"ConnectError", "ConnectTimeout", "ConnectionTimeoutError"})

KINDS_BY_CODE: Final[Mapping[str, FailureKind]] = {
    "insufficient_quota": "key_dead",
    "credit_balance_exhausted": "key_dead",
    "enforced_spend_limit_reached": "key_dead",
    "billing_error": "key_dead",
    "billing_hard_limit_reached": "key_dead",
    "invalid_api_key": "key_dead",
    "account_deactivated": "key_dead",
    "authentication_error": "key_dead",
    "permission_error": "key_dead",
    "context_length_exceeded": "context",
    "model_context_window_exceeded": "context",
    "exceed_context_size_error": "context",
    "request_too_large": "context",
    "string_above_max_length": "context",
    "content_policy_violation": "policy",
    "content_filter": "policy",
    "responsibleaipolicyviolation": "policy",
    "model_not_found": "model_missing",
    "not_found_error": "model_missing",
    "rate_limit_exceeded": "key_cool",
    "rate_limit_error": "key_cool",
    "tokens": "key_cool",
    "requests": "key_cool",
    "slow_down": "model_cool",
    "overloaded_error": "model_cool",
    "overloaded": "model_cool",
    "server_error": "model_cool",
    "api_error": "model_cool",
    "internal_server_error": "model_cool",
    "service_unavailable": "model_cool",
    "timeout": "model_cool",
    "gateway_timeout_error": "model_cool",
    "insufficient_system_resource": "model_cool",
    "invalid_request_error": "request_fault",
}
"""By the error's own code or type, which tells more than the status."""

KINDS_BY_STATUS: Final[Mapping[int, FailureKind]] = {
    400: "request_fault",
    401: "key_dead",
    402: "key_dead",
    403: "key_dead",
    404: "model_missing",
    408: "model_cool",
    409: "model_cool",
    413: "context",
    422: "request_fault",
    425: "model_cool",
    429: "key_cool",
    529: "model_cool",
}

TELLING_TEXTS: Final[tuple[tuple[str, FailureKind], ...]] = (
    ("maximum context length", "context"),
    ("context window", "context"),
    ("exceeds the available context size", "context"),
    ("usage limits", "key_dead"),
    ("credit balance is too low", "key_dead"),
    ("perday", "quota_day"),
)


def sort_failure(status: int, headers: Mapping[str, str], body: bytes, now: float = 0.0) -> Failure:
    """The class of an HTTP answer that is not a stream; header names are lower case, `now` is Unix time in seconds."""
    error = error_object(body)
    kind = _kind(status, error, body)
    if kind in ("request_fault", "model_missing") and not error and _is_page(body):
        kind = "garbled"  # a captive portal or a proxy answers, not the provider
    return Failure(kind, _wait(kind, headers, error, now), _detail(status, error, body))


def sort_stream_error(error: Mapping[str, Any]) -> Failure:
    """The class of an error object met inside a 200 stream; unknown ones are a cut."""
    code = _by_code(error)
    status = error.get("code")
    if code is None and isinstance(status, int) and not isinstance(status, bool) and status >= 400:
        code = KINDS_BY_STATUS.get(status, "model_cool" if status >= 500 else "cut")
    return Failure(code or "cut", _wait_in_text(str(error.get("message", ""))), _detail(200, error, b""))


def sort_exception(name: str, detail: str, *, answered: bool) -> Failure:
    """The class of a broken connection by the exception's name; `answered` when the head of the answer had come."""
    text = f"{name}: {detail}"[:300]
    if name in TIMEOUTS and name not in UNREACHABLE:
        return Failure("model_cool", None, text)
    if answered:
        return Failure("cut", None, text)
    stale = name == "ServerDisconnectedError"
    return Failure("model_cool", None, text, unreachable=not stale, stale_connection=stale)


def error_object(body: bytes) -> dict[str, Any]:
    """The error inside a JSON body: an object, a list of one (Gemini), or a bare string; {} when there is none."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    if isinstance(found, list) and found:
        found = found[0]
    if not isinstance(found, dict):
        return {}
    error = found.get("error", found)
    if isinstance(error, str):
        return {"message": error}
    return error if isinstance(error, dict) else {}


def _kind(status: int, error: Mapping[str, Any], body: bytes) -> FailureKind:
    text = body[:4096].decode("utf-8", "replace").lower()
    for sign, kind in TELLING_TEXTS:
        if sign in text and (kind != "quota_day" or status == 429):
            return kind
    by_code = _by_code(error)
    if by_code not in (None, "request_fault"):
        return by_code
    if status >= 500:
        return "model_cool"
    return KINDS_BY_STATUS.get(status, "request_fault" if 400 <= status < 500 else "garbled")


def _by_code(error: Mapping[str, Any]) -> FailureKind | None:
    details = error.get("details")
    nested = details.get("error_code") if isinstance(details, dict) else None
    names = [nested, error.get("code"), error.get("type")]
    kinds = [KINDS_BY_CODE[name.lower()] for name in names if isinstance(name, str) and name.lower() in KINDS_BY_CODE]
    return next((kind for kind in kinds if kind != "request_fault"), kinds[0] if kinds else None)


def _is_page(body: bytes) -> bool:
    return body.lstrip()[:1] == b"<"


def _detail(status: int, error: Mapping[str, Any], body: bytes) -> str:
    said = error.get("message")
    text = said if isinstance(said, str) else body[:200].decode("utf-8", "replace")
    return f"{status} {text}".strip()[:300]


# How long to wait -----------------------------------------------------------------------------------------------------
_GO_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|h|m|s)")
_TRY_AGAIN: Final = re.compile(r"(?:try again|retry) in ((?:\d+(?:\.\d+)?(?:ms|h|m|s))+)", re.IGNORECASE)
_SECONDS: Final[Mapping[str, float]] = {"h": 3600, "m": 60, "s": 1, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_RESETS: Final = (
    "x-ratelimit-reset-requests",
    "x-ratelimit-reset-tokens",
    "anthropic-ratelimit-requests-reset",
    "anthropic-ratelimit-tokens-reset",
)


def parse_wait(text: str, now: float) -> float | None:
    """Seconds to wait from a header: number, HTTP date, RFC 3339 time or duration such as 6m0s; None if unreadable."""
    text = text.strip()
    wait = _number(text)
    if wait is None:
        wait = _duration(text)
    if wait is None:
        wait = _until(text, now)
    return None if wait is None or wait < 0 else min(wait, MAX_RETRY_AFTER_S)


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text) else None


def _duration(text: str) -> float | None:
    parts = _GO_DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def _until(text: str, now: float) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            moment = email.utils.parsedate_to_datetime(text)
        except (ValueError, TypeError):
            return None
    return max(0.0, moment.timestamp() - now)


def _wait(kind: FailureKind, headers: Mapping[str, str], error: Mapping[str, Any], now: float) -> float | None:
    if "retry-after-ms" in headers:
        wait = parse_wait(headers["retry-after-ms"], now)
        if wait is not None:
            return wait / 1000
    if "retry-after" in headers:
        wait = parse_wait(headers["retry-after"], now)
        if wait is not None:
            return wait
    return _wait_in_details(error) or _wait_in_text(str(error.get("message", ""))) or _reset(kind, headers, now)


def _wait_in_details(error: Mapping[str, Any]) -> float | None:
    details = error.get("details")
    for detail in details if isinstance(details, list) else ():
        delay = detail.get("retryDelay") if isinstance(detail, dict) else None
        if isinstance(delay, str):
            return _duration(delay)
    return None


def _wait_in_text(text: str) -> float | None:
    found = _TRY_AGAIN.search(text)
    return _duration(found.group(1).lower()) if found else None


def _reset(kind: FailureKind, headers: Mapping[str, str], now: float) -> float | None:
    """The latest reset of a limit that stands at zero; only for a refused rate, where it says when to come back."""
    if kind != "key_cool":
        return None
    waits = [wait for name in _RESETS if (wait := parse_wait(headers.get(name, ""), now)) is not None]
    return max(waits, default=None)
