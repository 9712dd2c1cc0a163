"""Clients who leave a queue are the model Erlang-A, which textbooks solve."""

from __future__ import annotations

from heapq import heapreplace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from cluster_sim.scenario.scenario import Scenario
from cluster_sim.workload.clients import ClientDraws
from tests.scenarios import make_scenario
from tests.sim.client_runs import LONG_MODEL, recorded, steady_pool

MEAN_TOKENS = 20_000


class Queue(NamedTuple):
    """What Erlang-A says of a queue, or what a run shows."""

    waits: float
    """Share of customers who find every server busy."""
    leaves: float
    """Share of customers who leave before they are served."""
    length: float
    """Mean number of customers who wait."""


def erlang_a(servers: int, arrivals: float, service: float, patience: float) -> Queue:
    """Solve the birth-death chain: `patience` is the rate at which a waiting customer leaves.

    Source: Palm, Research on Telephone Traffic Carried by Full Availability Groups, 1957; Garnett,
    Mandelbaum and Reiman, Designing a Call Center with Impatient Customers, M&SOM 4(3), 2002.
    """
    weights = [1.0]
    for number in range(1, servers + 2000):
        leaving = min(number, servers) * service + max(number - servers, 0) * patience
        weights.append(weights[-1] * arrivals / leaving)
    p = np.array(weights) / np.sum(weights)
    length = float(np.sum(p[servers:] * np.arange(len(p) - servers)))
    return Queue(float(np.sum(p[servers:])), patience * length / arrivals, length)


CASES = [
    ((10, 12.0, 1.0, 0.5), Queue(0.85038, 0.19566, 4.69574)),
    ((10, 8.0, 1.0, 0.5), Queue(0.31743, 0.03882, 0.62114)),
    ((50, 55.0, 1.0, 0.2), Queue(0.95848, 0.09438, 25.95)),
]


@pytest.mark.parametrize(("rates", "expected"), CASES)
def test_the_chain_gives_the_known_values(rates: Any, expected: Queue) -> None:
    assert erlang_a(*rates) == pytest.approx(expected, rel=2e-4)


class Customers(NamedTuple):
    """Customers of a queue, in order of arrival [s]."""

    arrival_s: np.ndarray
    service_s: np.ndarray
    patience_s: np.ndarray


def brute_force(customers: Customers, servers: int) -> np.ndarray:
    """Time that each customer waits, first come first served [s]; negative for those who leave."""
    free_s, waited_s = [0.0] * servers, []
    for arrival_s, service_s, patience_s in zip(*map(np.ndarray.tolist, customers), strict=True):
        begins_s = max(arrival_s, free_s[0])
        if begins_s - arrival_s > patience_s:
            waited_s.append(-patience_s)
        else:
            heapreplace(free_s, begins_s + service_s)
            waited_s.append(begins_s - arrival_s)
    return np.array(waited_s)


def seen(waited_s: np.ndarray, arrival_s: np.ndarray, instant_s: float = 0.0) -> np.ndarray:
    """What is seen of a queue; waits of up to `instant_s` are none."""
    length = np.sum(np.abs(waited_s)) / (arrival_s[-1] - arrival_s[0])
    return np.array([np.mean(np.abs(waited_s) > instant_s), np.mean(waited_s < 0), length])


def token_s() -> float:
    """Time of a step [s], which is the same for every batch."""
    (request,) = recorded(queue_scenario("arrival,prompt,output\n0,1,100", 50, 1e6)).requests
    return (request.finish_s - request.first_token_s) / 99


def queue_scenario(rows: str, servers: int, patience_s: float) -> Scenario:
    """One replica that serves `servers` requests at a time, each step in the same time."""
    Path("queue.csv").write_text(rows)
    columns = {"arrival": "arrival", "prompt": "prompt", "output": "output"}
    clients = {"timeout": {"ttft": {"distribution": "exponential", "mean": f"{patience_s!r} s"}}}
    trace = {"path": "queue.csv", "columns": columns, "time_unit": "s"}
    unchanged = {"arrivals": None, "prompt_tokens": None, "output_tokens": None}
    return make_scenario(
        model=LONG_MODEL,
        duration=None,
        workload={**unchanged, "trace": trace, "clients": clients},
        cluster={"pools": [steady_pool(servers)]},
    )


def drawn(rates: Any, count: int) -> Customers:
    """Customers of Erlang-A, in units of the mean service at rate 1."""
    _, arrivals, service, patience = rates
    rng = np.random.default_rng(7)
    means = (1.0 / arrivals, 1.0 / service, 1.0 / patience)
    gaps, services, patiences = (rng.exponential(mean, count) for mean in means)
    return Customers(np.cumsum(gaps), services, patiences)


@pytest.mark.slow
@pytest.mark.usefixtures("empty_folder")
@pytest.mark.parametrize(("rates", "expected"), CASES)
def test_impatient_clients_leave_as_in_erlang_a(rates: Any, expected: Queue) -> None:
    """The run and a brute-force queue of the same few customers show the same.

    The brute-force queue then shows many customers, as the known values need them: what a few
    customers show by chance is in both, and cancels.
    """
    servers, count, step_s = rates[0], 4_000, token_s()
    many = drawn(rates, 1_000_000)
    unit_s = MEAN_TOKENS * step_s
    few = Customers(*(times[:count] * unit_s for times in many))
    tokens = np.maximum(np.round(few.service_s / step_s), 1).astype(int)
    rows = [f"{at_s!r},1,{n}" for at_s, n in zip(few.arrival_s.tolist(), tokens, strict=True)]
    text = "\n".join(["arrival,prompt,output", *rows])
    scenario = queue_scenario(text, servers, unit_s / rates[3])
    clients, draws = scenario.workload.clients, ClientDraws(scenario.seed)
    assert clients is not None
    patience_s = [draws.times(clients, number, 0).ttft_s or 0.0 for number in range(count)]
    few = few._replace(patience_s=np.array(patience_s))

    recorder = recorded(scenario)
    waited_s = np.array([
        record.first.arrival_s - record.end_s
        if record.status == "timed_out"
        else recorder.requests[record.number].admitted_s - record.first.arrival_s
        for record in recorder.originals
    ])  # fmt: skip
    by_hand_s = brute_force(few, servers)
    assert np.mean((waited_s < 0) == (by_hand_s < 0)) > 0.995  # but for a step of 0.1 ms
    of_run, of_few = (seen(waits, few.arrival_s, 2 * step_s) for waits in (waited_s, by_hand_s))
    np.testing.assert_allclose(of_run, of_few, rtol=0.02)
    of_many = seen(brute_force(many, servers), many.arrival_s)
    np.testing.assert_allclose(of_many + of_run - of_few, expected, rtol=0.03)
