from __future__ import annotations

from server.llm.catalog import Target, open_targets
from server.llm.failures import Failure
from server.llm.health import MAX_OPEN_S, OPEN_S, PROBE_S, Health

OPENAI, GROQ, RULES = open_targets({"OPENAI_API_KEY": "o", "GROQ_API_KEY": "g"})
COOL = Failure("model_cool", None, "503")
REFUSED = Failure("model_cool", None, "refused", unreachable=True)


def fail(health: Health, target: Target, failure: Failure, now: float, times: int = 1) -> None:
    for _ in range(times):
        health.begin(target, now)
        health.failed(target, failure, now)


def test_one_failure_does_not_open() -> None:
    health = Health()
    fail(health, OPENAI, COOL, 0.0)
    assert health.fitness(OPENAI, 0.1).state == "closed"


def test_five_failures_open_for_a_while_and_only_this_target() -> None:
    health = Health()
    fail(health, OPENAI, COOL, 0.0, 5)
    assert health.fitness(OPENAI, 0.1).state == "open"
    assert health.fitness(OPENAI, 0.1).retry_at == OPEN_S
    assert health.fitness(GROQ, 0.1).state == "closed"


def test_three_refused_connections_in_a_row_open_the_host() -> None:
    health = Health()
    fail(health, OPENAI, REFUSED, 0.0, 3)
    assert health.fitness(OPENAI, 0.1).state == "open"
    assert health.fitness(OPENAI.with_model("gpt-5.6-terra"), 0.1).state == "open"


def test_failures_spread_thin_do_not_open() -> None:
    health = Health()
    for now in range(0, 400, 10):
        fail(health, OPENAI, COOL, float(now))
    assert health.fitness(OPENAI, 400.0).state == "closed"


def test_half_open_lets_one_trial_through() -> None:
    health = Health()
    fail(health, OPENAI, COOL, 0.0, 5)
    assert health.fitness(OPENAI, OPEN_S).state == "half_open"
    health.begin(OPENAI, OPEN_S)
    assert not health.fitness(OPENAI, OPEN_S).may_call
    assert health.fitness(OPENAI, OPEN_S + PROBE_S).may_call


def test_a_good_trial_closes_and_a_bad_one_doubles_the_wait() -> None:
    health = Health()
    fail(health, OPENAI, COOL, 0.0, 5)
    fail(health, OPENAI, COOL, OPEN_S)
    assert health.fitness(OPENAI, OPEN_S).retry_at == OPEN_S + 2 * OPEN_S
    later = OPEN_S * 3
    health.begin(OPENAI, later)
    health.succeeded(OPENAI, later)
    assert health.fitness(OPENAI, later).state == "closed"


def test_the_wait_is_bounded() -> None:
    health, now = Health(), 0.0
    fail(health, OPENAI, COOL, now, 5)
    for _ in range(20):
        now = health.fitness(OPENAI, now).retry_at or now
        fail(health, OPENAI, COOL, now)
    assert (health.fitness(OPENAI, now).retry_at or 0) - now == MAX_OPEN_S


def test_an_abandoned_trial_gives_the_place_back() -> None:
    health = Health()
    fail(health, OPENAI, COOL, 0.0, 5)
    health.begin(OPENAI, OPEN_S)
    health.abandoned(OPENAI)
    assert health.fitness(OPENAI, OPEN_S).may_call


def test_a_refused_rate_cools_to_the_exact_reset() -> None:
    health = Health()
    fail(health, OPENAI, Failure("key_cool", 2.5), 10.0)
    assert health.fitness(OPENAI, 12.4).state == "open"
    assert health.fitness(OPENAI, 12.5).state == "closed"


def test_a_dead_key_stays_out_until_the_operator_acts() -> None:
    health = Health()
    fail(health, OPENAI, Failure("key_dead", None, "401"), 0.0)
    assert health.fitness(OPENAI, 1e9).state == "dead"
    health.revive("openai")
    assert health.fitness(OPENAI, 0.0).state == "closed"


def test_faults_of_the_request_are_never_counted() -> None:
    health = Health()
    for failure in (Failure("request_fault"), Failure("context"), Failure("policy")):
        fail(health, OPENAI, failure, 0.0, 20)
    assert health.fitness(OPENAI, 0.0).state == "closed"


def test_a_missing_model_drops_that_target_only() -> None:
    health = Health()
    fail(health, OPENAI, Failure("model_missing"), 0.0)
    assert not health.fitness(OPENAI, 1.0).may_call
    assert health.fitness(OPENAI.with_model("gpt-5.6-terra"), 1.0).may_call


def test_rules_are_always_fit() -> None:
    health = Health()
    fail(health, RULES, COOL, 0.0, 50)
    assert health.fitness(RULES, 0.0).state == "closed"
