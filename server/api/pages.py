"""The built browser side: widget chunks, demo page, console, API docs; all from this server, nothing from a CDN."""

from __future__ import annotations

import gzip
import hashlib
import json
import mimetypes
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from server import errors
from server.api.requests import services_of

router = APIRouter(include_in_schema=False)
DIST = Path(__file__).parent.parent.parent / "widget" / "dist"
# A name that may stand in a policy: anything else in a Host header is left out of it.
OWN_HOST = re.compile(r"[A-Za-z0-9.\-\[\]:]{1,255}")
IMMUTABLE = "public, max-age=31536000, immutable"
SHORT = "public, max-age=300, stale-while-revalidate=86400"
# Sites that embed the widget may demand these of every file they load (COEP), and our timings may be read.
CROSS_ORIGIN = {
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Timing-Allow-Origin": "*",
}
PAGE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-cache",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'{style}; connect-src 'self' {socket}; img-src 'self' data:; "
    "font-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is served; the compressed form is made when it is first asked for."""

    body: bytes
    media_type: str
    etag: str
    _packed: list[bytes] = field(default_factory=list)

    def packed(self) -> bytes:
        """The file, gzipped."""
        if not self._packed:
            self._packed.append(gzip.compress(self.body, 9, mtime=0))
        return self._packed[0]


class Assets:
    """Every built file, read once: a request can name nothing but a key of this table."""

    def __init__(self, dist: Path = DIST) -> None:
        self._files = {str(path.relative_to(dist)): _read(path) for path in sorted(dist.rglob("*")) if path.is_file()}
        manifest = self._files.get("widget/manifest.json")
        self._manifest: dict[str, Any] = json.loads(manifest.body) if manifest else {}

    @property
    def built(self) -> bool:
        """Whether the browser side has been built."""
        return bool(self._manifest)

    def widget(self) -> dict[str, str]:
        """Where the loader finds the rest."""
        entry = self._manifest.get("widget")
        if entry is None:
            raise errors.Unavailable("The widget has not been built: run `make build`.")
        return {"widget": f"/widget/{entry}", "version": str(self._manifest.get("version", ""))}

    def get(self, name: str) -> Asset:
        """One file; raises NotFound."""
        asset = self._files.get(name)
        if asset is None:
            raise errors.NotFound
        return asset


def _read(path: Path) -> Asset:
    body = path.read_bytes()
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    if path.suffix in {".js", ".mjs"}:
        kind = "text/javascript"
    charset = "; charset=utf-8" if kind.startswith("text/") or kind.endswith(("json", "svg+xml")) else ""
    return Asset(body, kind + charset, '"' + hashlib.sha256(body).hexdigest()[:24] + '"')


def _send(request: Request, asset: Asset, headers: dict[str, str]) -> Response:
    headers = headers | {"ETag": asset.etag, "Vary": "Accept-Encoding", "X-Content-Type-Options": "nosniff"}
    if asset.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", "") and len(asset.body) > 1000:
        return Response(asset.packed(), media_type=asset.media_type, headers=headers | {"Content-Encoding": "gzip"})
    return Response(asset.body, media_type=asset.media_type, headers=headers)


def _assets(request: Request) -> Assets:
    assets: Assets = request.app.state.assets
    return assets


def _page(request: Request, name: str, replace: dict[str, str], *, nonce: str = "") -> HTMLResponse:
    text = _assets(request).get(name).body.decode()
    for mark, value in replace.items():
        text = text.replace("{{" + mark + "}}", value)
    style = f" 'nonce-{nonce}'" if nonce else ""
    return HTMLResponse(text, headers=PAGE_HEADERS | {"Content-Security-Policy": _policy(request, style)})


def _policy(request: Request, style: str = "") -> str:
    """Everything from here, nothing inline, and sockets to this server alone."""
    host = request.headers.get("host", "")
    own = host if OWN_HOST.fullmatch(host) else ""
    scheme = "wss" if services_of(request).settings.url.startswith("https://") else "ws"
    return _POLICY.format(style=style, socket=f"{scheme}://{own}" if own else "")


@router.get("/")
async def root() -> RedirectResponse:
    """The demo where there is one, else the console."""
    return RedirectResponse("/demo", 307)


@router.get("/favicon.ico")
async def favicon(request: Request) -> Response:
    """Browsers ask for it whether a page names one or not."""
    return _send(request, _assets(request).get("demo/icon.svg"), {"Cache-Control": SHORT})


@router.get("/widget/v1/loader.js")
async def loader(request: Request) -> Response:
    """The one script a site pastes."""
    return _send(request, _assets(request).get("widget/loader.js"), CROSS_ORIGIN | {"Cache-Control": SHORT})


@router.get("/widget/{path:path}")
async def chunk(request: Request, path: str) -> Response:
    """A chunk under its content's hash: cached for ever."""
    return _send(request, _assets(request).get(f"widget/{path}"), CROSS_ORIGIN | {"Cache-Control": IMMUTABLE})


@router.get("/demo")
async def demo(request: Request) -> Response:
    """The demo site with the demo bot's tag; without a demo the console is the way in."""
    bot = request.app.state.demo_bot
    if bot is None:
        return RedirectResponse("/console/", 307)
    return _page(request, "demo/index.html", {"BOT_ID": bot})


@router.get("/demo/{path:path}")
async def demo_file(request: Request, path: str) -> Response:
    """The demo site's own files."""
    if not path:
        return RedirectResponse("/demo", 307)
    return _send(request, _assets(request).get(f"demo/{path}"), {"Cache-Control": "no-cache"})


@router.get("/console")
async def console_root() -> RedirectResponse:
    """The console's address ends in a slash."""
    return RedirectResponse("/console/", 307)


@router.get("/console/{path:path}")
async def console(request: Request, path: str) -> Response:
    """The console: its files by name, every other address is a screen of the same page."""
    if path.startswith("assets/"):
        return _send(request, _assets(request).get(f"console/{path}"), {"Cache-Control": IMMUTABLE})
    nonce = secrets.token_urlsafe(16)
    return _page(request, "console/index.html", {"NONCE": nonce}, nonce=nonce)


@router.get("/docs")
async def docs(request: Request) -> Response:
    """The REST API's documentation, drawn from /openapi.json."""
    return _page(request, "docs/index.html", {})


@router.get("/docs/errors")
async def error_list(request: Request) -> HTMLResponse:
    """Every documented error code."""
    rows = "".join(
        f'<tr id="{kind.code}"><td><code>{kind.code}</code></td><td>{kind.status}</td>'
        f"<td>{kind.title}</td><td>{'yes' if kind.retryable else 'no'}</td></tr>"
        for kind in errors.all_errors()
    )
    text = _assets(request).get("docs/errors.html").body.decode().replace("{{ROWS}}", rows)
    return HTMLResponse(text, headers=PAGE_HEADERS | {"Content-Security-Policy": _policy(request)})


@router.get("/docs/{path:path}")
async def docs_file(request: Request, path: str) -> Response:
    """The documentation page's own files."""
    return _send(request, _assets(request).get(f"docs/{path}"), {"Cache-Control": "no-cache"})
