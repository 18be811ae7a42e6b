"""The background worker: arq wakes it, the outbox tells it what to do, a lease says who is at it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from arq.connections import ArqRedis
from arq.constants import in_progress_key_prefix
from arq.worker import Worker, func
from redis.exceptions import RedisError

from knowledge.embed import EncoderAway
from knowledge.library import Library, open_library
from knowledge.records import BotScope
from knowledge.store import StoreAway
from server.embedded import sockets_of
from server.ids import BotId, DocumentId, TenantId, new_id
from server.jobs.ingest import KINDS, GivenUp, Later, Parts, Run, Superseded, is_behind
from server.settings import Settings
from server.storage import documents, queues
from server.storage.database import Database
from server.storage.files import Files
from server.storage.migrate import migrate
from server.storage.queues import Queue, Work, open_queue
from server.storage.valkey import Valkey, open_valkey
from server.telemetry import logger

HEARTBEAT_S = 3.0
SWEEP_S = 2.0
UPKEEP_S = 60.0
IN_PROGRESS_S = 6.0
# Our own lease decides how long a job may run; arq's limit only must not come first.
JOB_TIMEOUT_S = 6 * 3600
# Only the number of starts is counted by arq, so its limit must never be reached: tries are counted in SQL.
ARQ_MAX_TRIES = 1_000_000
MAX_JOBS = 4
KEEP_DONE_S = 7 * 86_400
GAVE_UP = "This document stopped the worker several times and was given up."
_log = logger("jobs")


class LeasedWorker(Worker):
    """arq's worker, whose claim on a running job ends seconds after the process does, not minutes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.in_progress_timeout_s = IN_PROGRESS_S

    async def hold_claims(self) -> None:
        """Keep the claims on running jobs alive."""
        while True:
            await asyncio.sleep(IN_PROGRESS_S / 3)
            for job_id in list(self.tasks):
                with contextlib.suppress(RedisError, OSError):
                    await self.pool.pexpire(in_progress_key_prefix + job_id, int(IN_PROGRESS_S * 1000))


