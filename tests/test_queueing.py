"""One request at a time is a queue that textbooks solve; the simulator must agree with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import cluster_sim
from tests.machines import SMALL_GPU, TINY_MODEL, engine, node
from tests.oracles import erlang_c_wait_s, pollaczek_khinchine_s


def single_servers(tmp_path: Path, servers: int, rate_per_s: float, output: object, requests: int, router: str, seed: int) -> cluster_sim.Results:
    """`servers` replicas that each serve one request at a time; prompts of one token, so service is proportional to the answer."""
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
            "router": {"policy": router},
        },
    }  # fmt: skip
    path = tmp_path / "queue.yaml"
    path.write_text(json.dumps(scenario))
    return cluster_sim.simulate(cluster_sim.load_scenario(path))


def columns(results: cluster_sim.Results) -> tuple[np.ndarray, np.ndarray]:
    """(wait, service) of every request [s]."""
    table = results.requests
    arrival_s, admitted_s, finish_s = (table[name].to_numpy() for name in ("arrival_s", "admitted_s", "finish_s"))
    return admitted_s - arrival_s, finish_s - admitted_s


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_a_batch_of_one_waits_as_an_m_g_1_queue(tmp_path: Path, load: float) -> None:
    output = {"distribution": "lognormal", "median": 80, "sigma": 0.9}
    _, service_s = columns(single_servers(tmp_path, 1, 0.001, output, 2_000, "round_robin", seed=1))
    rate_per_s = load / float(service_s.mean())
    wait_s, service_s = columns(single_servers(tmp_path, 1, rate_per_s, output, 250_000 if load > 0.7 else 120_000, "round_robin", seed=3))
    # Against the moments of the drawn services and the drawn rate, so that only the queue is compared.
    assert wait_s.mean() == pytest.approx(pollaczek_khinchine_s(rate_per_s, service_s.tolist()), rel=0.03)


@pytest.mark.parametrize("servers", [2, 4])
def test_replicas_that_get_the_least_work_wait_as_one_queue_before_c_servers(tmp_path: Path, servers: int) -> None:
    """Join-the-least-work is first-come-first-served before c servers, so exponential service gives M/M/c (Erlang C)."""
    lengths = tmp_path / "exponential.csv"
    drawn = np.random.default_rng(11).exponential(2_000, 100_000)
    lengths.write_text("\n".join(str(max(round(length), 1)) for length in drawn))
    output = {"distribution": "empirical", "path": str(lengths)}
    _, service_s = columns(single_servers(tmp_path, 1, 0.0001, output, 2_000, "round_robin", seed=2))
    rate_per_s = 0.75 * servers / float(service_s.mean())
    wait_s, service_s = columns(single_servers(tmp_path, servers, rate_per_s, output, 150_000, "least_work", seed=9))
    assert wait_s.mean() == pytest.approx(erlang_c_wait_s(servers, rate_per_s, float(service_s.mean())), rel=0.03)
