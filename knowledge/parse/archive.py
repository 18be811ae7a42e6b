"""The look at a zip file's directory before anything in it is read."""

from __future__ import annotations

import stat
import zipfile
from typing import IO

from knowledge.parse.blocks import ParseFailed

MAX_ENTRIES = 2000
MAX_BYTES = 200_000_000
MAX_RATIO = 100
# Small files of one repeated character compress better than that and harm nobody.
RATIO_FROM_BYTES = 1_000_000


def open_archive(file: IO[bytes]) -> zipfile.ZipFile:
    """A zip file that is safe to read from; raises ParseFailed with the reason."""
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError) as problem:
        raise ParseFailed("This file is damaged: it is not a complete Word document.") from problem
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        raise ParseFailed(f"This archive is too large: it holds more than {MAX_ENTRIES:,} files.")
    if sum(entry.file_size for entry in entries) > MAX_BYTES:
        raise ParseFailed(f"This archive is too large: it expands to more than {MAX_BYTES // 1_000_000} MB.")
    for entry in entries:
        _check(entry)
    return archive


def _check(entry: zipfile.ZipInfo) -> None:
    name = entry.filename.replace("\\", "/")
    if name.startswith("/") or ".." in name.split("/") or ":" in name.split("/")[0]:
        raise ParseFailed("This archive holds a path that leads out of it.")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise ParseFailed("This archive holds a link.")
    if entry.flag_bits & 1:
        raise ParseFailed("This file is protected by a password.")
    if entry.file_size > RATIO_FROM_BYTES and entry.file_size > MAX_RATIO * max(entry.compress_size, 1):
        raise ParseFailed("This archive is too large: a part of it expands more than a hundredfold.")


def read_entry(archive: zipfile.ZipFile, name: str, max_bytes: int = MAX_BYTES) -> bytes:
    """One entry, counted while it inflates, since a directory may lie; b'' when it is not there."""
    if name not in archive.namelist():
        return b""
    try:
        with archive.open(name) as entry:
            data = entry.read(max_bytes + 1)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError) as problem:
        raise ParseFailed("This file is damaged: a part of it cannot be read.") from problem
    except Exception as problem:  # zlib.error and its kin from compressors
        raise ParseFailed("This file is damaged: a part of it cannot be unpacked.") from problem
    if len(data) > max_bytes:
        raise ParseFailed("This archive is too large: a part of it is bigger than it says.")
    return data