class Jobs:
    """Runs rows of the outbox for one worker process."""

    def __init__(self, parts: Parts, queue: Queue, owner: str) -> None:
        self.parts = parts
        self._queue = queue
        self._owner = owner

    async def run(self, tenant: TenantId, hint: str) -> None:
        """Do one piece of work, if it is still to be done and nobody else is at it."""
        db = self.parts.db
        found = await queues.find_work(db, tenant, hint)
        work = None if found is None else await queues.take_work(db, tenant, found, self._owner)
        if work is None:
            return
        if work.tries > queues.MAX_TRIES:
            await self._give_up(work, GAVE_UP)
            return
        await self._settle(work, Run(parts=self.parts, work=work))

    async def _settle(self, work: Work, run: Run) -> None:
        db, tenant = self.parts.db, work.tenant_id
        try:
            await self._under_lease(work, run)
            await queues.finish_work(db, tenant, work)
        except Superseded:
            await queues.finish_work(db, tenant, work, error="superseded")
        except GivenUp as reason:
            await self._give_up(work, str(reason))
        except Later as reason:
            _log.info("work waits", extra={"job": work.id, "reason": str(reason)[:200]})
            await queues.return_work(db, tenant, work, after_s=reason.after_s)
        except asyncio.CancelledError:
            # Shutting down: the next worker may begin at once.
            await asyncio.shield(queues.return_work(db, tenant, work))
            raise
        except Exception as problem:
            await self._failed(work, problem)

    async def _failed(self, work: Work, problem: Exception) -> None:
        _log.warning(
            "work failed", extra={"job": work.id, "kind": work.kind, "attempt": work.tries, "error": repr(problem)[:300]},
            exc_info=problem,
        )  # fmt: skip
        if work.tries >= queues.MAX_TRIES:
            await self._give_up(work, f"This document could not be indexed ({type(problem).__name__}).")
        else:
            await queues.return_work(self.parts.db, work.tenant_id, work, after_s=2.0 * work.tries, blameless=False)

    async def _under_lease(self, work: Work, run: Run) -> None:
        """Run the work beside its heartbeat; when the lease is lost, somebody else is at it and we stop."""
        doing = asyncio.ensure_future(KINDS[work.kind](run))
        beating = asyncio.create_task(self._beat(work, run), name=f"lease of {work.id}")
        try:
            await asyncio.wait({doing, beating}, return_when=asyncio.FIRST_COMPLETED)
            if not doing.done():
                raise Superseded
            doing.result()
        finally:
            for task in (doing, beating):
                task.cancel()
            await asyncio.gather(doing, beating, return_exceptions=True)

    async def _beat(self, work: Work, run: Run) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            progressed, run.progressed = run.progressed, False
            if not await queues.keep_work(self.parts.db, work.tenant_id, work, progressed=progressed):
                return

    async def _give_up(self, work: Work, reason: str) -> None:
        """Dead letter: the work ends, and the document says why."""
        db, tenant, subject = self.parts.db, work.tenant_id, DocumentId(work.subject_id)
        _log.warning("work given up", extra={"job": work.id, "kind": work.kind, "reason": reason[:200]})
        if work.kind == "ingest":
            failed = await documents.set_status(
                db,
                tenant,
                subject,
                version=int(work.payload["version"]),
                status="failed",
                progress=0.0,
                error=reason[:500],
            )
            if failed is not None:
                await Run(parts=self.parts, work=work).tell(failed)
        await queues.finish_work(db, tenant, work, error=reason)

    # What nobody asks for ------------------------------------------------------------------------------------------
    async def sweep(self) -> None:
        """Wake workers for rows without a live lease: lost hints, killed workers, work that had to wait."""
        for tenant in await queues.tenants_with_work(self.parts.db):
            for work in await queues.free_work(self.parts.db, tenant):
                await self._queue.enqueue(tenant, work)

    async def upkeep(self) -> None:
        """Compare every bot's index with the database, rebuild what differs, drop what has no bot any more."""
        db, library = self.parts.db, self.parts.library
        known = await queues.indexed_bots(db)
        try:
            about = await library.about()
            for tenant, bot, _ in known:
                chunks = await documents.count_chunks(db, tenant, BotId(bot))
                if is_behind(await library.store.stats(BotScope(tenant, bot)), about, chunks):
                    await self._ask_rebuild(tenant, bot)
            await self._drop_orphans({bot for _, bot, _ in known})
        except (StoreAway, EncoderAway):
            return
        for tenant in {tenant for tenant, _, _ in known}:
            await queues.forget_done(db, tenant, older_than_s=KEEP_DONE_S)

    async def _ask_rebuild(self, tenant: TenantId, bot: str) -> None:
        if not await queues.has_work_for(self.parts.db, tenant, bot):
            work = new_id("job")
            payload = {"bot": bot}
            await queues.add_work(self.parts.db, tenant, work=work, kind="rebuild", subject=bot, payload=payload)

    async def _drop_orphans(self, known: set[str]) -> None:
        for scope in await self.parts.library.store.bots():
            if scope.bot not in known and await queues.is_bot_gone(self.parts.db, TenantId(scope.tenant), scope.bot):
                await self.parts.library.store.drop(scope)


async def _every(seconds: float, work: Callable[[], Awaitable[None]], name: str) -> None:
    """Repeat something for ever; a failure is logged and does not end it."""
    while True:
        try:
            await work()
        except Exception as problem:  # a database that is away comes back
            _log.warning("background step failed", extra={"part": name, "error": repr(problem)[:300]})
        await asyncio.sleep(seconds)


def _publisher(valkey: Valkey) -> Callable[[str, bytes], Awaitable[None]]:
    async def publish(channel: str, message: bytes) -> None:
        with contextlib.suppress(RedisError, OSError):
            await valkey.commands.publish(channel, message)

    return publish


