from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import pytest

from server.errors import NoProvider
from server.llm.catalog import Target, open_targets
from server.llm.dialects import DIALECTS
from server.llm.gateway import Deadlines, Gateway
from server.llm.messages import (
    Attempt,
    AttemptRecord,
    CompletionRequest,
    Delta,
    Finish,
    Grounding,
    Message,
    TextDelta,
    ToolCallPart,
    Usage,
)
from server.llm.transport import Transport, open_transport
from tests.upstream import Behaviour, Upstream, open_upstream

REQUEST = CompletionRequest(
    (), (Message("user", "hi"),), Grounding("hi", "greeting", "Ada", "Rules say hi.", "en"), 400, turn_id="t"
)
DEADLINES = Deadlines(first_token_s=0.4, first_token_slow_s=0.4, progress_s=0.4, progress_unseen_s=0.4, total_s=20)


class Purse:
    """A purse that keeps what it was told, with a limit in nano-USD."""

    def __init__(self, limit: int = 10**12) -> None:
        self.limit = limit
        self.held: dict[str, int] = {}
        self.records: list[AttemptRecord] = []
        self.spent = 0

    async def reserve(self, attempt_id: str, amount_nanousd: int, floor_nanousd: int) -> bool:
        if self.spent + sum(self.held.values()) + amount_nanousd > self.limit:
            return False
        self.held[attempt_id] = amount_nanousd
        return True

    async def extend(self, attempt_id: str, delta_nanousd: int, floor_nanousd: int) -> bool:
        if self.spent + sum(self.held.values()) + delta_nanousd > self.limit:
            return False
        self.held[attempt_id] += delta_nanousd
        return True

    async def settle(self, attempt_id: str, actual_nanousd: int, record: AttemptRecord) -> None:
        self.held.pop(attempt_id, None)
        self.spent += actual_nanousd
        self.records.append(record)


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    async with open_transport() as opened:
        yield opened


@pytest.fixture
async def first() -> AsyncIterator[Upstream]:
    async with open_upstream(Behaviour(text="the first answers you")) as upstream:
        yield upstream


@pytest.fixture
async def second() -> AsyncIterator[Upstream]:
    async with open_upstream(Behaviour(text="the second answers you")) as upstream:
        yield upstream


def targets(*upstreams: Upstream, paid: bool = False) -> tuple[Target, ...]:
    names = ("OPENAI", "GROQ")
    environ = {f"{name}_BASE_URL": upstream.base_url for name, upstream in zip(names, upstreams, strict=False)}
    if paid:
        environ |= {f"{name}_API_KEY": f"key-{name}" for name, _ in zip(names, upstreams, strict=False)}
    return open_targets(environ)


def gateway(
    transport: Transport, *upstreams: Upstream, paid: bool = False, deadlines: Deadlines = DEADLINES
) -> Gateway:
    return Gateway(targets(*upstreams, paid=paid), transport, deadlines=deadlines)


async def collect(stream: AsyncGenerator[Delta, None]) -> list[Delta]:
    async with aclosing(stream) as deltas:
        return [delta async for delta in deltas]


def text(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))


def providers(deltas: list[Delta]) -> list[str]:
    return [delta.provider for delta in deltas if isinstance(delta, Attempt)]


