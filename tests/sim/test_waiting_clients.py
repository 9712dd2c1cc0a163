"""Clients of a closed loop and sessions go on when their request has ended, however it ended."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from simpy import Timeout

from cluster_sim.deployment.fleet import resolve
from cluster_sim.results.recorder import Recorder
from cluster_sim.sim.build import build
from cluster_sim.sim.run import run
from tests.sim.client_runs import client_scenario, outcome, recorded, statuses

ONE_CLIENT = {"process": "closed_loop", "concurrency": 1, "think_time": "500 ms"}
SESSION = {
    "concurrency": 1,
    "turns": {"median": 3, "sigma": 0, "max": 3},
    "first_tokens": 20,
    "user_tokens": 10,
    "output_tokens": 5,
    "user_gap": "1 s",
}


def sessions(clients: dict[str, Any], duration: str) -> Recorder:
    """One session after the other."""
    replaced = {"arrivals": None, "prompt_tokens": None, "output_tokens": None}
    return recorded(
        client_scenario(clients, workload={**replaced, "sessions": SESSION}, duration=duration)
    )


def requests_s(recorder: Recorder) -> list[float]:
    """Times at which the clients' requests were made [s]."""
    return [record.first.arrival_s for record in recorder.originals]


def test_a_client_that_gave_up_thinks_and_backs_off_before_its_next_request() -> None:
    """It gives up after 10 ms, thinks for 0.5 s, and backs off for 1, 2 and 4 s."""
    recorder = recorded(
        client_scenario({"timeout": {"ttft": "10 ms"}}, workload={"arrivals": ONE_CLIENT})
    )
    np.testing.assert_allclose(np.diff(requests_s(recorder))[:3], [1.51, 2.51, 4.51])


def test_the_next_request_waits_for_the_last_try() -> None:
    """Two tries of 10 ms and a pause of 200 ms, then 0.5 s to think and 1 s to back off."""
    clients = {
        "timeout": {"ttft": "10 ms"},
        "retries": 1,
        "backoff": {"first": "200 ms", "jitter": 0},
    }
    recorder = recorded(client_scenario(clients, workload={"arrivals": ONE_CLIENT}))
    assert np.diff(requests_s(recorder))[0] == pytest.approx(0.22 + 1.5)
    assert [record.attempts for record in recorder.originals][:2] == [2, 2]


def test_a_client_that_left_an_answer_only_thinks() -> None:
    recorder = recorded(client_scenario({"cancel": 1.0}, workload={"arrivals": ONE_CLIENT}))
    assert set(statuses(recorder)) == {"cancelled"}
    ends_s = [record.end_s for record in recorder.originals]
    np.testing.assert_allclose(requests_s(recorder)[1:], np.array(ends_s[:-1]) + 0.5)


def test_a_turn_that_timed_out_ends_its_session() -> None:
    """The next session begins after a back-off of 1, 2 and 4 s."""
    recorder = sessions({"timeout": {"ttft": "1 us"}}, "10 s")
    np.testing.assert_allclose(np.diff(requests_s(recorder))[:3], [1.0, 2.0, 4.0], atol=1e-5)


def test_a_user_who_leaves_ends_the_session_and_the_next_one_begins_at_once() -> None:
    recorder = sessions({"cancel": 1.0}, "2 s")
    ends_s = [record.end_s for record in recorder.originals]
    np.testing.assert_allclose(requests_s(recorder)[1:], ends_s[:-1])


def test_turns_that_are_answered_by_a_retry_go_on() -> None:
    """With a budget of retries everybody is answered in the end, and sessions have three turns."""
    plain = sessions({}, "10 s")
    hedged = sessions({"timeout": {"e2el": "10 s"}, "retries": 2}, "10 s")
    assert requests_s(hedged) == requests_s(plain)


@pytest.mark.parametrize("retries", [0, 2])
def test_what_is_lost_with_a_replica_is_sent_again_by_its_client(retries: int) -> None:
    scenario = client_scenario(
        {"retries": retries, "backoff": {"first": "10 ms"}},
        devices=2,
        workload={"arrivals": {"process": "at_once", "requests": 20}},
        cluster={"retry_lost": False, "router": {"policy": "round_robin"}},
    )
    simulation = build(scenario, resolve(scenario))
    losing = Timeout(simulation.env, 0.05)
    losing.callbacks.append(lambda _: simulation.lifecycles[0].lose("node_failure"))
    run(simulation)
    recorder = simulation.recorder
    lost = [number for number in range(20) if outcome(recorder, number) == "failed"]
    assert len(lost) == 10
    again = [request.original for request in recorder.requests[20:]]
    assert sorted(again) == (lost if retries else [])
    assert statuses(recorder).count("finished") == (20 if retries else 10)
    assert recorder.inside == 0
