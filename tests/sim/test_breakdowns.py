"""Servers that break down: queues that textbooks solve, and a Markov chain that is solved here.

Replicas serve one request at a time and service is exponential, so requests form a queue before one
or two servers. Faults come from a recorded trace with exponential gaps and repairs. Gaps, repairs,
arrivals and services are the midpoints of equally likely classes of their distributions in random
order: their means are exact, which a hundred times as many draws would not give.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import spsolve

import cluster_sim
from cluster_sim.results.results import Results
from tests.machines import SMALL_GPU, TINY_MODEL, engine, node
from tests.scenarios import make_scenario

TOKENS = 2_000
"""Mean length of an answer; with one request at a time, service is in proportion to it."""


class Rates(NamedTuple):
    """Rates of arrivals, of failures and of repairs, per mean service time."""

    arrival: float
    failure: float
    repair: float


def exponential(rng: np.random.Generator, count: int, mean: float) -> np.ndarray:
    """Exponentially distributed numbers: the middles of equally likely classes, in random order."""
    drawn = -np.log1p(-(np.arange(count) + 0.5) / count)
    return mean * rng.permutation(drawn / drawn.mean())


def results_of(folder: Path, servers: int, traffic: np.ndarray, faults: str) -> Results:
    """Run requests with these arrivals [s] and answers [tokens] on `servers` replicas."""
    trace = folder / "trace.csv"
    rows = "\n".join(f"{at_s!r},1,{tokens:.0f}" for at_s, tokens in traffic.tolist())
    trace.write_text(f"at,prompt,answer\n{rows}\n")
    (folder / "faults.csv").write_text(f"at_s,what,where,lasts_s\n{faults}")
    # Every step takes the same time, and the prefill after a loss nearly none.
    gpu = SMALL_GPU | {
        "memory": {"capacity": "100 GB", "bandwidth": "1 TB/s"},
        "peak": {"bf16": "1 PFLOP/s"},
    }
    pool = {
        "name": "p",
        "node": node(gpu, 1),
        "nodes": servers,
        "replica": {"engine": engine(max_sequences=1, max_batched_tokens=8192)},
        # of constant size, so that requests wait at the router while no replica works
        "autoscale": {"min": servers, "max": servers, "metric": "queue", "target": 1e6, "period": "1 h"},
    }  # fmt: skip
    columns = {"arrival": "at", "prompt": "prompt", "output": "answer"}
    return cluster_sim.simulate(
        make_scenario(
            duration="1e9 s",
            model=TINY_MODEL | {"max_context": 1_000_000},
            workload={"trace": {"path": str(trace), "columns": columns, "time_unit": "s"}},
            cluster={"pools": [pool], "router": {"policy": "least_requests"}},
            site={"failures": {"path": str(folder / "faults.csv")}} if faults else None,
        )
    )


def mean_in_system(
    folder: Path, servers: int, rates: Rates, requests: int, seed: int
) -> tuple[float, Results]:
    """Simulated mean number of requests in the system, by Little's law, and the results."""
    alone = results_of(folder, 1, np.array([(0.0, 1.0), (1e6, 1.0 + TOKENS)]), "")
    service_s = np.diff(alone.requests["finish_s"].to_numpy() - [0.0, 1e6])[0]
    rng = np.random.default_rng(seed)
    arrival_s = np.cumsum(exponential(rng, requests, service_s / rates.arrival))
    answers = np.maximum(np.rint(exponential(rng, requests, TOKENS)), 1)
    lines = []
    for server in range(servers):
        count = int(arrival_s[-1] / service_s / (1 / rates.failure + 1 / rates.repair))
        up_s = exponential(rng, count, service_s / rates.failure)
        down_s = exponential(rng, count, service_s / rates.repair)
        begin_s = np.cumsum(up_s) + np.concatenate([[0.0], np.cumsum(down_s)[:-1]])
        lines += [
            f"{at_s!r},node_failure,p/{server},{lasts_s!r}"
            for at_s, lasts_s in zip(begin_s.tolist(), down_s.tolist(), strict=True)
        ]
    results = results_of(
        folder, servers, np.stack([arrival_s, answers], axis=1), "\n".join(lines) + "\n"
    )
    table = results.requests
    in_system_s = table["finish_s"].to_numpy() - table["arrival_s"].to_numpy()
    assert not np.isnan(in_system_s).any()
    return float(in_system_s.sum() / arrival_s[-1]), results


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rates", "wanted", "requests"),
    [(Rates(0.5, 0.05, 0.5), 1.42424, 30_000), (Rates(0.3, 0.01, 0.05), 2.125, 30_000)],
)
def test_one_server_that_breaks_down_at_any_time_is_as_the_textbook_says(
    rates: Rates, wanted: float, requests: int, tmp_path: Path
) -> None:
    """L = λ((ξ + η)² + μξ) / ((ξ + η)(ημ − λ(ξ + η))); service resumes after the repair.

    White and Christie, Queuing with preemptive priorities or with breakdown, Operations Research
    6(1), 1958.
    """
    arrival, failure, repair = rates
    both = failure + repair
    exact = arrival * (both**2 + failure) / (both * (repair - arrival * both))
    assert exact == pytest.approx(wanted, rel=1e-5)
    in_system, results = mean_in_system(tmp_path, 1, rates, requests, seed=4)
    assert in_system == pytest.approx(wanted, rel=0.03)
    lost = [row for row in results.states.to_pylist() if row["state"] == "lost"]
    assert len(lost) > 100


