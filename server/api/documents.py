"""Documents: upload, follow, list, re-index, remove."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import PurePath
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.datastructures import UploadFile
from starlette.types import Message, Receive

from knowledge.parse import sniff
from server import errors
from server.api.auth import Editor, Principal, Viewer, still_holds
from server.api.bots import find_own_bot
from server.api.requests import Cursor, Limit, StrictRoute, page, services_of
from server.api.sse import SSE_HEADERS, event_text, with_pings
from server.ids import BotId, DocumentId
from server.services import Services
from server.storage import documents
from server.storage.records import DocumentRecord

router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["documents"])
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2066-\u2069]")
PART_BYTES = 1 << 16
LONGEST_UPLOAD_S = 300.0
# Room for the form around the file.
FORM_BYTES = 100_000
HEAD_BYTES = 4096


def clean_name(name: str | None) -> str:
    """A file's name as it may be shown and compared: no folders, no control or direction marks, at most 200 characters."""
    text = unicodedata.normalize("NFC", PurePath((name or "").replace("\\", "/")).name)
    return _UNSAFE.sub("", text).strip()[-200:] or "document"


@router.get("/bots/{bot}/documents", operation_id="documents.list")
async def list_documents(
    request: Request, bot: str, principal: Viewer, limit: Limit = 50, cursor: Cursor = None
) -> dict[str, Any]:
    """A bot's documents, newest first."""
    services = services_of(request)
    record = await find_own_bot(services.db, principal, bot)
    found = await documents.list_documents(services.db, principal.tenant_id, record.id, limit=limit, cursor=cursor)
    return page([documents.as_json(row) for row in found.data], found.next_cursor)


@router.post("/bots/{bot}/documents", operation_id="documents.upload", status_code=202, openapi_extra={
    "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": {
        "type": "object", "required": ["file"], "properties": {"file": {"type": "string", "format": "binary"}}}}}}
})  # fmt: skip
async def upload(request: Request, bot: str, principal: Editor) -> JSONResponse:
    """Take one file (TXT, Markdown, HTML, PDF, DOCX); a file of the same name is replaced once the new one is ready."""
    services = services_of(request)
    record = await find_own_bot(services.db, principal, bot)
    _check_length(request, services.settings.max_upload_bytes)
    _allow_time(request)
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise errors.UnsupportedMedia("Send multipart/form-data with a field named file.")
    bounded = Request(request.scope, _bounded(request.receive, services.settings.max_upload_bytes + FORM_BYTES))
    async with bounded.form(max_files=1, max_fields=4) as form:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise errors.BadMessage("/file: the form has no file")
        name, media_type = clean_name(file.filename), await _media_type(file)
        stored = await services.files.put(
            principal.tenant_id, _parts(file), max_bytes=services.settings.max_upload_bytes
        )
    document = await documents.create_document(
        services.db, principal.tenant_id, record.id, name=name, media_type=media_type, stored=stored
    )
    await services.queue.enqueue_ingest(principal.tenant_id, document)
    answer = JSONResponse(documents.as_json(document), 202)
    answer.headers["Location"] = f"/v1/documents/{document.id}"
    return answer


async def _media_type(file: UploadFile) -> str:
    head = await file.read(HEAD_BYTES)
    await file.seek(0)
    if not head:
        raise errors.EmptyFile
    media_type = sniff(file.filename or "", head)
    if media_type is None:
        raise errors.FileTypeUnknown(
            "Readable are TXT, Markdown, HTML, PDF and DOCX; the content decides, not the name."
        )
    return media_type


def _check_length(request: Request, limit: int) -> None:
    """Refuse early what says itself that it is too large; the parts are counted anyway while they are stored."""
    text = request.headers.get("content-length", "0")
    if text.isdigit() and int(text) > limit + FORM_BYTES:
        raise errors.TooLarge(f"A document may have {limit} bytes.")


def _allow_time(request: Request) -> None:
    """A slow line may take longer over a document than the few seconds every other request has."""
    set_deadline = request.scope.get("extensions", {}).get("hub.deadline")
    if set_deadline is not None:
        set_deadline(LONGEST_UPLOAD_S)


def _bounded(receive: Receive, limit: int) -> Receive:
    """The same body, refused while it is read: a form is spooled to disk before anybody sees its size."""
    received = 0

    async def bounded() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise errors.TooLarge
        return message

    return bounded


async def _parts(file: UploadFile) -> AsyncIterator[bytes]:
    while part := await file.read(PART_BYTES):
        yield part


@router.get("/bots/{bot}/documents/events", operation_id="documents.events", response_class=StreamingResponse)
async def document_events(request: Request, bot: str, principal: Viewer) -> StreamingResponse:
    """Every change of a bot's documents as server-sent events: `snapshot` first, then `document` and `removed`."""
    services = services_of(request)
    record = await find_own_bot(services.db, principal, bot)
    stream = with_pings(_document_events(request, principal, record.id))
    return StreamingResponse(stream, media_type="text/event-stream", headers=SSE_HEADERS)


async def _document_events(request: Request, principal: Principal, bot: BotId) -> AsyncGenerator[str, None]:
    services = services_of(request)
    channel = documents.channel(principal.tenant_id, bot)
    # Listen first, then read: a change between the two is told twice rather than never.
    async with aclosing(services.hub.fanout.listen(channel)) as changes:
        yield await _snapshot(services, principal, bot)
        async for payload in changes:
            # A key may have been revoked since, a member signed out.
            if not await still_holds(request):
                return
            if not payload:
                # The channel was away for a moment: what was missed stands in a new snapshot.
                yield await _snapshot(services, principal, bot)
                continue
            change = json.loads(payload)
            yield event_text(change["event"], change["data"])


async def _snapshot(services: Services, principal: Principal, bot: BotId) -> str:
    rows = await documents.all_documents(services.db, principal.tenant_id, bot)
    return event_text("snapshot", {"data": [documents.as_json(row) for row in rows]})


async def _own_document(services: Services, principal: Principal, document: str) -> DocumentRecord:
    record = await documents.get_document(services.db, principal.tenant_id, DocumentId(document))
    if record is None:
        raise errors.NotFound(f"There is no document {document[:64]!r}.")
    return record


@router.get("/documents/{document}", operation_id="documents.get")
async def get_document(request: Request, document: str, principal: Viewer) -> dict[str, Any]:
    """One document with its status and progress."""
    return documents.as_json(await _own_document(services_of(request), principal, document))


@router.delete("/documents/{document}", operation_id="documents.delete", status_code=202)
async def delete_document(request: Request, document: str, principal: Editor) -> Response:
    """Remove a document from searches at once, and from every store in the background."""
    services = services_of(request)
    record = await _own_document(services, principal, document)
    removed = await documents.begin_removal(services.db, principal.tenant_id, record.id)
    await services.queue.enqueue_removal(principal.tenant_id, removed)
    return Response(status_code=202)


@router.post("/documents/{document}/reindex", operation_id="documents.reindex", status_code=202)
async def reindex(request: Request, document: str, principal: Editor) -> JSONResponse:
    """Read the stored file again, as after a failure; searches see the old state until the new one is ready."""
    services = services_of(request)
    record = await _own_document(services, principal, document)
    again = await documents.requeue_document(services.db, principal.tenant_id, record.id)
    await services.queue.enqueue_ingest(principal.tenant_id, again)
    return JSONResponse(documents.as_json(again), 202)
