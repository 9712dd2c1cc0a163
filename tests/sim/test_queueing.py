"""One request at a time is a queue that textbooks solve; the simulator must agree with them."""

from __future__ import annotations

from heapq import heapreplace
from pathlib import Path

import numpy as np
import pytest

import cluster_sim
from tests.machines import SMALL_GPU, TINY_MODEL, engine, node
from tests.oracles import (
    blocked_fraction,
    erlang_c_wait_s,
    pollaczek_khinchine_s,
    supermarket_queue,
)


def single_servers(
    tmp_path: Path,
    servers: int,
    rate_per_s: float,
    output: object,
    requests: int,
    router: str | dict[str, object],
    seed: int,
    admission: dict[str, object] | None = None,
) -> cluster_sim.Results:
    """`servers` replicas that each serve one request at a time; prompts of one token, so service is
    proportional to the answer.
    """
    import json

    # Without KV traffic to speak of every step takes the same time, whatever the context.
    gpu = SMALL_GPU | {"memory": {"capacity": "100 GB", "bandwidth": "1 TB/s"}}
    scenario = {
        "name": "queue",
        "seed": seed,
        "model": TINY_MODEL | {"max_context": 1_000_000},
        "workload": {
            "arrivals": {"process": "poisson", "rate": f"{rate_per_s} /s", "requests": requests},
            "prompt_tokens": 1,
            "output_tokens": output,
        },
        "cluster": {
            "pools": [{
                "name": "p", "node": node(gpu, servers), "replica": {"engine": engine(max_sequences=1)},
            }],
            "router": {"policy": router} if isinstance(router, str) else router,
            "admission": admission or {"policy": "accept_all"},
        },
    }  # fmt: skip
    path = tmp_path / "queue.yaml"
    path.write_text(json.dumps(scenario))
    return cluster_sim.simulate(cluster_sim.load_scenario(path))


def exponential(tmp_path: Path) -> dict[str, str]:
    """Answers of 2,000 tokens in the mean, as lengths in a scenario."""
    lengths = tmp_path / "exponential.csv"
    drawn = np.random.default_rng(11).exponential(2_000, 100_000)
    lengths.write_text("\n".join(str(max(round(length), 1)) for length in drawn))
    return {"distribution": "empirical", "path": str(lengths)}


def columns(results: cluster_sim.Results) -> tuple[np.ndarray, np.ndarray]:
    """(wait, service) of every request [s]."""
    table = results.requests
    arrival_s, admitted_s, finish_s = (
        table[name].to_numpy() for name in ("arrival_s", "admitted_s", "finish_s")
    )
    return admitted_s - arrival_s, finish_s - admitted_s


def drawn_load(results: cluster_sim.Results) -> float:
    """Servers that the drawn traffic keeps busy in the mean: arrivals a second times the mean
    service.
    """
    _, service_s = columns(results)
    return (
        results.requests.num_rows
        / float(results.requests["arrival_s"].to_numpy()[-1])
        * float(np.nanmean(service_s))
    )


def waits_s(servers: int, arrival_s: np.ndarray, service_s: np.ndarray) -> np.ndarray:
    """Wait of every customer, first come, first served, customer by customer (Kiefer and Wolfowitz,
    1955; Lindley, 1952, for one server).
    """
    free_s, waits = [0.0] * servers, []
    for arrives_s, lasts_s in zip(arrival_s.tolist(), service_s.tolist(), strict=True):
        begins_s = max(arrives_s, free_s[0])
        heapreplace(free_s, begins_s + lasts_s)
        waits.append(begins_s - arrives_s)
    return np.array(waits)


def mean_wait_s(servers: int, rate_per_s: float, service_s: np.ndarray) -> float:
    """Mean wait of a million customers whose services are drawn from `service_s`."""
    random, many = np.random.default_rng(3), 1_000_000
    arrival_s = np.cumsum(random.exponential(1.0 / rate_per_s, many))
    return float(waits_s(servers, arrival_s, random.choice(service_s, many)).mean())


def check_waits(servers: int, results: cluster_sim.Results) -> None:
    """Waits of a run are those of the queue, customer by customer.

    Loads are known to a whole step, so that two customers may change places, which leaves the mean
    as it is.
    """
    wait_s, service_s = columns(results)
    arrival_s = results.requests["arrival_s"].to_numpy()
    assert wait_s.max() > 3 * service_s.mean()
    expected_s = waits_s(servers, arrival_s, service_s)
    assert wait_s.mean() == pytest.approx(expected_s.mean(), rel=2e-3)
    assert np.mean(np.abs(wait_s - expected_s) < 1e-6) > (0.98 if servers > 1 else 0.9999)


