"""Real parts for the tests of knowledge and jobs: an encoder that is loaded once, an engine per test, a bot to fill."""

from __future__ import annotations

import atexit
import functools
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from knowledge.library import Library, open_library
from knowledge.records import BotScope
from server.bot import BotConfig
from server.ids import BotId, TenantId, new_id
from server.jobs.worker import Jobs, open_jobs
from server.settings import Settings
from server.storage import bots, documents, tenants
from server.storage.database import Database
from server.storage.files import Files
from server.storage.queues import find_work
from server.storage.records import DocumentRecord
from server.storage.valkey import Valkey

ROOT = Path(__file__).parent.parent.parent
START_S = 60.0


def start_child(*arguments: str, socket: Path) -> subprocess.Popen[bytes]:
    """Start one of our children and wait until it listens."""
    log = socket.with_suffix(".log")
    with log.open("ab") as output:
        process = subprocess.Popen([sys.executable, "-m", *arguments], cwd=ROOT, stdout=output, stderr=output)
    deadline = time.monotonic() + START_S
    while not socket.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(log.read_text()[-2000:])
        time.sleep(0.02)
    return process


def stop_child(process: subprocess.Popen[bytes]) -> None:
    """End a child and wait for it."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@functools.cache
def encoder_socket() -> Path:
    """The one encoder of this test run; it loads for seconds, so it is shared by every test."""
    folder = tempfile.TemporaryDirectory(prefix="enc-")
    socket = Path(folder.name) / "encoder.sock"
    process = start_child("knowledge.embed", "--socket", str(socket), socket=socket)
    atexit.register(folder.cleanup)
    atexit.register(stop_child, process)
    return socket


@contextmanager
def running_engine(folder: Path) -> Iterator[Path]:
    """An engine over a folder; yields its socket, which lies elsewhere because its path must be short."""
    with tempfile.TemporaryDirectory(prefix="vec-") as short:
        socket = Path(short) / "vectors.sock"
        process = start_child("knowledge.store", "--socket", str(socket), "--dir", str(folder), socket=socket)
        try:
            yield socket
        finally:
            stop_child(process)


@dataclass(kw_only=True)
class Knowing:
    """A tenant with a bot, and everything that indexes and searches for it."""

    db: Database
    library: Library
    jobs: Jobs
    files: Files
    tenant: TenantId
    bot: BotId
    vectors_socket: Path

    @property
    def scope(self) -> BotScope:
        return BotScope(self.tenant, self.bot)

    async def upload(self, name: str, data: bytes, media_type: str) -> DocumentRecord:
        """Store a file and its document, as the API does; nothing is indexed yet."""
        stored = await self.files.put(self.tenant, _parts(data), max_bytes=20_000_000)
        return await documents.create_document(
            self.db, self.tenant, self.bot, name=name, media_type=media_type, stored=stored
        )

    async def index(self, name: str, data: bytes, media_type: str = "text/markdown") -> DocumentRecord:
        """Upload and index at once; returns the document afterwards."""
        return await self.work_on(await self.upload(name, data, media_type))

    async def work_on(self, document: DocumentRecord) -> DocumentRecord:
        """Run the work on a document; returns it as it is then."""
        while await find_work(self.db, self.tenant, document.id):
            await self.jobs.run(self.tenant, document.id)
        after = await documents.get_document(self.db, self.tenant, document.id)
        return after or document

    async def ask(self, question: str) -> list[str]:
        """The texts that are found, best first."""
        epoch = await bots.knowledge_epoch(self.db, self.tenant, self.bot)
        results = await self.library.search(self.scope, question, epoch=epoch)
        return [found.text for found in results.found]


async def _parts(data: bytes) -> AsyncIterator[bytes]:
    yield data


@asynccontextmanager
async def knowing(db: Database, valkey: Valkey, folder: Path) -> AsyncIterator[Knowing]:
    """Everything of one bot over real parts."""
    tenant = TenantId(new_id("tenant"))
    await tenants.create_tenant(db, tenant, "Test")
    bot = await bots.create_bot(db, tenant, BotConfig())
    files = Files(folder / "files")
    with running_engine(folder / "vectors") as vectors:
        records = documents.Records(db)
        async with (
            open_library(records, encoder_socket=encoder_socket(), vectors_socket=vectors) as library,
            open_jobs(Settings(data_dir=folder), db, valkey, library, files) as jobs,
        ):
            yield Knowing(
                db=db, library=library, jobs=jobs, files=files, tenant=tenant, bot=bot.id, vectors_socket=vectors
            )
