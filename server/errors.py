"""Every failure a caller can meet: code, HTTP status, whether to retry.

One class per code. The same code appears in RFC 9457 problems over REST, in `error` frames and in close reasons.
"""

from __future__ import annotations

from typing import Any, ClassVar


class ParlourError(Exception):
    """A failure with a documented code; `detail` is text for people and never holds secrets."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Something went wrong."
    retryable: ClassVar[bool] = False
    close_code: ClassVar[int | None] = None

    def __init__(
        self,
        detail: str = "",
        *,
        retry_after_s: float | None = None,
        errors: list[dict[str, Any]] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.retry_after_s = retry_after_s
        self.errors = errors or []
        self.extra = extra or {}


class Internal(ParlourError):
    code, status, title, retryable, close_code = "internal", 500, "Something went wrong.", True, 4000


# Malformed input ------------------------------------------------------------------------------------------------------
class BadJson(ParlourError):
    code, status, title = "bad_json", 400, "The body is not valid JSON."


class BadMessage(ParlourError):
    code, status, title = "bad_message", 422, "A field has a wrong type or value."


class BadText(ParlourError):
    code, status, title = "bad_text", 422, "A text holds characters that are not allowed."


class BadEncoding(ParlourError):
    code, status, title = "bad_encoding", 400, "The body must be UTF-8 without a byte order mark."


class DuplicateKey(ParlourError):
    code, status, title = "duplicate_key", 400, "An object names a key twice."


class UnknownType(ParlourError):
    code, status, title = "unknown_type", 422, "This frame type is not known."


class UnknownField(ParlourError):
    code, status, title = "unknown_field", 422, "A field is not known here."


class UnsupportedMedia(ParlourError):
    code, status, title = "unsupported_media_type", 415, "This content type is not accepted here."


class TooLarge(ParlourError):
    code, status, title = "too_large", 413, "The body is larger than allowed."


class BadCursor(ParlourError):
    code, status, title = "bad_cursor", 422, "The cursor is not one of ours."


class TwoCredentials(ParlourError):
    code, status, title = "two_credentials", 400, "Send one credential, not two."


class TokenInUrl(ParlourError):
    code, status, title = "token_in_url", 400, "Credentials never belong in a URL."


# Handshake ------------------------------------------------------------------------------------------------------------
class HelloExpected(ParlourError):
    code, status, title, close_code = "hello_expected", 400, "The first frame must be hello.", 4501


class UnsupportedVersion(ParlourError):
    code, status, title, close_code = "unsupported_version", 400, "This protocol version is not served.", 4501


class Unauthorized(ParlourError):
    code, status, title = "unauthorized", 401, "A valid credential is needed."


class TokenInvalid(ParlourError):
    code, status, title, close_code = "token_invalid", 401, "The token is not valid.", 4500


class TokenExpired(ParlourError):
    code, status, title, retryable, close_code = "token_expired", 401, "The token has expired.", True, 4014


class LoginFailed(ParlourError):
    code, status, title = "login_failed", 401, "The e-mail address or the password is wrong."


class CsrfFailed(ParlourError):
    code, status, title = "csrf_failed", 403, "The request does not come from the console."


class OriginMissing(ParlourError):
    code, status, title = "origin_missing", 403, "The request names no origin."


class OriginNotAllowed(ParlourError):
    code, status, title, close_code = "origin_not_allowed", 403, "This site is not on the bot's list of origins.", 4503


class NotPermitted(ParlourError):
    code, status, title = "not_permitted", 403, "This is not allowed here."


class BotUnknown(ParlourError):
    code, status, title = "bot_unknown", 404, "There is no such bot."


class NotFound(ParlourError):
    code, status, title = "not_found", 404, "There is no such resource."


class MethodNotAllowed(ParlourError):
    code, status, title = "method_not_allowed", 405, "This method is not allowed here."


class Conflict(ParlourError):
    code, status, title = "conflict", 409, "The request conflicts with the present state."


class VersionConflict(ParlourError):
    code, status, title = "version_conflict", 412, "The resource has changed since it was read."


class IdempotencyConflict(ParlourError):
    code, status, title = "idempotency_conflict", 422, "The same key was used with other content."


class IdempotencyRunning(ParlourError):
    code, status, title, retryable = "idempotency_running", 409, "A request with this key is still running.", True


# Content --------------------------------------------------------------------------------------------------------------
class EmptyMessage(ParlourError):
    code, status, title = "empty_message", 422, "The message is empty."


class TooLong(ParlourError):
    code, status, title = "too_long", 422, "The text is longer than allowed."


class MessageUnknown(ParlourError):
    code, status, title = "message_unknown", 404, "There is no such message in this conversation."


class Busy(ParlourError):
    code, status, title, retryable = "busy", 409, "An answer is still running.", True


class BinaryNotAllowed(ParlourError):
    code, status, title, close_code = "binary_not_allowed", 400, "Binary frames are not expected here.", 1003


# Files ----------------------------------------------------------------------------------------------------------------
class EmptyFile(ParlourError):
    code, status, title = "empty_file", 422, "The file is empty."


class FileTypeUnknown(ParlourError):
    code, status, title = "file_type_unknown", 415, "This kind of file cannot be read."


class ArchiveTooLarge(ParlourError):
    code, status, title = "archive_too_large", 422, "The file expands to more than allowed."


class StorageFull(ParlourError):
    code, status, title, retryable = "storage_full", 507, "There is no room left to store this.", True


# Limits ---------------------------------------------------------------------------------------------------------------
class RateLimited(ParlourError):
    code, status, title, retryable = "rate_limited", 429, "Too many requests.", True


class ConnectionLimit(ParlourError):
    code, status, title, close_code = "connection_limit", 429, "Too many open connections.", 4504


class NodeFull(ParlourError):
    code, status, title, retryable, close_code = "node_full", 503, "This server is full.", True, 4029


class BudgetExceeded(ParlourError):
    code, status, title = "budget_exceeded", 402, "The budget for this period is used up."


class BudgetUnverifiable(ParlourError):
    code, status, title, retryable = "budget_unverifiable", 503, "The budget cannot be checked now.", True


class Overloaded(ParlourError):
    code, status, title, retryable = "overloaded", 503, "The server is busy.", True


class Unavailable(ParlourError):
    code, status, title, retryable = "unavailable", 503, "A part of the system is away.", True


class NoProvider(ParlourError):
    code, status, title, retryable = "no_provider", 503, "No language model could answer.", True


class TenantSuspended(ParlourError):
    code, status, title, close_code = "tenant_suspended", 403, "This account is suspended.", 4507


class Abuse(ParlourError):
    code, status, title, close_code = "abuse", 429, "Too many broken frames.", 4509


def all_errors() -> list[type[ParlourError]]:
    """Every documented failure, for the docs and the uniqueness test."""
    return list(ParlourError.__subclasses__())
