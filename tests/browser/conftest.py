"""A real Chromium, a real server behind a line that can be cut, pages of other sites."""

from __future__ import annotations

import http.server
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from tests.proxy import Line, open_line
from tests.running import ROOT, Running, running_server

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = [
    "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
]  # fmt: skip
SCREENSHOTS = ROOT / "build" / "screenshots"
# What the slow model says: long enough to be cut in the middle, with every word its own number.
LONG_ANSWER = " ".join(f"word{number}" for number in range(160)) + "."


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium from the system; without one these tests say that they are skipped."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser without memory."""
    opened = browser.new_context(viewport={"width": 1280, "height": 860}, locale="en-US")
    yield opened
    opened.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page whose errors fail the test."""
    faults: list[str] = []
    opened = context.new_page()
    opened.on("pageerror", lambda error: faults.append(f"page error: {error}"))
    opened.on("console", lambda message: faults.extend(_fault(message)))
    yield opened
    assert not faults, faults


def _fault(message: ConsoleMessage) -> list[str]:
    # A cut line is told by the browser itself; what our code or a policy says is a fault.
    expected = "Failed to load resource" in message.text or "WebSocket connection to" in message.text
    return [] if message.type != "error" or expected else [f"console: {message.text}"]


@pytest.fixture
def shot(page: Page, request: pytest.FixtureRequest) -> Callable[[str], bytes]:
    """Keeps a screenshot as a build artefact."""

    def keep(name: str) -> bytes:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        return page.screenshot(path=SCREENSHOTS / f"{name}.png")

    return keep


@pytest.fixture(scope="session")
def slow_model() -> Iterator[str]:
    """A provider on loopback that says LONG_ANSWER slowly: its base URL."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "tests.upstream", "--port", str(port), "--text", LONG_ANSWER, "--gap-ms", "25"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    process.stdout.readline()
    yield f"http://127.0.0.1:{port}/v1"
    process.terminate()
    process.wait(10)
    process.stdout.close()


@pytest.fixture(scope="session")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """The line to the slow model's server."""
    with open_line() as opened:
        yield opened


@pytest.fixture(scope="session")
def slow_site(line: Line, slow_model: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A demo whose model is slow, behind the line that can be cut."""
    environ = {
        "PARLOUR_PUBLIC_URL": f"http://127.0.0.1:{line.port}", "OPENAI_BASE_URL": slow_model,
        "PARLOUR_CONNECTS_PER_MINUTE": "1000",
    }  # fmt: skip
    folder = tmp_path_factory.mktemp("slow") / "data"
    with socket.create_server(("127.0.0.1", 0)) as probe:
        line.target = probe.getsockname()[1]
    with running_server(folder, environ=environ | {"PARLOUR_PORT": str(line.target)}) as running:
        yield running


class Site:
    """Another site's page, on an origin of its own."""

    def __init__(self) -> None:
        self.body = ""
        self.headers: dict[str, str] = {}
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path != "/":
                    self.send_error(404)
                    return
                self.send_response(200)
                for name, value in site.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(site.body.encode())

            def log_message(self, *_arguments: object) -> None:
                """Silence."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def site() -> Iterator[Site]:
    """A site that may embed the widget."""
    opened = Site()
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def gallery() -> Iterator[str]:
    """The avatar's gallery page, as built."""
    folder = ROOT / "widget" / "dist" / "gallery"

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, directory=str(Path(folder)), **options)  # type: ignore[arg-type]

        def log_message(self, *_arguments: object) -> None:
            """Silence."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
