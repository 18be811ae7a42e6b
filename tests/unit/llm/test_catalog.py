from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.llm.catalog import FREE, PROVIDERS, USD, Price, model_named, open_targets
from server.llm.dialects import DIALECTS
from server.llm.messages import Usage

ROWS = {row.name: row for row in PROVIDERS}


def names(environ: dict[str, str]) -> list[str]:
    return [target.name for target in open_targets(environ)]


def test_an_empty_environment_leaves_rules() -> None:
    assert names({}) == ["rules/rules"]


def test_keys_open_providers_in_table_order_and_rules_stay_last() -> None:
    found = names({"DEEPSEEK_API_KEY": "d", "OPENAI_API_KEY": "o", "GROQ_API_KEY": "g"})
    assert found == ["openai/gpt-5.6-luna", "groq/openai/gpt-oss-120b", "deepseek/deepseek-chat", "rules/rules"]


def test_blank_keys_open_nothing() -> None:
    assert names({"OPENAI_API_KEY": "  "}) == ["rules/rules"]


def test_unspoken_dialects_are_left_out_with_a_word(caplog: pytest.LogCaptureFixture) -> None:
    unspoken = [row for row in PROVIDERS if row.dialect not in DIALECTS]
    for row in unspoken:
        assert names({row.key_env or "": "k"}) == ["rules/rules"]
        assert row.name in caplog.text


def test_a_base_url_needs_no_key_and_costs_nothing() -> None:
    target = open_targets({"OPENAI_BASE_URL": "http://127.0.0.1:11434/v1/", "OPENAI_MODEL": "llama3.2"})[0]
    assert (target.name, target.base_url, target.key) == ("openai/llama3.2", "http://127.0.0.1:11434/v1", None)
    assert target.model.price == FREE
    assert target.with_model("other").model.price == FREE
    assert target.is_elsewhere


def test_a_base_url_with_a_key_keeps_the_price() -> None:
    target = open_targets({"OPENAI_BASE_URL": "https://proxy.example/v1", "OPENAI_API_KEY": "k"})[0]
    assert not target.model.price.is_free


def test_the_local_model_stands_before_rules() -> None:
    targets = open_targets({"OPENAI_API_KEY": "o"}, local_base_url="http://127.0.0.1:9/v1")
    assert [target.name for target in targets] == ["openai/gpt-5.6-luna", "local/local", "rules/rules"]


@pytest.mark.parametrize(
    ("wanted", "first"),
    [
        ("groq/llama-3.1-8b-instant", "groq/llama-3.1-8b-instant"),
        ("gpt-5.6-terra", "openai/gpt-5.6-terra"),
        ("openai/unheard-of", "openai/unheard-of"),
        ("unknown/model", "openai/unknown/model"),
        ("", "openai/gpt-5.6-luna"),
    ],
)
def test_parlour_model(wanted: str, first: str) -> None:
    found = names({"OPENAI_API_KEY": "o", "GROQ_API_KEY": "g", "PARLOUR_MODEL": wanted})
    assert found[0] == first
    assert found[-1] == "rules/rules"
    assert len(found) == 3


def test_parlour_model_without_a_provider_leaves_rules_alone() -> None:
    assert names({"PARLOUR_MODEL": "gpt-5.6-terra"}) == ["rules/rules"]


def test_keys_never_show() -> None:
    assert "sk-secret" not in repr(open_targets({"OPENAI_API_KEY": "sk-secret"}))


def test_every_row_is_sound() -> None:
    assert len(ROWS) == len(PROVIDERS)
    assert PROVIDERS[-1].name == "rules"
    for row in PROVIDERS:
        assert row.models, row.name
        for model in row.models:
            assert 0 < model.max_output <= model.context
            assert model.price.source
            assert model.price.date
            assert model.price.is_free or model.price.output >= model.price.input >= model.price.cache_read


def test_an_unlisted_model_takes_the_dearest_price() -> None:
    assert model_named(ROWS["openai"], "new").price.output == 12 * USD


@pytest.mark.parametrize(
    ("provider", "model", "usage", "nanousd"),
    [
        ("openai", "gpt-5.6-luna", Usage(1_000_000, 0, 0, 0), 200_000_000),
        ("openai", "gpt-5.6-luna", Usage(1000, 500, 100, 200), 200_000 + 10_000 + 25_000 + 240_000),
        ("openai", "gpt-5.4-mini", Usage(1, 1, 0, 1), 5_325),
        ("groq", "openai/gpt-oss-120b", Usage(7, 0, 0, 11), 1_050 + 6_600),
        ("groq", "llama-3.1-8b-instant", Usage(3, 0, 0, 1), 150 + 80),
        ("anthropic", "claude-haiku-5-5", Usage(3, 1, 1, 1), 300 + 10 + 125 + 500),
        ("rules", "rules", Usage(9, 9, 9, 9), 0),
    ],
)
def test_prices_to_the_nano(provider: str, model: str, usage: Usage, nanousd: int) -> None:
    assert model_named(ROWS[provider], model).price.cost(usage) == nanousd


def test_one_rounding_per_row() -> None:
    price = Price(37_500, 0, 0, 0, "test", "2026-11-01")
    assert [price.cost(Usage(n)) for n in (0, 13, 14, 27, 40)] == [0, 0, 1, 1, 2]


@given(st.integers(0, 10**7), st.integers(0, 10**7), st.integers(0, 10**7), st.integers(0, 10**7))
def test_cost_is_within_half_a_nano_of_the_exact_sum(a: int, b: int, c: int, d: int) -> None:
    price = ROWS["openai"].models[0].price
    exact = a * price.input + b * price.cache_read + c * price.cache_write + d * price.output
    assert abs(price.cost(Usage(a, b, c, d)) * 1_000_000 - exact) <= 500_000