@pytest.mark.slow
def test_two_servers_that_break_down_are_as_their_markov_chain(tmp_path: Path) -> None:
    """A request joins the shorter queue; those of a lost server go on at the other one."""
    rates = Rates(1.2, 0.05, 0.4)
    in_system, _ = mean_in_system(tmp_path, 2, rates, 40_000, seed=7)
    assert in_system == pytest.approx(two_servers(rates, most=60), rel=0.03)


def two_servers(rates: Rates, most: int) -> float:
    """Mean number in the system of two servers with queues of their own, at most `most` in all.

    States: both work with n and m requests, the first no more than the second (by symmetry), one
    works with n, none works with n.
    """
    states = [("both", n, m) for m in range(most + 1) for n in range(m + 1) if n + m <= most]
    states += [(kind, 0, n) for kind in ("one", "none") for n in range(most + 1)]
    index = {state: place for place, state in enumerate(states)}
    rows, columns, values = list[int](), list[int](), list[float]()

    def flow(start: tuple[str, int, int], end: tuple[str, int, int], rate: float) -> None:
        rows.extend([index[end], index[start]])
        columns.extend([index[start], index[start]])
        values.extend([rate, -rate])

    for state in states:
        _from_state(state, rates, most, partial(flow, state))
    rows.extend([0] * len(states))  # the shares add up to one, in place of one of the equations
    matrix = coo_matrix(
        (values + [1.0] * len(states), (rows, [*columns, *range(len(states))]))
    ).tolil()
    matrix[0, :] = 1.0
    right = np.zeros(len(states))
    right[0] = 1.0
    shares = spsolve(matrix.tocsc(), right)
    return float(sum(share * (n + m) for share, (_, n, m) in zip(shares, states, strict=True)))


def _from_state(
    state: tuple[str, int, int],
    rates: Rates,
    most: int,
    flow: Callable[[tuple[str, int, int], float], None],
) -> None:
    kind, n, m = state
    both = partial(lambda first, second: ("both", min(first, second), max(first, second)))
    if n + m < most:
        flow(both(n + 1, m) if kind == "both" else (kind, 0, m + 1), rates.arrival)
    if kind == "both":
        flow(("one", 0, n + m), 2 * rates.failure)
        if n:
            flow(both(n - 1, m), 1.0)
        if m:
            flow(both(n, m - 1), 1.0)
    elif kind == "one":
        flow(("none", 0, m), rates.failure)
        flow(both(0, m), rates.repair)
        if m:
            flow(("one", 0, m - 1), 1.0)
    else:
        flow(("one", 0, m), 2 * rates.repair)
