"""Settings come from the environment, and a wrong one is an error that names it."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.settings import SettingError, Settings, describe_settings, read_settings


def test_nothing_set_runs_on_one_machine() -> None:
    settings = read_settings({"HOME": "/root", "PATH": "/bin"})
    assert settings == Settings()
    assert settings.data_dir.is_absolute()
    assert settings.database == f"sqlite+aiosqlite:///{settings.data_dir / 'parlour.db'}"
    assert (settings.run_dir.name, settings.files_dir.name) == ("run", "files")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("data_dir", "/srv/parlour", Path("/srv/parlour")),
        ("port", "0", 0),
        ("port", "65535", 65535),
        ("worker", "0", False),
        ("worker", "TRUE", True),
        ("worker", "", False),
        ("trusted_proxies", " 10.0.0.0/8 , ,::1", ("10.0.0.0/8", "::1")),
        ("trusted_proxies", "", ()),
        ("database_url", "postgresql+asyncpg://db/parlour", "postgresql+asyncpg://db/parlour"),
        ("max_upload_bytes", "1", 1),
    ],
)
def test_a_setting_is_read(name: str, text: str, value: object) -> None:
    assert getattr(read_settings({f"PARLOUR_{name.upper()}": text}), name) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("PARLOUR_PORT", "65536"),
        ("PARLOUR_PORT", "-1"),
        ("PARLOUR_PORT", "http"),
        ("PARLOUR_PORT", ""),
        ("PARLOUR_PORT", "9" * 5000),
        ("PARLOUR_WORKER", "perhaps"),
        ("PARLOUR_MAX_UPLOAD_BYTES", "0"),
        ("PARLOUR_TOKEN_LIFE_S", "1"),
        ("PARLOUR_PROT", "8000"),
        ("PARLOUR_", "1"),
        ("PARLOUR_port", "8000"),
    ],
)
def test_a_wrong_setting_names_itself(name: str, text: str) -> None:
    with pytest.raises(SettingError, match=name):
        read_settings({name: text})


@given(st.sampled_from([entry.name for entry in fields(Settings)]), st.text())
def test_nothing_but_settings_or_a_setting_error(name: str, text: str) -> None:
    setting = f"PARLOUR_{name.upper()}"
    assert outcome({setting: text}) in {"", setting}


def outcome(environ: dict[str, str]) -> str:
    """Nothing, or the first word of the error."""
    try:
        return "" if isinstance(read_settings(environ), Settings) else "no settings"
    except SettingError as problem:
        return re.split(r"[^A-Z_]", str(problem))[0]


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, "http://127.0.0.1:8000"),
        ({"PARLOUR_HOST": "0.0.0.0", "PARLOUR_PORT": "9000"}, "http://127.0.0.1:9000"),
        ({"PARLOUR_PUBLIC_URL": "https://chat.example/"}, "https://chat.example"),
    ],
)
def test_the_address_visitors_use(environ: dict[str, str], url: str) -> None:
    assert read_settings(environ).url == url


def test_every_setting_is_described() -> None:
    table = describe_settings()
    for entry in fields(Settings):
        assert f"`PARLOUR_{entry.name.upper()}`" in table
        assert entry.metadata["help"].endswith(".")
    assert str(Path.cwd()) not in table
