"""Clients give up, send again, and leave at the times that can be worked out by hand."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from cluster_sim.request import ClientRequest, Request
from cluster_sim.results.recorder import Recorder
from cluster_sim.sim.client_tries import ClientRules, PendingRequest
from cluster_sim.sim.simulate import simulate
from cluster_sim.workload.clients import Clients, Unlimited
from tests.scenarios import make_pool
from tests.sim.client_runs import NOBODY, client_scenario, outcome, recorded, sent_s, statuses

ONE = {"arrivals": {"process": "at_once", "requests": 1}, "prompt_tokens": 100, "output_tokens": 20}
ZOMBIES = {"server_aborts": False}
"""Servers that work on without their clients."""


def alone(**changes: Any) -> tuple[float, float]:
    """(TTFT, latency) of a request that is alone [s]."""
    (request,) = recorded(client_scenario(None, workload=ONE, **changes)).requests
    return request.first_token_s, request.finish_s


def test_clients_that_only_wait_change_nothing() -> None:
    plain, waiting = (recorded(client_scenario(clients)) for clients in (None, {}))
    assert [r.finish_s for r in plain.requests] == [r.finish_s for r in waiting.requests]
    assert statuses(waiting) == ["finished"] * len(plain.requests)
    assert not plain.originals
    assert [record.winner for record in waiting.originals] == waiting.requests


def test_a_rejected_request_is_sent_again_after_one_two_and_four_seconds() -> None:
    clients = {"retries": 3, "backoff": {"first": "1 s", "factor": 2, "jitter": 0, "max": "9 s"}}
    recorder = recorded(client_scenario(clients, workload=ONE, cluster={"admission": NOBODY}))
    assert sent_s(recorder) == [0.0, 1.0, 3.0, 7.0]
    (record,) = recorder.originals
    assert (record.status, record.attempts, record.end_s) == ("rejected", 4, 7.0)
    assert record.winner is None and record.last is recorder.requests[3]


def test_the_pause_is_shortened_by_at_most_the_jitter() -> None:
    clients = {"retries": 1, "backoff": {"first": "1 s", "jitter": 0.4}}
    workload = ONE | {"arrivals": {"process": "at_once", "requests": 200}}
    recorder = recorded(client_scenario(clients, workload=workload, cluster={"admission": NOBODY}))
    pauses_s = [request.arrival_s for request in recorder.requests if request.attempt == 1]
    assert 0.6 <= min(pauses_s) < 0.63 and 0.97 < max(pauses_s) <= 1.0
    assert np.mean(pauses_s) == pytest.approx(0.8, abs=0.03)


def test_outcomes_that_are_not_listed_are_not_retried() -> None:
    clients = {"retries": 3, "retry_on": ["timed_out", "failed"]}
    recorder = recorded(client_scenario(clients, workload=ONE, cluster={"admission": NOBODY}))
    assert len(recorder.requests) == 1


@pytest.mark.parametrize("server_aborts", [True, False])
@pytest.mark.parametrize("limit", ["ttft", "e2el"])
def test_a_client_waits_exactly_until_its_timeout(limit: str, server_aborts: bool) -> None:
    latency_s = alone()[limit == "e2el"]
    for factor, expected in ((0.999, "timed_out"), (1.001, "finished")):
        clients = {
            "timeout": {limit: f"{factor * latency_s!r} s"},
            "server_aborts": server_aborts,
        }
        recorder = recorded(client_scenario(clients, workload=ONE))
        (record,) = recorder.originals
        assert record.status == expected
        if expected == "timed_out":
            assert record.end_s == pytest.approx(factor * latency_s, rel=1e-12)
            assert recorder.given_up[0] == "timed_out"
            finish_s = recorder.requests[0].finish_s
            assert (finish_s == finish_s) != server_aborts
    assert recorder.inside == 0


@pytest.mark.parametrize("batching", [{}, {"policy": "static", "max_sequences": 4}])
def test_a_first_token_in_time_is_seen_long_before_the_answer(batching: dict[str, Any]) -> None:
    pool = make_pool() | ({"batching": batching} if batching else {})
    ttft_s, latency_s = alone(cluster={"pools": [pool]})
    assert latency_s > 1.2 * ttft_s
    clients = {"timeout": {"ttft": f"{1.1 * ttft_s!r} s"}}
    recorder = recorded(client_scenario(clients, workload=ONE, cluster={"pools": [pool]}))
    assert statuses(recorder) == ["finished"]


def far_pool(latency: str) -> dict[str, Any]:
    """A pool whose answers take a while to the front door."""
    pool = make_pool()
    (link,) = pool["node"]["network"]["links"]
    link["latency"] = latency
    return pool


def test_the_way_of_the_answer_counts_as_waiting() -> None:
    """The network takes 100 ms each way: 150 ms more than a near replica are not enough."""
    ttft_s = alone()[0]
    for patience_s, expected in ((ttft_s + 0.15, "timed_out"), (ttft_s + 0.25, "finished")):
        clients = {"timeout": {"ttft": f"{patience_s!r} s"}, **ZOMBIES}
        far = {"pools": [far_pool("100 ms")]}
        assert statuses(recorded(client_scenario(clients, workload=ONE, cluster=far))) == [expected]


def test_a_try_begins_after_the_timeout_and_the_pause() -> None:
    clients = {
        "timeout": {"ttft": "1 ms"},
        "retries": 2,
        "backoff": {"first": "100 ms", "factor": 3, "jitter": 0},
        **ZOMBIES,
    }
    recorder = recorded(client_scenario(clients, workload=ONE))
    np.testing.assert_allclose(sent_s(recorder), [0.0, 0.101, 0.402])
    assert statuses(recorder) == ["timed_out"]
    assert [outcome(recorder, number) for number in range(3)] == ["timed_out"] * 3


def test_a_server_that_does_not_abort_makes_every_token_in_vain() -> None:
    clients = {"timeout": {"ttft": "1 ms"}, "retries": 2, **ZOMBIES}
    recorder = recorded(client_scenario(clients, workload=ONE))
    assert all(request.finish_s == request.finish_s for request in recorder.requests)
    assert recorder.left == 3


STORM = {"arrivals": {"process": "poisson", "rate": "150 /s"}}
"""Several times what the small GPU serves."""


def test_retries_never_exceed_their_share_of_the_requests() -> None:
    clients = {"timeout": {"ttft": "200 ms"}, "retries": 5, "retry_budget": 0.3}
    recorder = recorded(client_scenario(clients | ZOMBIES, workload=STORM, drain="20 s"))
    requests, attempts = len(recorder.originals), len(recorder.requests)
    assert 1.25 * requests < attempts <= 1.3 * requests
    assert sum(record.denied for record in recorder.originals) > 0


def test_every_retry_is_sent_where_nothing_limits_them() -> None:
    clients = {"timeout": {"ttft": "1 us"}, "retries": 2, **ZOMBIES}
    recorder = recorded(client_scenario(clients, workload=STORM, duration="1 s"))
    assert len(recorder.requests) == 3 * len(recorder.originals)


def test_users_leave_after_the_drawn_tokens_and_their_share_is_the_written_one() -> None:
    workload = {"arrivals": {"process": "at_once", "requests": 400}}
    recorder = recorded(client_scenario({"cancel": 0.25}, workload=workload))
    left = [r for r in recorder.requests if outcome(recorder, r.number) == "cancelled"]
    assert len(left) == pytest.approx(100, abs=25)
    assert all(1 <= request.output_tokens < 20 for request in left)
    assert np.mean([request.output_tokens for request in left]) == pytest.approx(10.0, abs=1.5)
    assert Counter(statuses(recorder)) == {"cancelled": len(left), "finished": 400 - len(left)}
    assert all(request.longest_answer == 20 for request in recorder.requests)


def conserved(recorder: Recorder) -> None:
    """Every attempt has one outcome, every request one status, and both agree."""
    assert [request.number for request in recorder.requests] == [*range(len(recorder.requests))]
    of_request: dict[int, list[int]] = {record.number: [] for record in recorder.originals}
    for request in recorder.requests:
        of_request[request.original].append(request.number)
    for record in recorder.originals:
        numbers = of_request[record.number]
        assert record.attempts == len(numbers) >= 1
        assert [recorder.requests[number].attempt for number in numbers] == [*range(len(numbers))]
        outcomes = [outcome(recorder, number) for number in numbers]
        assert outcomes.count("finished") == (record.status == "finished")
        assert (record.winner is not None) == (record.status == "finished")
        if record.status != "unfinished":
            assert record.status in outcomes and "unfinished" not in outcomes
            assert record.end_s >= record.first.arrival_s
    for kind in (recorder.rejected, recorder.failed):
        assert not kind.keys() & recorder.given_up.keys() or kind is recorder.failed


def test_an_attempt_has_everything_that_the_traffic_said_of_its_request() -> None:
    """What is neither copied nor state of its own is forgotten in `new_attempt`."""
    of_traffic = {
        "prompt_tokens": 10, "output_tokens": 20, "counted": False, "pieces": ((1, 10),), "output_piece": 5, "priority": 7, "class_number": 2,
        "output_limit": 30, "turn": 4,
    }  # fmt: skip
    own = {"number", "arrival_s", "original", "attempt", "avoid"}
    progress = {
        "replica", "prefill_replica", "incarnation", "admitted_s", "first_token_s", "finish_s", "read_s", "sending_s", "landed_s",
        "prefix_hit_tokens", "fetched_tokens", "preemptions", "generated", "prefilled", "swapped", "rank", "prefill_rank",
    }  # fmt: skip
    names = {field.name for field in fields(Request) if field.init}
    assert names == of_traffic.keys() | own | progress
    record = ClientRequest(3, Request(3, 1.0, **of_traffic))  # type: ignore[arg-type]
    pending = PendingRequest(record, ClientRules(Clients(), Unlimited()), None)
    attempt = pending.new_attempt(8, 2.0)
    assert {name: getattr(attempt, name) for name in of_traffic} == of_traffic
    assert (attempt.number, attempt.arrival_s, attempt.original, attempt.attempt) == (8, 2.0, 3, 0)


EVERYTHING = {
    "timeout": {"ttft": {"distribution": "exponential", "mean": "300 ms"}, "e2el": "900 ms"},
    "retries": 3,
    "backoff": {"first": "50 ms"},
    "hedge_after": "60 ms",
    "cancel": 0.1,
}


@pytest.mark.parametrize("changes", [{}, {"retry_budget": 0.2}, {"retries": 0}, {"cancel": 0}])
@pytest.mark.parametrize("drain", ["60 s", "0 s"])
def test_attempts_and_requests_are_conserved(changes: dict[str, Any], drain: str) -> None:
    clients = EVERYTHING | changes
    if not clients["cancel"]:
        clients |= ZOMBIES
    admission = {"policy": "queue_limit", "max_waiting": 30}
    recorder = recorded(
        client_scenario(
            clients, 2, STORM, duration="2 s", drain=drain, cluster={"admission": admission}
        )
    )
    conserved(recorder)
    assert drain == "0 s" or recorder.inside == 0
    assert len(set(statuses(recorder))) >= 2


@pytest.mark.parametrize("changes", [{}, {"cancel": 0, **ZOMBIES}])
def test_a_stretch_is_its_steps_with_clients(changes: dict[str, Any]) -> None:
    stretched, stepped = (
        recorded(client_scenario(EVERYTHING | changes, 2, STORM, duration="2 s", stepping=stepping))
        for stepping in ("stretch", "step")
    )
    assert statuses(stretched) == statuses(stepped)
    assert stretched.given_up == stepped.given_up
    for name in ("arrival_s", "first_token_s", "finish_s", "generated", "replica"):
        one, two = ([getattr(r, name) for r in rec.requests] for rec in (stretched, stepped))
        np.testing.assert_allclose(one, two, rtol=1e-9)


def test_an_answered_request_keeps_the_run_no_longer_than_its_answer() -> None:
    """A timeout of ten minutes is still ahead when the last answer has arrived."""
    plain, openai = (simulate(client_scenario(clients)) for clients in (None, {"preset": "openai"}))
    assert openai.info.simulated_s == plain.info.simulated_s


def test_classes_have_clients_of_their_own() -> None:
    classes = [
        {"name": "chat", "share": 0.5, "clients": {"timeout": {"ttft": "1 us"}, **ZOMBIES}},
        {"name": "batch", "share": 0.5},
    ]
    recorder = recorded(client_scenario({}, workload={"classes": classes}))
    for record in recorder.originals:
        assert record.status == ("finished" if record.first.class_number else "timed_out")
