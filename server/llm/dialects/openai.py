"""The openai dialect: chat completions as OpenAI, Groq, DeepSeek, Mistral, OpenRouter, Ollama and llama.cpp speak."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from server.llm.failures import Failure, UpstreamFailed, error_object, sort_stream_error
from server.llm.messages import (
    CompletionRequest,
    Delta,
    Finish,
    FinishReason,
    Message,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    Tool,
    ToolCallPart,
    Usage,
)
from server.llm.sse import EventParser, Garbled
from server.llm.transport import Call, Transport

if TYPE_CHECKING:
    from server.llm.catalog import Target

FINISH_REASONS: Final[Mapping[str, FinishReason]] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "policy",
    "model_context_window_exceeded": "context",
}
FAILING_REASONS: Final = frozenset({"error", "insufficient_system_resource"})
TAIL_S: Final = 2.0
"""How long to wait for usage and [DONE] after the finish reason: some servers keep the connection open."""

_loads = json.JSONDecoder().decode


async def stream(
    request: CompletionRequest, target: Target, transport: Transport
) -> AsyncGenerator[Sequence[Delta], None]:
    """One attempt over POST {base}/chat/completions."""
    reader = Reader()
    async with transport.post(build_call(request, target)) as chunks:
        while not reader.done:
            try:
                if reader.finish is None:
                    chunk = await anext(chunks)
                else:
                    async with asyncio.timeout(TAIL_S):
                        chunk = await anext(chunks)
            except StopAsyncIteration:
                break
            except (UpstreamFailed, TimeoutError):
                if reader.finish is None:
                    raise
                break
            deltas = reader.feed(chunk)
            if deltas:
                yield deltas
    yield reader.close()


# The request ----------------------------------------------------------------------------------------------------------
def build_call(request: CompletionRequest, target: Target) -> Call:
    """The HTTP call for `request`; identity encoding, since the body is read as it comes."""
    headers = {"content-type": "application/json", "accept": "text/event-stream", "accept-encoding": "identity"}
    if target.key:
        headers["authorization"] = f"Bearer {target.key}"
    body = json.dumps(build_body(request, target), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    idle_s = 60.0 if target.model.reasoning else 15.0
    return Call(f"{target.base_url}/chat/completions", headers, body, target.provider.loopback, idle_s)


def build_body(request: CompletionRequest, target: Target) -> dict[str, Any]:
    """The JSON body; servers that stand in for the provider get the older, plainer field names."""
    model, row = target.model, target.provider
    body: dict[str, Any] = {"model": model.name, "messages": _messages(request), "stream": True}
    field = "max_tokens" if target.is_elsewhere else row.max_tokens_field
    body[field] = min(request.max_tokens + model.thinking_tokens, model.max_output)
    if row.stream_usage:
        body["stream_options"] = {"include_usage": True}
    if request.temperature is not None and (target.is_elsewhere or not model.fixed_temperature):
        body["temperature"] = request.temperature
    if request.tools and model.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
    return body


def _messages(request: CompletionRequest) -> list[dict[str, Any]]:
    system = "\n\n".join(segment.text for segment in request.system if segment.text)
    head = [{"role": "system", "content": system}] if system else []
    return head + [_message(message) for message in request.messages]


def _message(message: Message) -> dict[str, Any]:
    said: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_call_id is not None:
        said["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        said["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    return said


def _tool(tool: Tool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": function}


# The answer -----------------------------------------------------------------------------------------------------------
class Reader:
    """Bytes in, deltas out: no I/O. `finish` is set by the finish reason, `done` by [DONE] or a failure.

    A failure waits until `close`, so that the deltas before it are the same however the bytes were cut.
    """

    __slots__ = ("_calls", "_failure", "_high", "_out", "_parser", "_refused", "_usage", "done", "finish")

    def __init__(self) -> None:
        self._parser = EventParser()
        self._out: list[Delta] = []
        self._usage: Usage | None = None
        self._calls: dict[int, str] = {}
        self._high = ""
        self._refused = False
        self._failure: UpstreamFailed | None = None
        self.finish: FinishReason | None = None
        self.done = False

    def feed(self, chunk: bytes) -> list[Delta]:
        """The deltas that `chunk` completes."""
        self._out = []
        try:
            for data in self._parser.feed(chunk):
                self._event(data)
        except Garbled as error:
            self._fail(UpstreamFailed(Failure("garbled", None, str(error))))
        except UpstreamFailed as error:
            self._fail(error)
        return self._out

    def close(self) -> list[Delta]:
        """The last deltas: usage if reported, and the finish; raises `UpstreamFailed` if the stream is not whole."""
        self._out = []
        if not self.done:
            for data in self._parser.close():
                self._event(data)
        if self._failure is not None:
            raise self._failure
        if self.finish is None:
            raise UpstreamFailed(self._unfinished())
        if self._high:
            self._out.append(TextDelta("\ufffd"))
        if self._usage is not None:
            self._out.append(self._usage)
        self._out.append(Finish(self.finish))
        return self._out

    def _fail(self, failure: UpstreamFailed) -> None:
        self._failure, self.done = failure, True

    def _unfinished(self) -> Failure:
        raw = self._parser.raw
        if not raw:
            return Failure("cut", None, "the stream ended without a finish reason")
        error = error_object(raw)
        if error:
            return sort_stream_error(error)
        return Failure("garbled", None, "not an event stream: " + raw[:120].decode("utf-8", "replace"))

    def _event(self, data: bytes) -> None:
        if data == b"[DONE]":
            self.done = True
            return
        try:
            chunk = _loads(data.decode())
            choices = chunk.get("choices")
        except (ValueError, AttributeError, RecursionError) as error:
            raise UpstreamFailed(Failure("garbled", None, f"a chunk is not a JSON object: {data[:80]!r}")) from error
        if chunk.get("error"):
            raise UpstreamFailed(sort_stream_error(error_object(data)))
        if choices:
            try:
                self._choice(choices[0])
            except (TypeError, AttributeError, KeyError) as error:
                raise UpstreamFailed(Failure("garbled", None, f"a chunk has a wrong shape: {data[:80]!r}")) from error
        usage = chunk.get("usage") or (chunk.get("x_groq") or {}).get("usage")
        if usage:
            self._usage = read_usage(usage)

    def _choice(self, choice: Mapping[str, Any]) -> None:
        if choice.get("index"):
            return  # we ask for one answer
        delta = choice.get("delta") or choice.get("message") or {}
        content = delta.get("content")
        if content:
            self._text(content)
        if len(delta) > 1 or not content:
            self._rarer(delta)
        reason = choice.get("finish_reason")
        if reason:
            self._finished(reason)

    def _rarer(self, delta: Mapping[str, Any]) -> None:
        reasoning = delta.get("reasoning_content") or delta.get("reasoning")
        if isinstance(reasoning, str) and reasoning:
            self._out.append(ReasoningDelta(_sound(reasoning)))
        refusal = delta.get("refusal")
        if refusal:
            self._refused = True
            self._out.append(RefusalDelta(_sound(refusal)))
        for part in delta.get("tool_calls") or ():
            self._tool_part(part)

    def _text(self, content: Any) -> None:
        if not isinstance(content, str):
            self._parts(content)
        elif content.isascii() and not self._high:
            self._out.append(TextDelta(content))
        else:
            self._wide_text(content)

    def _wide_text(self, content: str) -> None:
        """Joins a character that a server split into two escapes, and replaces halves that stay alone."""
        content, self._high = self._high + content, ""
        if "\ud800" <= content[-1] <= "\udbff":
            content, self._high = content[:-1], content[-1]
        if content:
            self._out.append(TextDelta(_sound(content)))

    def _parts(self, parts: Sequence[Mapping[str, Any]]) -> None:
        """Content as a list of typed parts, as Mistral's thinking models send it."""
        for part in parts:
            if part.get("type") == "text" and part.get("text"):
                self._wide_text(part["text"])
            elif part.get("type") == "thinking":
                self._out.append(ReasoningDelta(""))

    def _tool_part(self, part: Mapping[str, Any]) -> None:
        function = part.get("function") or {}
        arguments = function.get("arguments")
        if isinstance(arguments, dict):
            arguments = json.dumps(arguments)
        given_id, index = part.get("id"), part.get("index")
        if not isinstance(index, int):
            index = self._index_of(given_id)
        if index in self._calls:
            self._out.append(ToolCallPart(index, None, None, arguments or ""))
            return
        self._calls[index] = given_id or f"call_{index}"
        self._out.append(ToolCallPart(index, self._calls[index], function.get("name"), arguments or ""))

    def _index_of(self, given_id: str | None) -> int:
        """Some servers leave the index out: then the id tells, and a part without either belongs to the last call."""
        for index, known in self._calls.items():
            if known == given_id:
                return index
        if given_id is None:
            return max(self._calls, default=0)
        return max(self._calls, default=-1) + 1

    def _finished(self, reason: str) -> None:
        if reason in FAILING_REASONS:
            raise UpstreamFailed(Failure("model_cool", None, f"the provider ended with {reason}"))
        finish = FINISH_REASONS.get(reason, "stop")
        if finish == "stop" and self._refused:
            finish = "refusal"
        elif finish == "stop" and self._calls:
            finish = "tool_calls"
        self.finish = finish


def read_usage(usage: Mapping[str, Any]) -> Usage:
    """The one usage record: prompt tokens minus what was read from and written to the cache; output as billed."""
    details = usage.get("prompt_tokens_details") or {}
    read = _count(details.get("cached_tokens")) or _count(usage.get("prompt_cache_hit_tokens"))
    written = _count(details.get("cache_write_tokens"))
    prompt = _count(usage.get("prompt_tokens"))
    thinking = usage.get("completion_tokens_details") or {}
    return Usage(
        input=max(0, prompt - read - written),
        cache_read=read,
        cache_write=written,
        output=_count(usage.get("completion_tokens")),
        reasoning=_count(thinking.get("reasoning_tokens")),
    )


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _sound(text: str) -> str:
    """`text` as valid Unicode: surrogate pairs joined, lone halves replaced."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
