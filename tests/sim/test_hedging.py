"""Hedged requests against a brute-force queue, and by hand."""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from pathlib import Path

import numpy as np
import pytest

from cluster_sim.results.recorder import Recorder
from cluster_sim.scenario.scenario import Scenario
from tests.sim.client_runs import LONG_MODEL, client_scenario, outcome, recorded, steady_pool

pytestmark = pytest.mark.usefixtures("empty_folder")

COLUMNS = {"arrival": "arrival", "prompt": "prompt", "output": "output"}


def two_servers(jobs: list[tuple[float, int]], hedge_s: float) -> Scenario:
    """Two replicas that serve one request at a time, and requests that arrive at given times."""
    rows = [f"{at_s!r},1,{tokens}" for at_s, tokens in jobs]
    Path("jobs.csv").write_text("\n".join(["arrival,prompt,output", *rows]))
    trace = {"path": "jobs.csv", "columns": COLUMNS, "time_unit": "s"}
    replaced = {"arrivals": None, "prompt_tokens": None, "output_tokens": None, "trace": trace}
    return client_scenario(
        {"hedge_after": f"{hedge_s!r} s"},
        workload=replaced,
        duration=None,
        model=LONG_MODEL,
        cluster={"pools": [steady_pool(1, 2)], "router": {"policy": "round_robin"}},
    )


def brute_force(jobs: list[tuple[float, float, int]], hedge_s: float) -> tuple[list[float], int]:
    """End of each job [s], and the number of copies, if a copy that begins removes the other one.

    jobs: arrival [s], service [s] and server of each job.
    """
    events = [(at_s, number, "arrives") for number, (at_s, _, _) in enumerate(jobs)]
    events += [(at_s + hedge_s, number, "hedges") for number, (at_s, _, _) in enumerate(jobs)]
    events.sort()
    queues: tuple[deque[int], deque[int]] = (deque(), deque())
    is_busy, begun, ended_s, copies = [False, False], set[int](), [0.0] * len(jobs), 0
    while events:
        now_s, number, what = heappop(events)
        server = jobs[number][2]
        if what == "arrives":
            queues[server].append(number)
        elif what == "hedges":
            copies += number not in begun
            queues[1 - server].append(number)
        else:
            is_busy[int(what)], ended_s[number] = False, now_s
        for place in (0, 1):
            while queues[place] and not is_busy[place]:
                chosen = queues[place].popleft()
                if chosen not in begun:
                    begun.add(chosen)
                    is_busy[place] = True
                    heappush(events, (now_s + jobs[chosen][1], chosen, str(place)))
    return ended_s, copies


def token_s() -> float:
    """Time of a step of one sequence [s]."""
    (request,) = recorded(two_servers([(0.0, 1001)], 900.0)).requests
    return (request.finish_s - request.first_token_s) / 1000


def attempts_of(recorder: Recorder, number: int) -> list[int]:
    """Numbers of the attempts of a request."""
    return [request.number for request in recorder.requests if request.original == number]


def test_a_copy_goes_to_the_idle_replica_and_the_waiting_one_is_cancelled() -> None:
    """Replica 0 works for a long time on the first request, replica 1 for a short time on the second.

    The third waits at replica 0; its copy at replica 1 has its first token one step after it is sent.
    """
    step_s = token_s()
    jobs = [(0.0, 3000), (0.0, 100), (0.001, 50)]
    recorder = recorded(two_servers(jobs, 500 * step_s))
    first, copy = attempts_of(recorder, 2)
    assert [recorder.requests[number].replica for number in (first, copy)] == [0, 1]
    assert [outcome(recorder, number) for number in (first, copy)] == ["cancelled", "finished"]
    assert recorder.requests[copy].arrival_s == pytest.approx(0.001 + 500 * step_s)
    assert recorder.originals[2].winner is recorder.requests[copy]
    assert recorder.originals[2].end_s == pytest.approx(0.001 + 550 * step_s, rel=0.03)
    assert recorder.requests[first].generated == 0


def test_hedges_are_those_of_a_brute_force_queue() -> None:
    step_s, rng = token_s(), np.random.default_rng(2)
    tokens = np.round(rng.lognormal(8.0, 1.2, 300)).astype(int) + 1
    mean_s = float(np.mean(tokens)) * step_s
    arrival_s = np.cumsum(rng.exponential(0.75 * mean_s, 300))
    arrival_s -= arrival_s[0]
    hedge_s = 0.4 * mean_s
    recorder = recorded(
        two_servers([*zip(arrival_s.tolist(), tokens.tolist(), strict=True)], hedge_s)
    )
    jobs = [
        (at_s, n * step_s, recorder.requests[attempts_of(recorder, number)[0]].replica)
        for number, (at_s, n) in enumerate(zip(arrival_s.tolist(), tokens.tolist(), strict=True))
    ]
    ended_s, copies = brute_force(jobs, hedge_s)
    assert 20 < copies < 280
    assert len(recorder.requests) - 300 == copies
    np.testing.assert_allclose(
        [record.end_s for record in recorder.originals], ended_s, atol=0.05 * mean_s
    )


def test_a_budget_limits_copies() -> None:
    jobs = [(0.001 * number, 400) for number in range(100)]
    scenario = two_servers(jobs, 0.01)
    clients = scenario.workload.clients
    assert clients is not None
    limited = clients.model_validate(
        {"hedge_after": "10 ms", "retry_budget": {"policy": "share", "share": 0.1, "window": "1 h"}}
    )
    workload = scenario.workload.model_copy(update={"clients": limited})
    recorder = recorded(scenario.model_copy(update={"workload": workload}))
    assert len(recorder.requests) == 110
    assert sum(record.denied for record in recorder.originals) >= 50
