"""What a bot may be told, and that both halves of the product know the same names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from server.bot import ANIMATIONS, LOOKS, BotConfig
from server.protocol import CueState

LOOKS_TS = Path(__file__).parents[2] / "widget" / "src" / "avatar" / "looks.ts"


def test_looks_are_the_widgets_presets() -> None:
    presets = LOOKS_TS.read_text().split("LOOKS", 1)[1].split("\n};", 1)[0]
    assert tuple(re.findall(r"^  (\w+): \{$", presets, re.MULTILINE)) == LOOKS


def test_animations_are_the_first_nine_states() -> None:
    assert len(ANIMATIONS) == 9
    assert get_args(CueState)[:9] == ANIMATIONS


@pytest.mark.parametrize(
    "config",
    [
        {"tenant_id": "ten_2"},
        {"model": {"temperature": float("nan")}},
        {"model": {"api_base": "http://127.0.0.1"}},
        {"limits": {"monthly_budget_nanousd": -1}},
        {"limits": {"messages_per_minute": 10**9}},
        {"name": ""},
        {"name": "n" * 81},
        {"theme": {"accent": "red; background: url(x)"}},
        {"allowed_origins": ["javascript:alert(1)"]},
        {"allowed_origins": ["https://shop.example/path"]},
        {"allowed_origins": ["https://user@shop.example"]},
        {"allowed_origins": ["null"]},
        {"allowed_origins": ["*"]},
        {"languages": ["../../x"]},
        {"languages": []},
        {"avatar": {"look": "nobody"}},
        {"animations": {"positive": "explode"}},
        {"animations": {"rage": "idle"}},
    ],
)
def test_a_wrong_configuration_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        BotConfig.model_validate(config)


def test_origins_are_normalised() -> None:
    config = BotConfig(allowed_origins=("HTTPS://Shop.Example/", "https://*.example.com:8443"))
    assert config.allowed_origins == ("https://shop.example", "https://*.example.com:8443")


def test_a_configuration_comes_back_from_json() -> None:
    config = BotConfig.model_validate(
        {"animations": {"positive": "happy"}, "starters": ["Hi?"], "languages": ["pt-BR"]}
    )
    assert BotConfig.model_validate(config.model_dump(mode="json")) == config