async def test_a_whole_answer(transport: Transport, first: Upstream) -> None:
    purse = Purse()
    deltas = await collect(gateway(transport, first, paid=True).stream(REQUEST, spending=purse))
    assert deltas[0] == Attempt(1, "openai", "gpt-5.6-luna", "openai/gpt-5.6-luna")
    assert text(deltas) == "the first answers you"
    assert deltas[-2:] == [Usage(10, 0, 0, 8, 0), Finish("stop")]
    (record,) = purse.records
    assert (record.finish, record.usage_source, record.cost_nanousd) == ("stop", "reported", 10 * 200 + 8 * 1200)
    assert purse.spent == record.cost_nanousd
    assert purse.held == {}
    assert first.journal[0].key == "key-OPENAI"
    assert first.journal[0].completed


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(status=500),
        Behaviour(status=503, retry_after="1"),
        Behaviour(status=529),
        Behaviour(status=429, retry_after="30"),
        Behaviour(status=429, error_code="insufficient_quota"),
        Behaviour(status=401, error_code="invalid_api_key"),
        Behaviour(status=404, error_code="model_not_found"),
        Behaviour(status=400),
        Behaviour(html=True),
        Behaviour(html=True, status=502),
        Behaviour(body=b'{"error":{"message":"m"}}'),
        Behaviour(status=302, headers={"location": "http://127.0.0.1:1/"}),
        Behaviour(cut_after=0),
        Behaviour(truncate_after=0),
        Behaviour(malformed_after=0),
        Behaviour(error_after=0),
        Behaviour(long_line_after=0),
        Behaviour(stall_after=0),
        Behaviour(stall_after=0, comments_while_stalled=True),
        Behaviour(delay_status_s=5),
        Behaviour(reasoning="let me think", cut_after=2),
    ],
    ids=lambda behaviour: " ".join(
        f"{n}={getattr(behaviour, n)}" for n in behaviour.__slots__ if getattr(behaviour, n) != getattr(Behaviour(), n)
    )[:60],
)
async def test_failover_before_the_first_word_is_unseen(
    transport: Transport, first: Upstream, second: Upstream, behaviour: Behaviour
) -> None:
    first.script(behaviour)
    purse, started = Purse(), time.monotonic()
    deltas = await collect(gateway(transport, first, second, paid=True).stream(REQUEST, spending=purse))
    assert text(deltas) == "the second answers you"
    assert providers(deltas) == ["openai", "groq"]
    assert deltas[-1] == Finish("stop")
    assert time.monotonic() - started < 2
    assert len(purse.records) == 2
    assert purse.held == {}
    assert [record.attempt for record in purse.records] == [1, 2]
    assert purse.records[1].reason == "failover"


async def test_a_refused_connection_fails_over_fast(transport: Transport, second: Upstream) -> None:
    async with open_upstream() as gone:
        found = targets(gone, second)
    started = time.monotonic()
    deltas = await collect(Gateway(found, transport).stream(REQUEST, spending=Purse()))
    assert text(deltas) == "the second answers you"
    assert time.monotonic() - started < 0.3


async def test_a_kept_alive_connection_closed_under_us_is_tried_again(transport: Transport, first: Upstream) -> None:
    found = gateway(transport, first)
    await collect(found.stream(REQUEST, spending=Purse()))
    first.script(Behaviour(hang_up=True))
    purse = Purse()
    deltas = await collect(found.stream(REQUEST, spending=purse))
    assert text(deltas) == "the first answers you"
    assert [record.reason for record in purse.records] == ["primary", "retry"]


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(cut_after=2),
        Behaviour(truncate_after=2),
        Behaviour(malformed_after=2),
        Behaviour(error_after=2),
        Behaviour(long_line_after=2),
        Behaviour(stall_after=2),
        Behaviour(stall_after=2, comments_while_stalled=True),
        Behaviour(finish_reason=None),
        Behaviour(finish_reason=None, no_done=True),
        Behaviour(finish_reason="error"),
    ],
    ids=lambda behaviour: " ".join(
        f"{n}={getattr(behaviour, n)}" for n in behaviour.__slots__ if getattr(behaviour, n) != getattr(Behaviour(), n)
    )[:60],
)
async def test_a_cut_in_mid_answer_is_told_and_paid(
    transport: Transport, first: Upstream, second: Upstream, behaviour: Behaviour
) -> None:
    first.script(behaviour)
    purse = Purse()
    deltas = await collect(gateway(transport, first, second, paid=True).stream(REQUEST, spending=purse))
    assert text(deltas).startswith("word0 word1 ")
    assert deltas[-1] == Finish("cut")
    assert isinstance(deltas[-2], Usage)
    (record,) = purse.records
    assert record.finish in ("cut", "garbled", "model_cool")
    assert record.cost_nanousd > 0
    assert purse.held == {}


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(text="grüße 😀 世界 done", newline="\r\n", split_bytes=1),
        Behaviour(text="grüße 😀 世界 done", newline="\r", split_bytes=3, comments=True),
        Behaviour(text="grüße 😀 世界 done", newline="\n", split_bytes=7, no_done=True),
        Behaviour(text="grüße 😀 世界 done", usage=None),
        Behaviour(text="grüße 😀 世界 done", usage_each_chunk=True),
        Behaviour(text="grüße 😀 世界 done", groq_usage=True),
        Behaviour(text="grüße 😀 世界 done", reasoning="a b c"),
    ],
)
async def test_odd_but_whole_streams(transport: Transport, first: Upstream, behaviour: Behaviour) -> None:
    first.script(behaviour)
    deltas = await collect(gateway(transport, first).stream(REQUEST, spending=Purse()))
    assert text(deltas) == "grüße 😀 世界 done"
    assert deltas[-1] == Finish("stop")


