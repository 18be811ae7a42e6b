"""In which order the targets are tried for one request, and why some are not. A pure function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from server.llm.catalog import Target
from server.llm.health import Fitness
from server.llm.messages import CompletionRequest

BYTES_PER_TEN_TOKENS: Final = 33


@dataclass(frozen=True, slots=True)
class Skipped:
    """A target left out, with the reason an operator reads."""

    target: Target
    reason: str


@dataclass(frozen=True, slots=True)
class Route:
    """The candidates in order, and what was left out."""

    candidates: tuple[Target, ...]
    skipped: tuple[Skipped, ...] = ()


def order(
    targets: Sequence[Target],
    chain: Sequence[str],
    request: CompletionRequest,
    fitness: Callable[[Target], Fitness],
) -> Route:
    """The bot's chain first, then every other target, rules last; those that cannot answer `request` are left out."""
    candidates: list[Target] = []
    skipped: list[Skipped] = []
    for target in preferred(targets, chain):
        reason = _unfit(target, request, fitness(target))
        if reason:
            skipped.append(Skipped(target, reason))
        else:
            candidates.append(target)
    return Route(tuple(candidates), tuple(skipped))


def preferred(targets: Sequence[Target], chain: Sequence[str]) -> tuple[Target, ...]:
    """`targets` in the order of `chain`, whose names are provider or provider/model; unknown names are passed over."""
    chosen: dict[str, Target] = {}
    for name in chain:
        target = _named(targets, name)
        if target is not None:
            chosen.setdefault(target.name, target)
    for target in targets:
        chosen.setdefault(target.name, target)
    # The sort is stable: it only moves rules to the end.
    return tuple(sorted(chosen.values(), key=lambda target: target.provider.dialect == "rules"))


def input_tokens(request: CompletionRequest) -> int:
    """An estimate of the prompt's tokens: bytes / 3.3, and four a message for its frame."""
    texts = [segment.text for segment in request.system] + [message.content for message in request.messages]
    size = sum(len(text.encode("utf-8", "replace")) for text in texts)
    size += sum(len(call.arguments) + len(call.name) for message in request.messages for call in message.tool_calls)
    size += sum(len(tool.description) + len(str(tool.parameters)) for tool in request.tools)
    return tokens_of(size) + 4 * len(texts) + 3


def tokens_of(size: int) -> int:
    """The tokens that `size` bytes of text may be, 3.3 bytes each, rounded up; whole numbers: it ends as money."""
    return -(-size * 10 // BYTES_PER_TEN_TOKENS)


def _named(targets: Sequence[Target], name: str) -> Target | None:
    provider, _, model = name.partition("/")
    for target in targets:
        if target.provider.name == provider:
            return target.with_model(model) if model else target
    return None


def _unfit(target: Target, request: CompletionRequest, fitness: Fitness) -> str:
    if not fitness.may_call:
        return fitness.reason or fitness.state
    if target.provider.dialect == "rules":
        return ""
    needed = input_tokens(request) + min(request.max_tokens, target.model.max_output)
    if needed > target.model.context:
        return f"context: about {needed} tokens needed, {target.model.context} there"
    if request.tools and not target.model.tools:
        return "tools: the model has none"
    return ""
