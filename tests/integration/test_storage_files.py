"""Uploaded files: whole or not at all, under names that never come from outside."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server import errors
from server.ids import TenantId
from server.storage.files import ABANDONED_S, Files

TENANT = TenantId("ten_1")


async def chunks_of(*chunks: bytes, failure: Exception | None = None) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
    if failure is not None:
        raise failure


def left_in(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


async def test_a_file_lies_under_its_hash(tmp_path: Path) -> None:
    files = Files(tmp_path)
    stored = await files.put(TENANT, chunks_of(b"hello ", b"", b"world"), max_bytes=11)
    assert (stored.sha256, stored.size_bytes) == (hashlib.sha256(b"hello world").hexdigest(), 11)
    assert files.path(TENANT, stored.sha256).read_bytes() == b"hello world"
    assert await files.put(TENANT, chunks_of(b"hello world"), max_bytes=11) == stored
    assert left_in(tmp_path) == [f"ten_1/{stored.sha256}"]
    await files.delete(TENANT, stored.sha256)
    await files.delete(TENANT, stored.sha256)
    assert left_in(tmp_path) == []


async def test_tenants_do_not_share_files(tmp_path: Path) -> None:
    files = Files(tmp_path)
    stored = await files.put(TENANT, chunks_of(b"mine"), max_bytes=10)
    await files.delete(TenantId("ten_2"), stored.sha256)
    assert not files.path(TenantId("ten_2"), stored.sha256).exists()
    assert files.path(TENANT, stored.sha256).exists()


@pytest.mark.parametrize(
    ("chunks", "failure", "expected"),
    [
        ((b"x" * 5, b"x" * 6), None, errors.TooLarge),
        ((), None, errors.EmptyFile),
        ((b"",), None, errors.EmptyFile),
        ((b"x",), ConnectionResetError("the client left"), ConnectionResetError),
        ((b"x",), OSError(errno.ENOSPC, "No space left on device"), errors.StorageFull),
        ((b"x",), OSError(errno.EDQUOT, "Disk quota exceeded"), errors.StorageFull),
        ((b"x",), OSError(errno.EIO, "Input/output error"), OSError),
    ],
)
async def test_what_fails_leaves_no_part(
    tmp_path: Path, chunks: tuple[bytes, ...], failure: Exception | None, expected: type[Exception]
) -> None:
    with pytest.raises(expected):
        await Files(tmp_path).put(TENANT, chunks_of(*chunks, failure=failure), max_bytes=10)
    assert left_in(tmp_path) == []


async def test_a_cancelled_upload_leaves_no_part(tmp_path: Path) -> None:
    begun = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            begun.set()
            await asyncio.sleep(0.001)

    task = asyncio.create_task(Files(tmp_path).put(TENANT, endless(), max_bytes=10**9))
    await begun.wait()
    assert left_in(tmp_path)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert left_in(tmp_path) == []


async def test_parts_of_killed_processes_are_cleared_away(tmp_path: Path) -> None:
    folder = tmp_path / TENANT
    folder.mkdir()
    old, fresh = folder / ".part-old", folder / ".part-fresh"
    for part in (old, fresh):
        part.write_bytes(b"x")
    os.utime(old, (time.time() - ABANDONED_S - 60,) * 2)
    await Files(tmp_path).put(TENANT, chunks_of(b"x"), max_bytes=10)
    assert fresh.exists()
    assert not old.exists()


@pytest.mark.parametrize("tenant", ["", ".", "..", "../ten_2", "a/b", "/etc", "ten\x00", "ten_1\n", "t" * 65, "тен"])
async def test_a_name_from_outside_is_no_path(tmp_path: Path, tenant: str) -> None:
    files = Files(tmp_path / "files")
    with pytest.raises(errors.NotFound):
        await files.put(TenantId(tenant), chunks_of(b"x"), max_bytes=10)
    with pytest.raises(errors.NotFound):
        files.path(TenantId(tenant), "0" * 64)
    assert left_in(tmp_path) == []


@pytest.mark.parametrize(
    "sha256", ["", "..", "0" * 63, "0" * 65, "0" * 64 + "\n", "Z" * 64, "../" + "0" * 61, "A" * 64]
)
def test_only_a_hash_is_a_file(tmp_path: Path, sha256: str) -> None:
    with pytest.raises(errors.NotFound):
        Files(tmp_path).path(TENANT, sha256)


async def test_two_uploads_of_one_file_at_once(tmp_path: Path) -> None:
    files = Files(tmp_path)
    stored = await asyncio.gather(
        *(files.put(TENANT, chunks_of(*[b"x" * 1000] * 20), max_bytes=10**6) for _ in range(8))
    )
    assert len(set(stored)) == 1
    assert len(left_in(tmp_path)) == 1