async def test_a_connection_held_open_after_the_end_does_not_hold_the_answer(
    transport: Transport, first: Upstream
) -> None:
    first.script(Behaviour(text="whole", no_done=True, stay_open=True))
    deadlines = Deadlines(progress_s=10)
    started = time.monotonic()
    deltas = await collect(gateway(transport, first, deadlines=deadlines).stream(REQUEST, spending=Purse()))
    assert (text(deltas), deltas[-1]) == ("whole", Finish("stop"))
    assert time.monotonic() - started < 4


async def test_tool_calls_pass_through(transport: Transport, first: Upstream) -> None:
    calls = [
        {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}},
        {"index": 0, "function": {"arguments": "{}"}},
    ]
    first.script(Behaviour(tool_calls=calls, finish_reason="tool_calls"))
    deltas = await collect(gateway(transport, first).stream(REQUEST, spending=Purse()))
    assert [delta for delta in deltas if isinstance(delta, ToolCallPart)] == [
        ToolCallPart(0, "a", "f", ""),
        ToolCallPart(0, None, None, "{}"),
    ]
    assert deltas[-1] == Finish("tool_calls")


async def test_when_all_are_down_rules_answer(transport: Transport, first: Upstream, second: Upstream) -> None:
    first.default = second.default = Behaviour(status=503)
    deltas = await collect(gateway(transport, first, second).stream(REQUEST, spending=Purse()))
    assert text(deltas) == "Rules say hi."
    assert providers(deltas) == ["openai", "groq", "rules"]


async def test_without_rules_all_down_is_said(transport: Transport, first: Upstream) -> None:
    first.default = Behaviour(status=503)
    alone = Gateway(targets(first)[:1], transport)
    with pytest.raises(NoProvider) as caught:
        await collect(alone.stream(REQUEST, spending=Purse()))
    assert caught.value.extra["tried"] == ["openai/gpt-5.6-luna: model_cool"]


async def test_the_chain_chooses_provider_and_model(transport: Transport, first: Upstream, second: Upstream) -> None:
    stream = gateway(transport, first, second).stream(REQUEST, chain=("groq/llama-3.1-8b-instant",), spending=Purse())
    deltas = await collect(stream)
    assert text(deltas) == "the second answers you"
    assert second.journal[0].body["model"] == "llama-3.1-8b-instant"
    assert first.journal == []


async def test_a_dead_key_is_not_used_again(transport: Transport, first: Upstream, second: Upstream) -> None:
    first.default = Behaviour(status=401)
    both = gateway(transport, first, second)
    for _ in range(3):
        assert text(await collect(both.stream(REQUEST, spending=Purse()))) == "the second answers you"
    assert len(first.journal) == 1


async def test_a_dead_peer_gets_few_probes(transport: Transport, first: Upstream, second: Upstream) -> None:
    first.default = Behaviour(status=500)
    both = gateway(transport, first, second)
    for _ in range(60):
        assert (await collect(both.stream(REQUEST, spending=Purse())))[-1] == Finish("stop")
    assert len(first.journal) <= 6


