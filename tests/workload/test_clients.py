"""Clients in numbers: patience, back-off, budgets and presets, by arithmetic."""

from __future__ import annotations

from math import exp, log
from typing import Any

import numpy as np
import pytest

from cluster_sim import ScenarioError
from cluster_sim.schema import Document, describe
from cluster_sim.workload.clients import Backoff, ClientDraws, Clients
from cluster_sim.workload.clients.budget_states import InFlightState, ShareState, TokensState


def clients(**keys: Any) -> Clients:
    return describe(Clients, Document(keys, "test"))


def test_a_client_without_keys_waits_indefinitely_and_never_sends_twice() -> None:
    plain = clients()
    assert plain.timeout.ttft_s is plain.timeout.e2el_s is plain.hedge_after_s is None
    assert plain.retries == 0 and plain.cancel == 0.0 and plain.server_aborts


def test_openai_waits_ten_minutes_and_retries_twice_from_half_a_second_on() -> None:
    draws, openai = ClientDraws(1), clients(preset="openai")
    times = [draws.times(openai, 0, retry) for retry in range(2)]
    pauses_s = [draws.backoff_s(openai, 0, retry) for retry in range(2)]
    assert clients(preset="openai") == clients(preset="anthropic")
    assert clients(preset="openai").retries == 2
    assert [time.e2el_s for time in times] == [600.0, 600.0]
    assert all(0.75 * 2**n <= 2 * pause_s <= 2**n for n, pause_s in enumerate(pauses_s))


def test_keys_beside_a_preset_win_and_mappings_are_completed() -> None:
    changed = clients(preset="openai", retries=5, backoff={"jitter": 0}, timeout={"ttft": "3 s"})
    assert changed.retries == 5
    assert (changed.backoff.first_s, changed.backoff.jitter, changed.backoff.max_s) == (0.5, 0, 8)
    assert ClientDraws(1).times(changed, 0, 0) == (3.0, 600.0)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"preset": "opnai"}, "no preset 'opnai' of clients; did you mean 'openai'?"),
        ({"timeout": {"ttft": 10}}, "10 has no unit; expected a time such as"),
        ({"preset": ["openai"]}, "no preset a list of clients; did you mean 'openai'?"),
        ({"timeout": "10 s"}, "expected a mapping, such as `timeout: {e2el: 10 s}`"),
        ({"timeout": 10}, "got 10; expected a mapping, such as `timeout: {e2el: …}`"),
        ({"timeout": {"e2el": 5}}, "timeout.e2el: "),
        ({"retry_on": ["timeout"]}, "did you mean 'timed_out'?"),
        ({"retry_on": []}, "expected at least 1"),
        ({"retry_budget": 1.5}, "expected at most 1"),
        ({"backoff": {"jitter": 2}}, "expected at most 1"),
        ({"cancel": 0.1, "server_aborts": False}, "which is not supported"),
    ],
)
def test_what_a_client_cannot_be_is_refused_with_what_it_can_be(
    keys: dict[str, Any], message: str
) -> None:
    with pytest.raises(ScenarioError, match=r".") as error:
        clients(**keys)
    assert message in str(error.value)


def test_pauses_double_up_to_their_maximum_and_jitter_takes_at_most_its_share() -> None:
    backoff = Backoff.model_validate({"first": "1 s", "factor": 3, "jitter": 0.5, "max": "20 s"})
    assert [backoff.delay_s(retry, 0.0) for retry in range(5)] == [1.0, 3.0, 9.0, 20.0, 20.0]
    assert [backoff.delay_s(retry, 1.0) for retry in range(3)] == [0.5, 1.5, 4.5]
    assert backoff.delay_s(5000, 0.0) == 20.0


def test_the_first_pause_can_be_none_at_all() -> None:
    assert Backoff.model_validate({"first": "0 s"}).delay_s(3, 0.7) == 0.0


def test_patience_has_the_mean_or_the_median_that_is_written() -> None:
    patient = clients(
        timeout={
            "ttft": {"distribution": "exponential", "mean": "4 s"},
            "e2el": {"distribution": "lognormal", "median": "7 s", "sigma": 1.5, "max": "900 s"},
        }
    )
    draws = ClientDraws(3)
    drawn = np.array([draws.times(patient, number, 0) for number in range(20_000)])
    assert np.mean(drawn[:, 0]) == pytest.approx(4.0, rel=0.03)
    assert np.mean(drawn[:, 0] > 8.0) == pytest.approx(exp(-2.0), rel=0.05)
    assert np.median(drawn[:, 1]) == pytest.approx(7.0, rel=0.05)
    logs = np.log(drawn[:, 1])
    assert (log(7.0) - np.quantile(logs, 0.1587)) == pytest.approx(1.5, rel=0.05)


