from __future__ import annotations

from server.llm.catalog import FREE, Price
from server.llm.messages import Usage
from server.llm.meter import MAX_ANSWER_BYTES, SLICE_TOKENS, Meter

PRICE = Price(200_000_000, 20_000_000, 250_000_000, 1_200_000_000, "test", "2026-11-01")


def test_the_opening_hold_is_worst_input_and_one_slice() -> None:
    assert Meter(PRICE, 1000).opening_nanousd == 250_000 + SLICE_TOKENS * 1200
    assert Meter(PRICE, 1000, 100).opening_nanousd == 250_000 + (SLICE_TOKENS + 100) * 1200


def test_nothing_started_costs_nothing() -> None:
    settled = Meter(PRICE, 1000).settle(whole=False)
    assert (settled.usage, settled.source, settled.cost_nanousd) == (Usage(), "estimated", 0)


def test_a_cut_is_settled_on_our_own_count() -> None:
    meter = Meter(PRICE, 1000)
    meter.add("x" * 33)
    settled = meter.settle(whole=False)
    assert (settled.usage, settled.source) == (Usage(input=1000, output=10), "counted")
    assert settled.cost_nanousd == 1000 * 200 + 10 * 1200


def test_a_whole_answer_is_settled_on_the_report() -> None:
    meter = Meter(PRICE, 1000)
    meter.add("x" * 33)
    meter.report(Usage(900, 50, 0, 9))
    settled = meter.settle(whole=True)
    assert (settled.usage, settled.source) == (Usage(900, 50, 0, 9), "reported")


def test_a_report_that_cannot_be_true_is_not_believed() -> None:
    meter = Meter(PRICE, 1000)
    meter.add("x" * 3300)
    meter.report(Usage(900, 0, 0, 0))
    assert meter.settle(whole=True).usage == Usage(900, 0, 0, 1000)


def test_a_report_before_a_cut_counts_for_the_input_only() -> None:
    meter = Meter(PRICE, 1000)
    meter.add("x" * 330)
    meter.report(Usage(900, 0, 0, 1))
    assert meter.settle(whole=False).usage == Usage(900, 0, 0, 100)


def test_more_is_wanted_at_three_quarters_and_not_after_a_refusal() -> None:
    meter = Meter(PRICE, 0)
    meter.add("x" * int(3.3 * SLICE_TOKENS * 0.7))
    assert not meter.wants_more
    meter.add("x" * int(3.3 * SLICE_TOKENS * 0.1))
    assert meter.wants_more
    meter.extended(True)
    assert not meter.wants_more
    meter.add("x" * int(3.3 * SLICE_TOKENS))
    assert meter.wants_more
    meter.extended(False)
    assert not meter.wants_more


def test_refused_money_stops_at_a_sentence_edge_near_the_end_and_at_the_end_anyhow() -> None:
    meter = Meter(PRICE, 0)
    meter.add("x" * int(3.3 * (SLICE_TOKENS - 100)))
    meter.extended(False)
    meter.add("End. ")
    assert not meter.must_stop
    meter.add("x" * 150)
    assert not meter.must_stop
    meter.add(" End.")
    assert meter.must_stop
    meter.add("y" * 400)
    assert meter.must_stop


def test_free_models_cost_nothing_at_all() -> None:
    meter = Meter(FREE, 10**6)
    meter.add("x" * 1000)
    assert meter.opening_nanousd == meter.settle(whole=True).cost_nanousd == 0


def test_a_model_run_wild_is_too_long() -> None:
    meter = Meter(FREE, 0)
    meter.add("é" * (MAX_ANSWER_BYTES // 2 + 1))
    assert meter.is_too_long
