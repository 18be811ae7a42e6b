from __future__ import annotations

from server.llm.catalog import Target, open_targets
from server.llm.health import Fitness
from server.llm.messages import CompletionRequest, Grounding, Message, Tool
from server.llm.router import input_tokens, order, preferred

TARGETS = open_targets({"OPENAI_API_KEY": "o", "GROQ_API_KEY": "g"}, local_base_url="http://127.0.0.1:9/v1")
GROUNDING = Grounding("q", "question", "Parlour", "", "en")


def request(text: str = "hi", tools: tuple[Tool, ...] = ()) -> CompletionRequest:
    return CompletionRequest((), (Message("user", text),), GROUNDING, 500, tools=tools)


def fit(_: Target) -> Fitness:
    return Fitness("closed")


def named(targets: tuple[Target, ...]) -> list[str]:
    return [target.name for target in targets]


def test_without_a_chain_the_order_is_the_environments() -> None:
    assert named(preferred(TARGETS, ())) == [
        "openai/gpt-5.6-luna",
        "groq/openai/gpt-oss-120b",
        "local/local",
        "rules/rules",
    ]


def test_the_chain_comes_first_then_the_rest_then_rules() -> None:
    chain = ("rules", "groq/llama-3.1-8b-instant", "nobody", "openai")
    assert named(preferred(TARGETS, chain)) == [
        "groq/llama-3.1-8b-instant",
        "openai/gpt-5.6-luna",
        "groq/openai/gpt-oss-120b",
        "local/local",
        "rules/rules",
    ]


def test_unfit_targets_are_left_out_with_their_reason() -> None:
    route = order(TARGETS, (), request(), lambda t: Fitness("open", "503") if t.provider.name == "openai" else fit(t))
    assert named(route.candidates)[0] == "groq/openai/gpt-oss-120b"
    assert [(skipped.target.provider.name, skipped.reason) for skipped in route.skipped] == [("openai", "503")]


def test_a_long_prompt_leaves_small_windows_out_but_never_rules() -> None:
    route = order(TARGETS, (), request("word " * 20_000), fit)
    assert "local/local" not in named(route.candidates)
    assert named(route.candidates)[-1] == "rules/rules"
    assert "context" in route.skipped[0].reason


def test_tools_need_a_model_that_has_them() -> None:
    route = order(TARGETS, (), request(tools=(Tool("f", "d", {}),)), fit)
    assert "local/local" not in named(route.candidates)


def test_the_estimate_grows_with_the_text() -> None:
    assert input_tokens(request("x" * 3300)) >= 1000
    assert input_tokens(request("")) < 20
