"""Providers, models, prices and quirks as data, and which of them the environment opens.

Prices are integers in nano-USD per million tokens: $0.0375 a million is 37_500_000, and no per-token figure is
ever rounded.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final

from server.llm.dialects import DIALECTS
from server.llm.messages import Usage

log = logging.getLogger(__name__)

AGREED: Final = "genai-prices 0.2.3 and LiteLLM map agree"
USD: Final = 1_000_000_000
"""One dollar in nano-USD."""


@dataclass(frozen=True, slots=True)
class Price:
    """A price card: nano-USD per million tokens, with where it was read and when."""

    input: int
    cache_read: int
    cache_write: int
    output: int
    source: str
    date: str

    def cost(self, usage: Usage) -> int:
        """What `usage` costs in nano-USD, rounded once, half up."""
        total = (
            usage.input * self.input
            + usage.cache_read * self.cache_read
            + usage.cache_write * self.cache_write
            + usage.output * self.output
        )
        return (total + 500_000) // 1_000_000

    @property
    def worst_input(self) -> int:
        """The dearest way an input token can be billed, nano-USD per million."""
        return max(self.input, self.cache_write)

    @property
    def is_free(self) -> bool:
        """Whether nothing at all is charged."""
        return not (self.input or self.cache_read or self.cache_write or self.output)


@dataclass(frozen=True, slots=True)
class Model:
    """A model as the router and the dialects need to know it; `context` and `max_output` are tokens."""

    name: str
    context: int
    max_output: int
    price: Price
    tools: bool = True
    thinking_tokens: int = 0
    fixed_temperature: bool = False

    @property
    def reasoning(self) -> bool:
        """Whether it thinks before it speaks, unseen but billed; `thinking_tokens` is what we allow for that."""
        return self.thinking_tokens > 0


@dataclass(frozen=True, slots=True)
class Provider:
    """One row of the provider table; the env names say which variables open it."""

    name: str
    dialect: str
    base_url: str
    models: tuple[Model, ...]
    key_env: str | None = None
    base_url_env: str | None = None
    model_env: str | None = None
    needs_key: bool = True
    max_tokens_field: str = "max_tokens"
    stream_usage: bool = True
    loopback: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """A model at a provider, ready to be called; the key never shows in a repr."""

    provider: Provider
    model: Model
    base_url: str
    key: str | None = field(default=None, repr=False)

    @property
    def is_elsewhere(self) -> bool:
        """Whether a compatible server stands in for the provider's own: then the dialect's plain form is spoken."""
        return self.base_url != self.provider.base_url

    @property
    def name(self) -> str:
        """provider/model, as chains, logs and metrics name it."""
        return f"{self.provider.name}/{self.model.name}"

    def with_model(self, name: str) -> Target:
        """The same door, another model; an unlisted one takes the provider's dearest price: money errs upward."""
        model = model_named(self.provider, name)
        return replace(self, model=replace(model, price=self.model.price) if self.model.price.is_free else model)


def _nano(dollars: str) -> int:
    """Nano-USD from dollars per million tokens as vendors print them; exact, so no float."""
    return int(Decimal(dollars) * USD)


def _price(card: str, source: str = AGREED) -> Price:
    """A price card from `input / cache read / cache write / output` in dollars per million tokens."""
    values = [_nano(value) for value in card.split("/")]
    return Price(values[0], values[1], values[2], values[3], source, "2026-11-01")


FREE: Final = Price(0, 0, 0, 0, "own hardware", "2026-11-01")