async def test_a_filtered_prompt_is_final(transport: Transport, first: Upstream, second: Upstream) -> None:
    first.script(Behaviour(status=400, error_code="content_filter"))
    deltas = await collect(gateway(transport, first, second).stream(REQUEST, spending=Purse()))
    assert deltas[-1] == Finish("policy")
    assert second.journal == []


async def test_a_full_window_goes_to_a_larger_one(transport: Transport, first: Upstream, second: Upstream) -> None:
    first.script(Behaviour(status=400, error_code="context_length_exceeded"))
    deltas = await collect(gateway(transport, first, second).stream(REQUEST, spending=Purse()))
    assert providers(deltas) == ["openai", "rules"]  # groq's window is smaller


# Money ----------------------------------------------------------------------------------------------------------------
async def test_what_the_budget_refuses_is_not_called(transport: Transport, first: Upstream) -> None:
    deltas = await collect(gateway(transport, first, paid=True).stream(REQUEST, spending=Purse(limit=10)))
    assert providers(deltas) == ["rules"]
    assert first.journal == []


async def test_a_long_answer_asks_for_more_and_stays_within(transport: Transport, first: Upstream) -> None:
    first.script(Behaviour(tokens=3000, usage=None))
    purse = Purse(limit=6_000_000)
    deltas = await collect(gateway(transport, first, paid=True).stream(REQUEST, spending=purse))
    assert deltas[-1] == Finish("budget")
    assert 0 < purse.spent <= purse.limit
    assert len(text(deltas)) > 3.3 * 512
    assert first.journal[0].closed_early or first.journal[0].completed


# Stopping -------------------------------------------------------------------------------------------------------------
async def closed_within(upstream: Upstream, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if upstream.journal[0].closed_early:
            return True
        await asyncio.sleep(0.005)
    return False


async def test_closing_the_stream_closes_the_provider_at_once(transport: Transport, first: Upstream) -> None:
    first.script(Behaviour(tokens=1000, gap_s=0.02))
    purse = Purse()
    stream = gateway(transport, first, paid=True).stream(REQUEST, spending=purse)
    seen = 0
    async for delta in stream:
        seen += isinstance(delta, TextDelta)
        if seen == 3:
            break
    await stream.aclose()
    assert await closed_within(first, 0.25)
    (record,) = purse.records
    assert (record.finish, record.usage_source) == ("cancelled", "counted")
    assert record.usage.output > 0
    assert purse.held == {}


async def test_cancelling_the_task_closes_the_provider_at_once(transport: Transport, first: Upstream) -> None:
    first.script(Behaviour(delay_first_s=30))
    purse = Purse()
    task = asyncio.create_task(
        collect(gateway(transport, first, paid=True, deadlines=Deadlines()).stream(REQUEST, spending=purse))
    )
    while not first.journal:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await closed_within(first, 0.25)
    assert purse.records[0].usage.input > 0
    assert purse.held == {}


async def test_closing_before_the_first_delta_settles_too(transport: Transport, first: Upstream) -> None:
    purse = Purse()
    stream = gateway(transport, first, paid=True).stream(REQUEST, spending=purse)
    assert isinstance(await anext(stream), Attempt)
    await stream.aclose()
    assert purse.held == {}
    assert len(purse.records) == 1


async def test_many_at_once_keep_apart(transport: Transport, first: Upstream) -> None:
    first.default = Behaviour(tokens=50)
    one = gateway(transport, first)
    answers = await asyncio.gather(*(collect(one.stream(REQUEST, spending=Purse())) for _ in range(50)))
    expected = "".join(f"word{i} " for i in range(50))
    assert all(text(answer) == expected and answer[-1] == Finish("stop") for answer in answers)


def test_every_dialect_of_an_open_target_is_spoken() -> None:
    environ = {f"{name}_API_KEY": "k" for name in ("OPENAI", "ANTHROPIC", "GEMINI", "GROQ", "DEEPSEEK", "MISTRAL")}
    assert all(target.provider.dialect in DIALECTS for target in open_targets(environ))
