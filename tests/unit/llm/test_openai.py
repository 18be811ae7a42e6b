from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.llm.catalog import open_targets
from server.llm.dialects.openai import Reader, build_body, build_call, read_usage
from server.llm.failures import UpstreamFailed
from server.llm.messages import (
    CompletionRequest,
    Delta,
    Finish,
    Grounding,
    Message,
    ReasoningDelta,
    RefusalDelta,
    Segment,
    TextDelta,
    Tool,
    ToolCall,
    ToolCallPart,
    Usage,
)

GROUNDING = Grounding("q", "question", "Parlour", "", "en")
REQUEST = CompletionRequest(
    (Segment("You are kind.", "tenant"), Segment("Passages.", "turn")), (Message("user", "Hi"),), GROUNDING, 300, 0.3
)


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **extra: Any) -> dict[str, Any]:
    return {"id": "c", "choices": [{"index": 0, "delta": delta or {}, "finish_reason": finish}], **extra}


def wire(*frames: Any, done: bool = True, end: str = "\n") -> bytes:
    texts = [frame if isinstance(frame, str) else json.dumps(frame) for frame in frames] + ["[DONE]"] * done
    return "".join(f"data: {text}{end}{end}" for text in texts).encode("utf-8", "surrogatepass")


def read(stream: bytes, size: int = 0) -> list[Delta]:
    reader, found = Reader(), []
    size = size or len(stream) or 1
    for at in range(0, len(stream), size):
        found.extend(reader.feed(stream[at : at + size]))
    return [*found, *reader.close()]


def text(deltas: Sequence[Delta]) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))


def kind_of(stream: bytes) -> str:
    with pytest.raises(UpstreamFailed) as caught:
        read(stream)
    return caught.value.failure.kind


USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 20,
    "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
    "completion_tokens_details": {"reasoning_tokens": 5},
}


def test_the_golden_stream() -> None:
    stream = wire(
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "Hi"}),
        chunk({"content": " there"}),
        chunk({}, "stop"),
        {"choices": [], "usage": USAGE},
    )
    assert read(stream) == [TextDelta("Hi"), TextDelta(" there"), Usage(30, 60, 10, 20, 5), Finish("stop")]


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (USAGE, Usage(30, 60, 10, 20, 5)),
        ({"prompt_tokens": 9, "completion_tokens": 3}, Usage(9, 0, 0, 3, 0)),
        (
            {"prompt_tokens": 9, "completion_tokens": 3, "prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 5},
            Usage(5, 4, 0, 3, 0),
        ),
        ({"prompt_tokens": 9, "prompt_tokens_details": None, "completion_tokens_details": None}, Usage(9, 0, 0, 0, 0)),
        ({"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 9}}, Usage(0, 9, 0, 0, 0)),
        ({"prompt_tokens": "9", "completion_tokens": -3}, Usage()),
    ],
)
def test_usage_is_one_record(usage: dict[str, Any], expected: Usage) -> None:
    assert read_usage(usage) == expected


def test_usage_on_every_chunk_keeps_the_last() -> None:
    frames = [chunk({"content": "x"}, usage={"prompt_tokens": 3, "completion_tokens": n}) for n in (1, 2, 3)]
    assert Usage(3, 0, 0, 3, 0) in read(wire(*frames, chunk({}, "stop")))


def test_groq_usage() -> None:
    stream = wire(
        chunk({"content": "x"}), chunk({}, "stop", x_groq={"usage": {"prompt_tokens": 3, "completion_tokens": 1}})
    )
    assert read(stream)[-2:] == [Usage(3, 0, 0, 1, 0), Finish("stop")]


def test_azure_first_chunk_without_choices() -> None:
    assert (
        text(read(wire({"choices": [], "prompt_filter_results": []}, chunk({"content": "x"}), chunk({}, "stop"))))
        == "x"
    )


def test_done_may_be_missing_but_the_finish_reason_may_not() -> None:
    assert read(wire(chunk({"content": "x"}), chunk({}, "stop"), done=False))[-1] == Finish("stop")
    assert kind_of(wire(chunk({"content": "x"}))) == "cut"
    assert kind_of(wire(chunk({"content": "x"}), done=False)) == "cut"
    assert kind_of(b"") == "cut"


def test_a_last_event_without_its_blank_line_counts() -> None:
    assert read(wire(chunk({"content": "x"}), chunk({}, "stop"), done=False).rstrip())[-1] == Finish("stop")


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("tool_calls", "tool_calls"),
        ("content_filter", "policy"),
        ("eos", "stop"),
    ],
)
def test_finish_reasons(reason: str, finish: str) -> None:
    assert read(wire(chunk({"content": "x"}), chunk({}, reason)))[-1].reason == finish  # type: ignore[union-attr]