@pytest.mark.slow
@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_a_batch_of_one_waits_as_an_m_g_1_queue(tmp_path: Path, load: float) -> None:
    """Waits of a run are those of the queue one by one, and a million customers of that queue wait
    as the formula says.
    """
    output = {"distribution": "lognormal", "median": 80, "sigma": 0.9}
    _, service_s = columns(single_servers(tmp_path, 1, 0.001, output, 2_000, "round_robin", seed=1))
    rate_per_s = load / float(service_s.mean())
    check_waits(1, single_servers(tmp_path, 1, rate_per_s, output, 8_000, "round_robin", seed=3))
    assert mean_wait_s(1, rate_per_s, service_s) == pytest.approx(
        pollaczek_khinchine_s(rate_per_s, service_s.tolist()), rel=0.03
    )


@pytest.mark.slow
@pytest.mark.parametrize("servers", [2, 4])
def test_replicas_that_get_the_least_work_wait_as_one_queue_before_c_servers(
    tmp_path: Path, servers: int
) -> None:
    """Join-the-least-work is first-come-first-served before c servers, so exponential service gives
    M/M/c (Erlang C). Waits of a run are those of the queue one by one, and a million customers of
    that queue wait as the formula says.
    """
    output = exponential(tmp_path)
    _, service_s = columns(
        single_servers(tmp_path, 1, 0.0001, output, 2_000, "round_robin", seed=2)
    )
    rate_per_s = 0.75 * servers / float(service_s.mean())
    check_waits(
        servers, single_servers(tmp_path, servers, rate_per_s, output, 8_000, "least_work", seed=9)
    )
    exponential_s = np.random.default_rng(5).exponential(float(service_s.mean()), 100_000)
    assert mean_wait_s(servers, rate_per_s, exponential_s) == pytest.approx(
        erlang_c_wait_s(servers, rate_per_s, float(exponential_s.mean())), rel=0.03
    )


@pytest.mark.slow
@pytest.mark.parametrize(("load", "places"), [(0.8, 4), (1.5, 3)])
def test_a_limited_queue_refuses_as_an_m_m_1_k_queue(
    tmp_path: Path, load: float, places: int
) -> None:
    """One is served and K - 1 may wait."""
    output = exponential(tmp_path)
    _, service_s = columns(
        single_servers(tmp_path, 1, 0.0001, output, 2_000, "round_robin", seed=2)
    )
    admission: dict[str, object] = {"policy": "queue_limit", "max_waiting": places - 1}
    results = single_servers(
        tmp_path,
        1,
        load / float(service_s.mean()),
        output,
        40_000,
        "round_robin",
        seed=5,
        admission=admission,
    )
    refused = float(np.mean(results.requests["status"].to_numpy() == "rejected"))
    assert refused == pytest.approx(blocked_fraction(drawn_load(results), places), rel=0.03)


@pytest.mark.slow
def test_the_better_of_two_queues_is_nearly_as_good_as_the_mean_field_says(tmp_path: Path) -> None:
    """The supermarket model: with one choice each queue is M/M/1, with two its tail falls doubly
    exponentially.
    """
    servers, load, output = 60, 0.9, exponential(tmp_path)
    _, service_s = columns(
        single_servers(tmp_path, 1, 0.0001, output, 2_000, "round_robin", seed=2)
    )
    in_queue = {}
    for router, requests in (("random", 20_000), ("power_of_two", 40_000)):
        results = single_servers(
            tmp_path,
            servers,
            load * servers / float(service_s.mean()),
            output,
            requests,
            router,
            seed=6,
        )
        arrival_s, finish_s = (
            results.requests[name].to_numpy() for name in ("arrival_s", "finish_s")
        )
        in_queue[router] = (
            float(np.mean((finish_s - arrival_s)[requests // 4 :]))
            * requests
            / float(arrival_s[-1])
            / servers
        )  # Little's law
    assert in_queue["power_of_two"] == pytest.approx(
        supermarket_queue(drawn_load(results) / servers, choices=2), rel=0.05
    )
    assert in_queue["random"] > 2 * in_queue["power_of_two"]


@pytest.mark.slow
def test_late_news_makes_a_herd_of_the_shortest_queue_but_not_of_the_better_of_two(
    tmp_path: Path,
) -> None:
    """Loads ten services old: who joins the shortest queue does worse than blind chance, as
    Mitzenmacher found (TPDS 11(1), 2000).
    """
    servers, output = 20, exponential(tmp_path)
    wait_s = {}
    for router in ("random", "power_of_two", "least_requests"):
        policy: dict[str, object] = {"policy": router} | (
            {} if router == "random" else {"staleness": "10 s"}
        )  # a service takes 1 s
        wait_s[router] = float(
            columns(
                single_servers(tmp_path, servers, 0.8 * servers, output, 10_000, policy, seed=8)
            )[0].mean()
        )
    assert wait_s["least_requests"] > 10 * wait_s["random"]
    assert wait_s["power_of_two"] < wait_s["random"]
