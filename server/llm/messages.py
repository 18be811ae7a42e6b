"""The one vocabulary of models: what a turn asks, and the deltas that come back.

A stream of deltas reads, for every attempt: one `Attempt`, then text, reasoning, refusal and tool deltas in any order,
at the very end one `Usage` and one `Finish`. Only the last attempt has a `Finish`. A new `Attempt` voids the reasoning
and the tool call parts of the attempt before it; text already given stays, because it was shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]
Stability: TypeAlias = Literal["tenant", "bot", "conversation", "turn"]
FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "refusal", "policy", "context", "budget", "cut"]
UsageSource: TypeAlias = Literal["reported", "counted", "estimated"]
AttemptReason: TypeAlias = Literal["primary", "retry", "failover", "hedge", "continuation", "tool_loop"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call the model asked for; `arguments` is JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Tool:
    """One function the model may call; `parameters` is a JSON schema."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the conversation as the model reads it."""

    role: Role
    content: str
    tool_call_id: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of the system prompt and how long it stays the same, most stable first: prompt caches live on that."""

    text: str
    stability: Stability


@dataclass(frozen=True, slots=True)
class Passage:
    """What retrieval found, numbered as the answer cites it: [n]; `score` is how well it fits by meaning (0 to 1)."""

    n: int
    title: str
    place: str
    text: str
    score: float = 0.0


@dataclass(frozen=True, slots=True)
class Grounding:
    """What the rules dialect answers from: the question, its intent, and the passages."""

    question: str
    intent: str
    bot_name: str
    greeting: str
    language: str
    passages: tuple[Passage, ...] = ()


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """One question to any model; `max_tokens` bounds the answer, `temperature` None leaves the model its own."""

    system: tuple[Segment, ...]
    messages: tuple[Message, ...]
    grounding: Grounding
    max_tokens: int
    temperature: float | None = None
    tools: tuple[Tool, ...] = ()
    turn_id: str = ""


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """A piece of the model's thinking: never shown, but it proves the model works."""

    text: str


@dataclass(frozen=True, slots=True)
class RefusalDelta:
    """A piece of the model's own words for why it will not answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallPart:
    """A piece of one tool call; parts of equal `index` join, id and name come with the first."""

    index: int
    id: str | None
    name: str | None
    arguments_part: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one attempt; input excludes both cache fields, output includes reasoning."""

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0


@dataclass(frozen=True, slots=True)
class Finish:
    """The last delta of a stream; `cut` means the provider broke off and the answer is not whole."""

    reason: FinishReason


@dataclass(frozen=True, slots=True)
class Attempt:
    """A leg starts at this provider and model; `n` counts from 1 within the turn."""

    n: int
    provider: str
    model: str
    target: str


Delta: TypeAlias = TextDelta | ReasoningDelta | RefusalDelta | ToolCallPart | Usage | Finish | Attempt


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One row of the ledger: what one attempt used and cost, in integer nano-USD; `finish` may name a failure kind."""

    turn_id: str
    attempt: int
    reason: AttemptReason
    provider: str
    model: str
    usage: Usage = field(default_factory=Usage)
    usage_source: UsageSource = "reported"
    cost_nanousd: int = 0
    ttft_ms: int | None = None
    total_ms: int = 0
    finish: str = "stop"


class Spending(Protocol):
    """The turn's purse: the gateway holds money before each paid attempt and settles every attempt exactly once.

    `reserve` and `extend` are asked only when the price is not zero; False means refused. `settle` is called for free
    attempts too (nothing was reserved, the ledger still gets its row).
    """

    async def reserve(self, attempt_id: str, amount_nanousd: int, floor_nanousd: int) -> bool: ...

    async def extend(self, attempt_id: str, delta_nanousd: int, floor_nanousd: int) -> bool: ...

    async def settle(self, attempt_id: str, actual_nanousd: int, record: AttemptRecord) -> None: ...