@pytest.mark.parametrize("reason", ["error", "insufficient_system_resource"])
def test_failing_finish_reasons(reason: str) -> None:
    assert kind_of(wire(chunk({"content": "x"}), chunk({}, reason))) == "model_cool"


def test_refusal() -> None:
    deltas = read(wire(chunk({"refusal": "I will not."}), chunk({}, "stop")))
    assert deltas == [RefusalDelta("I will not."), Finish("refusal")]


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning(field: str) -> None:
    deltas = read(wire(chunk({field: "hm", "content": None}), chunk({"content": "x"}), chunk({}, "stop")))
    assert deltas[:2] == [ReasoningDelta("hm"), TextDelta("x")]


def part(arguments: Any, **more: Any) -> dict[str, Any]:
    name = more.pop("name", None)
    return {**more, "function": {"arguments": arguments, **({"name": name} if name else {})}}


def test_tool_calls_join_by_index() -> None:
    stream = wire(
        chunk({"tool_calls": [part("", index=0, id="a", name="f")]}),
        chunk({"tool_calls": [part('{"ci', index=0)]}),
        chunk({"tool_calls": [part("{}", index=1, id="b", name="g"), part('ty":1}', index=0)]}),
        chunk({}, "tool_calls"),
    )
    assert read(stream) == [
        ToolCallPart(0, "a", "f", ""),
        ToolCallPart(0, None, None, '{"ci'),
        ToolCallPart(1, "b", "g", "{}"),
        ToolCallPart(0, None, None, 'ty":1}'),
        Finish("tool_calls"),
    ]


def test_tool_calls_without_index_go_by_id_and_repeat_nothing() -> None:
    stream = wire(
        chunk({"tool_calls": [part('{"a"', id="a", name="f")]}),
        chunk({"tool_calls": [part(":1}", id="a", name="f")]}),
        chunk({"tool_calls": [part({"b": 2}, id="b", name="g")]}),
        chunk({}, "stop"),
    )
    assert read(stream) == [
        ToolCallPart(0, "a", "f", '{"a"'),
        ToolCallPart(0, None, None, ":1}"),
        ToolCallPart(1, "b", "g", '{"b": 2}'),
        Finish("tool_calls"),
    ]


def test_a_tool_call_without_id_gets_one() -> None:
    assert read(wire(chunk({"tool_calls": [part("{}", name="f")]}), chunk({}, "stop")))[0] == ToolCallPart(
        0, "call_0", "f", "{}"
    )


def test_content_in_parts() -> None:
    parts = [{"type": "thinking", "thinking": []}, {"type": "text", "text": "x"}]
    assert text(read(wire(chunk({"content": parts}), chunk({}, "stop")))) == "x"


@pytest.mark.parametrize(
    ("stream", "kind"),
    [
        (wire(chunk({"content": "x"}), {"error": {"message": "m", "type": "server_error"}}), "model_cool"),
        (wire({"error": {"message": "m", "code": 429}}), "key_cool"),
        (wire({"error": {"message": "m"}}), "cut"),
        (wire(chunk({"content": "x"}), '{"choices":[{"del'), "garbled"),
        (wire("[1]"), "garbled"),
        (wire({"choices": [7]}), "garbled"),
        (wire({"choices": [{"delta": {"content": 7}}]}), "garbled"),
        (b"<!doctype html><html>sign in</html>", "garbled"),
        (b'{"error":{"message":"m","code":"rate_limit_exceeded"}}', "key_cool"),
        (b"data: " + b"x" * 300_000, "garbled"),
        (b"data: \xff\xfe\n\n", "garbled"),
        (wire("[" * 200_000), "garbled"),
    ],
)
def test_failures_inside_a_200(stream: bytes, kind: str) -> None:
    assert kind_of(stream) == kind


