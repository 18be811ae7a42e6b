"""Failures as RFC 9457 problems: one shape for every route, the same codes as on the socket."""

from __future__ import annotations

from math import ceil
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from server import errors
from server.telemetry import logger

_log = logger("api")
_STATUS_ERRORS: dict[int, type[errors.ParlourError]] = {
    400: errors.BadMessage,
    401: errors.Unauthorized,
    403: errors.NotPermitted,
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    413: errors.TooLarge,
    415: errors.UnsupportedMedia,
}
# What pydantic calls a fault -> the code a caller can rely on; everything else is `bad_value`.
_FIELD_CODES = {
    "extra_forbidden": "unknown_field",
    "missing": "missing",
    "string_too_long": "too_long",
    "too_long": "too_many",
}


def problem(request: Request, failure: errors.ParlourError) -> JSONResponse:
    """The answer for one failure."""
    body: dict[str, Any] = {
        "type": f"/docs/errors#{failure.code}",
        "title": failure.title,
        "status": failure.status,
        "detail": failure.detail,
        "instance": request.url.path,
        "code": failure.code,
        "request_id": request.scope.get("request_id", ""),
    }
    headers = {}
    if failure.errors:
        body["errors"] = failure.errors
    if failure.extra:
        body |= failure.extra
    if failure.retry_after_s is not None:
        body["retry_after"] = round(failure.retry_after_s, 3)
        headers["Retry-After"] = str(ceil(failure.retry_after_s))
    if failure.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(body, failure.status, headers, media_type="application/problem+json")


def add_problem_handlers(app: FastAPI) -> None:
    """Turn every exception of every route into a problem."""
    app.add_exception_handler(errors.ParlourError, _on_parlour_error)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(Exception, _on_anything)


async def _on_parlour_error(request: Request, failure: Exception) -> JSONResponse:
    assert isinstance(failure, errors.ParlourError)  # noqa: S101 - registered for this type only
    return problem(request, failure)


async def _on_validation(request: Request, failure: Exception) -> JSONResponse:
    assert isinstance(failure, RequestValidationError)  # noqa: S101 - registered for this type only
    rows = [
        {
            "pointer": "/" + "/".join(str(part) for part in row["loc"][1:]),
            "code": _FIELD_CODES.get(row["type"], "bad_value"),
            "detail": row["msg"],
        }
        for row in failure.errors()[:50]
    ]
    kind = errors.UnknownField if any(row["code"] == "unknown_field" for row in rows) else errors.BadMessage
    return problem(request, kind("; ".join(f"{row['pointer']}: {row['detail']}" for row in rows[:3]), errors=rows))


async def _on_http_exception(request: Request, failure: Exception) -> JSONResponse:
    assert isinstance(failure, HTTPException)  # noqa: S101 - registered for this type only
    # FastAPI wraps what a body reader raises; the reader's own word is the better answer.
    if isinstance(failure.__cause__, errors.ParlourError):
        return problem(request, failure.__cause__)
    answer = problem(request, _STATUS_ERRORS.get(failure.status_code, errors.BadMessage)())
    answer.headers.update(failure.headers or {})
    return answer


async def _on_anything(request: Request, failure: Exception) -> JSONResponse:
    _log.error("unexpected failure", extra={"route": request.url.path}, exc_info=failure)
    return problem(request, errors.Internal())
