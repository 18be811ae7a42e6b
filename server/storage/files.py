"""Uploaded files, named by their content, a folder for each tenant."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import re
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from server import errors
from server.ids import TenantId

_SHA256 = re.compile(r"[0-9a-f]{64}")
_TENANT = re.compile(r"[A-Za-z0-9_-]{1,64}")
# A part this old has no writer any more: its process was killed.
ABANDONED_S = 24 * 3600
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that is on disk: its name is the hash of its content."""

    sha256: str
    size_bytes: int


class Files:
    """Content-addressed files under one root; a name from outside never becomes a path."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def put(self, tenant: TenantId, chunks: AsyncIterator[bytes], *, max_bytes: int) -> StoredFile:
        """Store a file whole or not at all; raises TooLarge, EmptyFile or StorageFull."""
        folder = self._folder(tenant)
        part = folder / f".part-{secrets.token_hex(8)}"
        try:
            await asyncio.to_thread(_prepare, folder)
            stored = await self._write(part, chunks, max_bytes)
            await asyncio.to_thread(_settle, part, folder / stored.sha256)
        except OSError as problem:
            if problem.errno in FULL:
                raise errors.StorageFull from None
            raise
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
        return stored

    async def _write(self, part: Path, chunks: AsyncIterator[bytes], max_bytes: int) -> StoredFile:
        digest, size = hashlib.sha256(), 0
        with await asyncio.to_thread(part.open, "xb") as file:
            async for chunk in chunks:
                size += len(chunk)
                if size > max_bytes:
                    raise errors.TooLarge(f"A document may have {max_bytes} bytes.")
                digest.update(chunk)
                await asyncio.to_thread(file.write, chunk)
        if size == 0:
            raise errors.EmptyFile
        return StoredFile(digest.hexdigest(), size)

    def path(self, tenant: TenantId, sha256: str) -> Path:
        """Where a file lies; raises NotFound for anything that is not a hash."""
        if not _SHA256.fullmatch(sha256):
            raise errors.NotFound
        return self._folder(tenant) / sha256

    async def delete(self, tenant: TenantId, sha256: str) -> None:
        """Remove a file; one that is gone already is no error."""
        await asyncio.to_thread(self.path(tenant, sha256).unlink, missing_ok=True)

    def _folder(self, tenant: TenantId) -> Path:
        if not _TENANT.fullmatch(tenant):
            raise errors.NotFound
        return self._root / tenant


def _prepare(folder: Path) -> None:
    """Make the folder, and clear it of what killed processes left."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    oldest = time.time() - ABANDONED_S
    for part in folder.glob(".part-*"):
        with contextlib.suppress(FileNotFoundError):
            if part.stat().st_mtime < oldest:
                part.unlink()


def _settle(part: Path, final: Path) -> None:
    """Put a finished file under its name: first its content must be on the disk, then its name."""
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(final)
    folder = os.open(final.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
