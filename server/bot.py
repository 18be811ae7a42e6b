"""What a tenant configures about a bot: one versioned, validated value."""

from __future__ import annotations

import re
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator

from server.protocol import ANIMATIONS, Animation

HEX_COLOUR = re.compile(r"^#[0-9a-fA-F]{6}$")
ORIGIN = re.compile(r"^https?://(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*(:[0-9]{1,5})?$")
LANGUAGE = re.compile(r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")
MAX_ORIGINS = 50
# The presets of widget/src/avatar/looks.ts; a unit test compares the two.
Look = Literal["indigo", "fern", "coral", "amber", "slate", "plum"]
LOOKS: tuple[Look, ...] = get_args(Look)

ShortText = Annotated[str, Field(min_length=1, max_length=80)]


class Strict(BaseModel):
    """No unknown field, no NaN, no change after it is made."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ModelSettings(Strict):
    """How the model is asked: None leaves the provider's own default."""

    temperature: float | None = Field(default=None, ge=0, le=2)
    max_output_tokens: int = Field(default=700, ge=16, le=8192)


class Theme(Strict):
    """How the widget looks."""

    accent: str = "#5b5bd6"
    mode: Literal["auto", "light", "dark"] = "auto"
    position: Literal["right", "left"] = "right"

    @field_validator("accent")
    @classmethod
    def _hex(cls, value: str) -> str:
        if not HEX_COLOUR.fullmatch(value):
            raise ValueError("a colour is written #rrggbb")
        return value.lower()


class Avatar(Strict):
    """Which character speaks: a preset of the built-in one for now."""

    kind: Literal["3d", "2d", "none"] = "3d"
    look: Look = "indigo"


class Limits(Strict):
    """How much one visitor and the whole bot may use; money in nano-USD, 0 = nothing, None = no limit of its own."""

    messages_per_minute: int = Field(default=20, ge=1, le=600)
    max_message_chars: int = Field(default=4000, ge=1, le=4000)
    while_answering: Literal["queue", "replace", "reject"] = "queue"
    monthly_budget_nanousd: int | None = Field(default=None, ge=0, le=9_000_000_000_000_000)


class BotConfig(Strict):
    """Everything about a bot that has versions."""

    name: ShortText = "Nova"
    persona: str = Field(default="You are friendly, precise and brief.", max_length=8000)
    greeting: str = Field(default="Hi! How can I help you?", max_length=500)
    starters: tuple[Annotated[str, Field(min_length=1, max_length=120)], ...] = Field(default=(), max_length=6)
    languages: tuple[str, ...] = Field(default=("en",), min_length=1, max_length=30)
    providers: tuple[Annotated[str, Field(min_length=1, max_length=120)], ...] = Field(default=(), max_length=12)
    model: ModelSettings = ModelSettings()
    theme: Theme = Theme()
    avatar: Avatar = Avatar()
    animations: dict[
        Literal["positive", "negative", "neutral", "greeting", "farewell", "explanation", "question"], Animation
    ] = Field(default_factory=dict)
    allowed_origins: tuple[str, ...] = Field(default=(), max_length=MAX_ORIGINS)
    limits: Limits = Limits()

    @field_validator("allowed_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        cleaned = tuple(origin.strip().rstrip("/").lower() for origin in value)
        for origin in cleaned:
            if not ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin!r} is not an origin such as https://shop.example or https://*.example.com")
        return cleaned

    @field_validator("languages")
    @classmethod
    def _languages(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for language in value:
            if not LANGUAGE.fullmatch(language):
                raise ValueError(f"{language!r} is not a language tag such as en or pt-BR")
        return value


__all__ = ["ANIMATIONS", "LOOKS", "Animation", "Avatar", "BotConfig", "Limits", "Look", "ModelSettings", "Theme"]