def test_draws_depend_on_the_request_and_the_retry_only() -> None:
    patient = clients(timeout={"ttft": {"distribution": "exponential", "mean": "1 s"}}, retries=3)
    one, two = ClientDraws(5), ClientDraws(5)
    two.times(patient, 9, 0)
    assert one.times(patient, 4, 1) == two.times(patient, 4, 1)
    assert one.times(patient, 4, 1) != one.times(patient, 4, 0) != one.times(patient, 5, 0)
    assert one.times(patient, 4, 1) != ClientDraws(6).times(patient, 4, 1)
    assert one.backoff_s(patient, 4, 1) == two.backoff_s(patient, 4, 1)
    assert 2 * one.backoff_s(patient, 4, 0) != one.backoff_s(patient, 4, 1)


def test_longer_patience_is_longer_for_every_request() -> None:
    means = [
        clients(timeout={"ttft": {"distribution": "exponential", "mean": mean}})
        for mean in ("1 s", "3 s")
    ]
    draws = ClientDraws(5)
    for number in range(20):
        short, long = (draws.times(patient, number, 0).ttft_s for patient in means)
        assert short is not None and long == pytest.approx(3.0 * short)


def test_users_leave_after_every_token_but_the_last_alike() -> None:
    leaving, draws = clients(cancel=0.25), ClientDraws(8)
    seen = [draws.tokens_seen(leaving, number, 5) for number in range(8000)]
    assert sum(tokens is not None for tokens in seen) == pytest.approx(2000, rel=0.06)
    for tokens in (1, 2, 3, 4):
        assert seen.count(tokens) == pytest.approx(500, rel=0.12)
    assert set(seen) == {None, 1, 2, 3, 4}
    assert draws.tokens_seen(clients(cancel=1.0), 0, 1) is None


def test_a_share_of_a_fifth_allows_one_retry_for_each_five_requests() -> None:
    budget = ShareState(0.2, 0.0, 10.0)
    taken = 0
    for number in range(1000):
        budget.begin(0.01 * number)
        taken += sum(budget.take(0.01 * number) for _ in range(3))
        assert taken == (number + 1) // 5


def test_deposits_and_withdrawals_are_forgotten_after_the_window() -> None:
    budget = ShareState(0.5, 0.0, 10.0)
    for _ in range(4):
        budget.begin(0.0)
    assert budget.take(9.9) and budget.take(9.9) and not budget.take(9.9)
    budget.begin(10.5)
    budget.begin(10.5)  # the first deposits are gone, the withdrawals are not
    assert not budget.take(10.5)
    for _ in range(2):
        budget.begin(20.5)
    assert budget.take(20.5)


@pytest.mark.parametrize("seed", range(5))
def test_retries_never_exceed_the_share_of_all_requests(seed: int) -> None:
    rng, budget = np.random.default_rng(seed), ShareState(0.3, 0.0, 2.0)
    now_s, requests, retries = 0.0, 0, 0
    for _ in range(3000):
        now_s += rng.exponential(rng.choice([0.01, 0.5]))
        if rng.random() < 0.5:
            budget.begin(now_s)
            requests += 1
        else:
            retries += budget.take(now_s)
        assert retries <= 0.3 * requests + 1e-6
    assert retries > 0.1 * requests


def test_the_reserve_allows_retries_without_requests() -> None:
    """A reserve of 2 /s over a window of 10 s is 20 retries in any ten seconds."""
    budget = ShareState(0.2, 20.0, 10.0)
    assert sum(budget.take(0.0) for _ in range(100)) == 20
    assert sum(budget.take(5.0) for _ in range(100)) == 0
    assert sum(budget.take(10.0) for _ in range(100)) == 20


def test_a_bucket_of_ten_tokens_stops_retries_after_five_failures() -> None:
    """The example of gRPC: retries while more than five tokens are left; ten answers give one back."""
    budget, failures = TokensState(10.0, 0.1), 0
    while budget.take(0.0):
        budget.attempt_ended("timed_out", is_extra=False)
        failures += 1
    assert failures == 5
    answers = 0
    while not budget.take(0.0):
        budget.attempt_ended("finished", is_extra=False)
        answers += 1
    assert answers == 1
    budget.attempt_ended("timed_out", is_extra=True)
    for _ in range(10):
        assert not budget.take(0.0)
        budget.attempt_ended("finished", is_extra=False)


def test_retries_in_flight_are_a_share_of_the_requests_in_flight() -> None:
    budget = InFlightState(0.2, 3)
    for _ in range(10):
        budget.begin(0.0)
    assert [budget.take(0.0) for _ in range(4)] == [True, True, True, False]
    for _ in range(10):
        budget.begin(0.0)
    assert [budget.take(0.0) for _ in range(2)] == [True, False]
    budget.attempt_ended("finished", is_extra=True)
    assert [budget.take(0.0) for _ in range(2)] == [True, False]


def test_a_hedge_after_the_client_gave_up_is_warned_of() -> None:
    [text] = clients(hedge_after="10 s", timeout={"ttft": "1 s", "e2el": "1 min"}).warnings()
    assert text == "hedge_after is 10 s, and clients give up after 1 s; no request is hedged"
    assert not [*clients(hedge_after="0.9 s", timeout={"ttft": "1 s"}).warnings()]
