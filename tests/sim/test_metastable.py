"""A burst that has passed keeps a cluster down if retries bring more than it can serve.

The fluid test: a server of capacity mu that works on for clients who are gone serves mu / (1 + r)
requests in time if each is retried r times. Bronson et al., Metastable Failures in Distributed
Systems, HotOS 2021.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.sim.client_runs import LONG_MODEL, client_scenario, recorded, statuses, steady_pool

SERVICE_S = 0.1


def answered_at_the_end(share: float, **clients: Any) -> float:
    """Share of answered requests in the last tenth of a run, long after a burst.

    share: rate of arrivals as a share of the capacity.
    """
    rate_per_s = share / SERVICE_S
    arrivals = {
        "process": "burst",
        "rate": f"{rate_per_s!r} /s",
        "bursts": [{"at": "10 s", "lasts": "2 s", "rate": "40 /s"}],
    }
    common = {"timeout": {"ttft": "2 s"}, "backoff": {"first": "100 ms"}, "server_aborts": False}
    scenario = client_scenario(
        common | clients,
        workload={"arrivals": arrivals, "prompt_tokens": 1, "output_tokens": 715},
        cluster={"pools": [steady_pool(1)]},
        model=LONG_MODEL,
        duration="250 s",
        drain="0 s",
    )
    recorder = recorded(scenario)
    late = [
        record.status == "finished"
        for record in recorder.originals
        if 220 <= record.first.arrival_s < 245
    ]
    assert len(statuses(recorder)) > 100
    return sum(late) / len(late)


def test_the_server_takes_a_tenth_of_a_second_for_a_request() -> None:
    scenario = client_scenario(
        None,
        workload={"arrivals": {"process": "at_once", "requests": 1}, "prompt_tokens": 1, "output_tokens": 715},
        cluster={"pools": [steady_pool(1)]},
        model=LONG_MODEL,
    )  # fmt: skip
    (request,) = recorded(scenario).requests
    assert request.finish_s == pytest.approx(SERVICE_S, rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("retries", "budget", "hidden"), [(2, None, 1 / 3), (1, None, 1 / 2), (3, 0.2, 1 / 1.2)]
)
def test_a_cluster_recovers_below_its_hidden_capacity_and_stays_down_above_it(
    retries: int, budget: float | None, hidden: float
) -> None:
    clients = {"retries": retries} | ({} if budget is None else {"retry_budget": budget})
    assert answered_at_the_end(0.75 * hidden, **clients) > 0.95
    assert answered_at_the_end(1.25 * hidden, **clients) < 0.05


def test_a_server_that_aborts_recovers_whatever_clients_retry() -> None:
    assert answered_at_the_end(0.8, retries=3, server_aborts=True) > 0.95