PROVIDERS: Final[tuple[Provider, ...]] = (
    Provider(
        name="openai",
        dialect="openai",
        base_url="https://api.openai.com/v1",
        key_env="OPENAI_API_KEY",
        base_url_env="OPENAI_BASE_URL",
        model_env="OPENAI_MODEL",
        max_tokens_field="max_completion_tokens",
        models=(
            Model(
                "gpt-5.6-luna",
                400_000,
                128_000,
                _price("0.20 / 0.02 / 0.25 / 1.20"),
                thinking_tokens=2_048,
                fixed_temperature=True,
            ),
            Model(
                "gpt-5.6-terra",
                400_000,
                128_000,
                _price("2 / 0.2 / 2.5 / 12"),
                thinking_tokens=2_048,
                fixed_temperature=True,
            ),
            Model(
                "gpt-5.4-mini",
                400_000,
                128_000,
                _price("0.75 / 0.075 / 0 / 4.5"),
                thinking_tokens=2_048,
                fixed_temperature=True,
            ),
        ),
    ),
    Provider(
        name="anthropic",
        dialect="anthropic",
        base_url="https://api.anthropic.com",
        key_env="ANTHROPIC_API_KEY",
        base_url_env="ANTHROPIC_BASE_URL",
        model_env="ANTHROPIC_MODEL",
        models=(
            Model("claude-haiku-5-5", 200_000, 64_000, _price("0.10 / 0.01 / 0.125 / 0.50")),
            Model("claude-sonnet-5-5", 200_000, 64_000, _price("2 / 0.10 / 2.5 / 10")),
            Model("claude-opus-5-5", 200_000, 64_000, _price("4 / 0.2 / 5 / 20")),
        ),
    ),
    Provider(
        name="gemini",
        dialect="gemini",
        base_url="https://generativelanguage.googleapis.com",
        key_env="GEMINI_API_KEY",
        base_url_env="GEMINI_BASE_URL",
        model_env="GEMINI_MODEL",
        models=(
            Model("gemini-3.5-flash-lite", 1_000_000, 65_536, _price("0.30 / 0.03 / 0 / 2.50")),
            Model("gemini-3.8-flash", 1_000_000, 65_536, _price("0.75 / 0.075 / 0 / 3.75")),
        ),
    ),
    Provider(
        name="groq",
        dialect="openai",
        base_url="https://api.groq.com/openai/v1",
        key_env="GROQ_API_KEY",
        base_url_env="GROQ_BASE_URL",
        model_env="GROQ_MODEL",
        max_tokens_field="max_completion_tokens",
        models=(
            Model("openai/gpt-oss-120b", 131_072, 65_536, _price("0.15 / 0.075 / 0 / 0.60"), thinking_tokens=2_048),
            Model("llama-3.1-8b-instant", 131_072, 131_072, _price("0.05 / 0.05 / 0 / 0.08")),
        ),
    ),
    Provider(
        name="deepseek",
        dialect="openai",
        base_url="https://api.deepseek.com/v1",
        key_env="DEEPSEEK_API_KEY",
        base_url_env="DEEPSEEK_BASE_URL",
        model_env="DEEPSEEK_MODEL",
        models=(
            # The two price sources disagree on the output (0.42 and 1.10): the dearer one, so that money errs upward.
            Model("deepseek-chat", 128_000, 8_192, _price("0.28 / 0.028 / 0 / 1.10", "LiteLLM map")),
        ),
    ),
    Provider(
        name="mistral",
        dialect="openai",
        base_url="https://api.mistral.ai/v1",
        key_env="MISTRAL_API_KEY",
        base_url_env="MISTRAL_BASE_URL",
        model_env="MISTRAL_MODEL",
        stream_usage=False,  # sends usage with the last chunk unasked, and refuses unknown fields
        models=(
            # The two price sources disagree (2/6 and 0.5/1.5): the dearer one.
            Model("mistral-large-latest", 128_000, 32_768, _price("2 / 2 / 0 / 6", "genai-prices 0.2.3")),
        ),
    ),
    Provider(
        name="openrouter",
        dialect="openai",
        base_url="https://openrouter.ai/api/v1",
        key_env="OPENROUTER_API_KEY",
        base_url_env="OPENROUTER_BASE_URL",
        model_env="OPENROUTER_MODEL",
        models=(
            Model("openai/gpt-5.4-mini", 400_000, 128_000, _price("0.75 / 0.075 / 0 / 4.5"), thinking_tokens=2_048),
        ),
    ),
    Provider(
        name="ollama",
        dialect="openai",
        base_url="http://127.0.0.1:11434/v1",
        base_url_env="OLLAMA_BASE_URL",
        model_env="OLLAMA_MODEL",
        needs_key=False,
        loopback=True,
        models=(Model("llama3.2", 8_192, 4_096, FREE),),
    ),
    Provider(
        name="local",
        dialect="openai",
        base_url="",
        base_url_env="PARLOUR_LOCAL_BASE_URL",
        needs_key=False,
        loopback=True,
        models=(Model("local", 4_096, 2_048, FREE, tools=False),),
    ),
    Provider(
        name="rules",
        dialect="rules",
        base_url="",
        needs_key=False,
        models=(Model("rules", 1_000_000, 4_096, FREE),),
    ),
)


def model_named(provider: Provider, name: str) -> Model:
    """The provider's row for `name`, or one made from its most capable and dearest row."""
    for model in provider.models:
        if model.name == name:
            return model
    dearest = max(provider.models, key=lambda model: model.price.output)
    return replace(dearest, name=name)


def open_targets(environ: Mapping[str, str], *, local_base_url: str | None = None) -> tuple[Target, ...]:
    """The targets this environment opens, in the order they are tried; rules is always last.

    A provider opens by its key, or by its base URL alone (then the key is optional and the price is zero: own
    hardware). `PARLOUR_MODEL` as provider/model puts that provider first; as a bare model name it overrides the first
    target's model.
    """
    targets = [target for row in PROVIDERS if (target := _open(row, environ, local_base_url)) is not None]
    return _preferred(targets, environ.get("PARLOUR_MODEL", "").strip())


def _open(row: Provider, environ: Mapping[str, str], local_base_url: str | None) -> Target | None:
    key = (environ.get(row.key_env, "").strip() or None) if row.key_env else None
    base_url = environ.get(row.base_url_env, "").strip() if row.base_url_env else ""
    if row.name == "local":
        base_url = base_url or (local_base_url or "")
    if row.dialect != "rules" and not (key or base_url):
        return None
    if row.dialect not in DIALECTS:
        log.warning("provider %s is left out: the dialect %s is not spoken yet", row.name, row.dialect)
        return None
    model = model_named(row, environ.get(row.model_env or "", "").strip() or row.models[0].name)
    if row.needs_key and not key:
        model = replace(model, price=FREE)
    return Target(row, model, (base_url or row.base_url).rstrip("/"), key)


def _preferred(targets: list[Target], wanted: str) -> tuple[Target, ...]:
    if not wanted or not targets:
        return tuple(targets)
    head, _, rest = wanted.partition("/")
    for at, target in enumerate(targets):
        if rest and target.provider.name == head:
            return (target.with_model(rest), *targets[:at], *targets[at + 1 :])
    if targets[0].provider.dialect == "rules":
        return tuple(targets)
    return (targets[0].with_model(wanted), *targets[1:])