@asynccontextmanager
async def open_jobs(
    settings: Settings, db: Database, valkey: Valkey, library: Library, files: Files
) -> AsyncIterator[Jobs]:
    """A runner over parts that are open already."""
    owner = f"{socket.gethostname()[:30]}:{os.getpid()}:{new_id('job')[-8:]}"
    queue = await open_queue(valkey)
    try:
        yield Jobs(Parts(db=db, files=files, library=library, publish=_publisher(valkey)), queue, owner)
    finally:
        await queue.close()


async def run_worker(settings: Settings, *, ready_file: Path | None = None) -> None:
    """Take work until cancelled, SIGTERM or SIGINT; `ready_file` is touched when the first job can be taken.

    Work that is running then is given back at once, so that the next worker need not wait for its lease to expire.
    """
    loop, working = asyncio.get_running_loop(), asyncio.ensure_future(_work(settings, ready_file))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, working.cancel)
    try:
        await working
    except asyncio.CancelledError:
        current = asyncio.current_task()
        if current is not None and current.cancelling():
            raise
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def _work(settings: Settings, ready_file: Path | None) -> None:
    sockets = sockets_of(settings)
    db = Database(settings.database)
    valkey = await open_valkey(settings.redis_url or f"unix://{sockets.valkey}")
    model = Path(settings.embedding_model) if settings.embedding_model else None
    try:
        await migrate(db)
        async with (
            open_library(
                documents.Records(db), encoder_socket=sockets.encoder, vectors_socket=sockets.vectors,
                qdrant_url=settings.qdrant_url, qdrant_api_key=settings.qdrant_api_key, model=model,
            ) as library,
            open_jobs(settings, db, valkey, library, Files(settings.files_dir)) as jobs,
        ):  # fmt: skip
            await work_until_cancelled(jobs, valkey, ready_file)
    finally:
        await valkey.close()
        await db.close()


async def work_until_cancelled(jobs: Jobs, valkey: Valkey, ready_file: Path | None = None) -> None:
    """Run arq's loop, the sweep and the upkeep side by side; arq starts again when Valkey was away."""
    async with asyncio.TaskGroup() as group:
        group.create_task(_every(SWEEP_S, jobs.sweep, "sweep"))
        group.create_task(_every(UPKEEP_S, jobs.upkeep, "upkeep"))
        group.create_task(_take_jobs(jobs, valkey, ready_file))


async def _take_jobs(jobs: Jobs, valkey: Valkey, ready_file: Path | None) -> None:
    async def run_work(_context: dict[str, Any], tenant: str, hint: str) -> None:
        await jobs.run(TenantId(tenant), hint)

    while True:
        with contextlib.suppress(RedisError, OSError):
            await _run_arq(run_work, valkey, ready_file)
        _log.warning("queue is away", extra={"part": "valkey"})
        await asyncio.sleep(1.0)


async def _run_arq(run_work: Callable[..., Coroutine[Any, Any, None]], valkey: Valkey, ready_file: Path | None) -> None:
    async def started(_context: dict[str, Any]) -> None:
        if ready_file is not None:
            await asyncio.to_thread(ready_file.touch)

    worker = LeasedWorker(
        [func(run_work, name=queues.JOB, keep_result=0, timeout=JOB_TIMEOUT_S, max_tries=ARQ_MAX_TRIES)],
        redis_pool=(await open_queue(valkey)).pool,
        queue_name=queues.QUEUE,
        handle_signals=False,
        on_startup=started,
        max_jobs=MAX_JOBS,
        keep_result=0,
        poll_delay=0.25,
        health_check_interval=30,
        job_serializer=queues.pack,
        job_deserializer=queues.unpack,
        log_results=False,
    )
    claims = asyncio.create_task(worker.hold_claims(), name="hold claims")
    try:
        await worker.async_run()
    finally:
        claims.cancel()
        running = list(worker.tasks.values())
        for task in running:
            task.cancel()
        await asyncio.gather(claims, *running, return_exceptions=True)


__all__ = ["ArqRedis", "Jobs", "LeasedWorker", "open_jobs", "run_worker", "work_until_cancelled"]