def test_characters_split_into_two_escapes_are_joined() -> None:
    stream = wire(
        r'{"choices":[{"delta":{"content":"a\ud83d"}}]}',
        r'{"choices":[{"delta":{"content":"\ude00b"}}]}',
        chunk({}, "stop"),
    )
    assert text(read(stream)) == "a😀b"
    lone = wire(r'{"choices":[{"delta":{"content":"a\ud83d"}}]}', chunk({}, "stop"))
    assert text(read(lone)) == "a\ufffd"
    low = wire(r'{"choices":[{"delta":{"content":"\ude00b"}}]}', chunk({}, "stop"))
    assert text(read(low)) == "\ufffdb"


@given(st.lists(st.text(min_size=1, max_size=8), max_size=6), st.integers(1, 60), st.sampled_from(["\n", "\r\n", "\r"]))
def test_any_cut_of_the_bytes_gives_the_same_answer(words: list[str], size: int, end: str) -> None:
    stream = wire(*(chunk({"content": word}) for word in words), chunk({}, "stop"), end=end)
    deltas = read(stream, size)
    assert text(deltas) == "".join(words)
    assert deltas[-1] == Finish("stop")


# The request ----------------------------------------------------------------------------------------------------------
def test_the_body_for_openai() -> None:
    target = open_targets({"OPENAI_API_KEY": "sk-x"})[0]
    body = build_body(REQUEST, target)
    assert body["messages"] == [
        {"role": "system", "content": "You are kind.\n\nPassages."},
        {"role": "user", "content": "Hi"},
    ]
    assert body["max_completion_tokens"] == 300 + target.model.thinking_tokens
    assert body["stream_options"] == {"include_usage": True}
    assert "temperature" not in body
    assert "max_tokens" not in body


def test_the_body_for_a_compatible_server() -> None:
    body = build_body(
        REQUEST, open_targets({"OPENAI_BASE_URL": "http://127.0.0.1:11434/v1", "OPENAI_MODEL": "llama3.2"})[0]
    )
    assert "max_completion_tokens" not in body
    assert body["max_tokens"] >= 300
    assert body["temperature"] == 0.3


def test_the_call_carries_the_key_unseen() -> None:
    call = build_call(REQUEST, open_targets({"OPENAI_API_KEY": "sk-x"})[0])
    assert call.url == "https://api.openai.com/v1/chat/completions"
    assert call.headers["authorization"] == "Bearer sk-x"
    assert "sk-x" not in repr(call)


def test_lone_surrogates_in_a_prompt_do_not_break_the_call() -> None:
    request = CompletionRequest((), (Message("user", "a\ud800b"),), GROUNDING, 10)
    json.loads(build_call(request, open_targets({"OPENAI_API_KEY": "k"})[0]).body)


def test_tools_go_both_ways() -> None:
    request = CompletionRequest(
        (),
        (
            Message("assistant", "", tool_calls=(ToolCall("a", "f", "{}"),)),
            Message("tool", "42", tool_call_id="a"),
        ),
        GROUNDING,
        10,
        tools=(Tool("f", "does f", {"type": "object"}),),
    )
    body = build_body(request, open_targets({"OPENAI_API_KEY": "k"})[0])
    assert body["tools"][0]["function"] == {"name": "f", "description": "does f", "parameters": {"type": "object"}}
    assert body["messages"][0]["tool_calls"][0]["function"] == {"name": "f", "arguments": "{}"}
    assert body["messages"][1]["tool_call_id"] == "a"
