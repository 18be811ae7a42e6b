"""The environment, read once into one frozen object.

SETTINGS is the table: README's list is generated from it, and an unknown PARLOUR_ variable is an error, because a
misspelt setting that silently does nothing is worse than a server that does not start.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any


class SettingError(ValueError):
    """A setting cannot be used; the text names it and says what would do."""


def _integer(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise ValueError(f"must lie between {low} and {high}")
        return value

    return read


def _flag(text: str) -> bool:
    if text.lower() in {"1", "true", "yes", "on"}:
        return True
    if text.lower() in {"0", "false", "no", "off", ""}:
        return False
    raise ValueError("must be 1 or 0")


def _path(text: str) -> Path:
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError as problem:
        raise ValueError(str(problem)) from None


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _setting(help_: str, read: Callable[[str], Any], default: Any) -> Any:
    return field(default=default, metadata={"help": help_, "read": read})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting, as PARLOUR_<NAME>; the defaults run everything on one machine."""

    data_dir: Path = _setting("The one data folder.", _path, Path("data").absolute())
    host: str = _setting("Address to listen on.", str, "127.0.0.1")
    port: int = _setting("Port to listen on; 0 takes a free one.", _integer(0, 65535), 8000)
    public_url: str = _setting("Address visitors use, when a proxy stands in front.", str, "")
    database_url: str = _setting("SQLAlchemy address; empty: SQLite in the data folder.", str, "")
    redis_url: str = _setting("Redis or Valkey; empty: an embedded Valkey.", str, "")
    qdrant_url: str = _setting("Qdrant server; empty: embedded.", str, "")
    qdrant_api_key: str = _setting("Key for the Qdrant server.", str, "")
    embedding_model: str = _setting("Folder of a sentence-transformers model; empty: all-MiniLM-L6-v2.", str, "")
    local_model: str = _setting("A GGUF file, or `default` for SmolLM2-135M; empty: no local model.", str, "")
    model: str = _setting("Provider/model used first, such as openai/gpt-5.4-mini.", str, "")
    secret_key: str = _setting("Master secret (32+ characters); empty: one is kept in the data folder.", str, "")
    worker: bool = _setting("Run the background worker inside `serve`.", _flag, True)
    trusted_proxies: tuple[str, ...] = _setting("Proxy networks whose X-Forwarded-For counts.", _names, ())
    max_sockets: int = _setting("Open sockets per process.", _integer(1, 1_000_000), 20_000)
    max_sockets_per_address: int = _setting("Open sockets per visitor address.", _integer(1, 100_000), 20)
    connects_per_minute: int = _setting("New sockets per visitor address and minute.", _integer(1, 1_000_000), 60)
    max_upload_bytes: int = _setting("Largest document.", _integer(1, 1 << 30), 20_000_000)
    token_life_s: int = _setting("Life of a visitor token.", _integer(5, 86_400), 900)
    drain_s: int = _setting("Longest wait for answers at shutdown.", _integer(0, 600), 20)
    log_level: str = _setting("debug, info, warning or error.", str, "info")
    operator_token: str = _setting("Bearer token that may create tenants over REST; empty: nobody may.", str, "")
    metrics_token: str = _setting("Bearer token for /metrics; empty: loopback only.", str, "")

    @property
    def database(self) -> str:
        """The SQLAlchemy address in force."""
        return self.database_url or f"sqlite+aiosqlite:///{self.data_dir / 'parlour.db'}"

    @property
    def run_dir(self) -> Path:
        """Sockets, locks and pid files of the children."""
        return self.data_dir / "run"

    @property
    def files_dir(self) -> Path:
        """Uploaded documents, named by content."""
        return self.data_dir / "files"

    @property
    def url(self) -> str:
        """The address visitors use, without a slash at its end."""
        shown = "127.0.0.1" if self.host in {"0.0.0.0", "::", ""} else self.host  # noqa: S104 - only compared
        return (self.public_url or f"http://{shown}:{self.port}").rstrip("/")


def read_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read PARLOUR_* variables; SettingError names the first one that cannot be used."""
    environ = os.environ if environ is None else environ
    known = {f"PARLOUR_{entry.name.upper()}": entry for entry in fields(Settings)}
    values: dict[str, Any] = {}
    for name, text in environ.items():
        if not name.startswith("PARLOUR_"):
            continue
        if name not in known:
            raise SettingError(f"{name} is not a setting; see README.md for the list")
        try:
            values[known[name].name] = known[name].metadata["read"](text)
        except ValueError as problem:
            raise SettingError(f"{name}={text!r}: {problem}") from None
    return Settings(**values)


def describe_settings() -> str:
    """The settings as a Markdown table, for README.md."""
    rows = [
        f"| `PARLOUR_{entry.name.upper()}` | {entry.metadata['help']} | {_shown(entry.default)} |"
        for entry in fields(Settings)
    ]
    return "\n".join(["| setting | meaning | default |", "| --- | --- | --- |", *rows])


def _shown(value: object) -> str:
    if isinstance(value, Path):
        return f"`{value.name}`"
    if isinstance(value, bool):
        return "`1`" if value else "`0`"
    return f"`{value}`" if value not in ("", ()) else ""
