"""Pools that follow their load: what the process starts and removes, and when."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pytest import approx
from simpy import Timeout

from cluster_sim.deployment.fleet import resolve
from cluster_sim.loading.checks.scenario import faults_of
from cluster_sim.results.results import Results
from cluster_sim.sim.build import build
from cluster_sim.sim.run import run as run_events
from cluster_sim.sim.simulate import gather, simulate
from tests.machines import engine
from tests.scenarios import make_pool, make_scenario, unchecked_scenario

IMMEDIATE = {"provision": "0 s", "readiness_delay": "0 s", "stabilisation": "0 s", "period": "1 s"}
"""Autoscaling without delays."""


def scaled(scaling: dict[str, Any], **pool: Any) -> dict[str, Any]:
    """A pool of single small GPUs with this autoscaling, by the queue if it says nothing else."""
    written = {"metric": "queue", "max": 6} | scaling
    plan = {"engine": engine(max_sequences=4)}
    return make_pool(nodes=written["max"], replica=plan, autoscale=written, **pool)


def run(scaling: dict[str, Any], rate: float = 4.0, **keys: Any) -> Results:
    """Poisson traffic of equal requests on a scaled pool, for 120 s unless `keys` say otherwise."""
    workload = {
        "arrivals": {"process": "poisson", "rate": f"{rate} /s"},
        "prompt_tokens": 200,
        "output_tokens": 40,
    }
    defaults = {"duration": "120 s", "workload": workload, "seed": 5}
    pools = {"cluster": {"pools": [scaled(scaling)]}}
    return simulate(make_scenario(**(defaults | pools | keys)))


def desired(results: Results) -> list[tuple[float, str, float]]:
    """Changes of the number of replicas: time, kind and desired number."""
    return [
        (row["at_s"], row["what"], row["value"])
        for row in results.events.to_pylist()
        if row["what"].startswith("scaled")
    ]


def states(results: Results, replica: int) -> list[tuple[float, str]]:
    rows = results.states.to_pylist()
    return [(row["at_s"], row["state"]) for row in rows if row["replica"] == replica]


def finishes_everything(results: Results) -> bool:
    return set(results.requests["status"].to_pylist()) == {"finished"}


def bursts(stepping: str = "stretch", **scaling: Any) -> Results:
    """Bursts for 12 s, every 40 s."""
    burst = {"rate": "40 /s", "at": "10 s", "lasts": "12 s"}
    workload = {
        "arrivals": {"process": "burst", "rate": "1 /s", "bursts": [burst], "every": "40 s"},
        "prompt_tokens": 200,
        "output_tokens": 40,
    }
    return run(scaling, duration="80 s", workload=workload, stepping=stepping)


def test_a_replica_is_ready_when_its_node_is_up_and_its_weights_are_loaded() -> None:
    """Sixty requests per second overload one replica: at 15 s four more are started, as the policy
    of +4 allows. Nodes take 20 s.
    """
    results = run({"provision": "20 s"}, rate=60.0, duration="40 s")
    load_s = resolve(results.scenario).deployments[0].load_s
    assert load_s is not None and load_s > 0.0
    assert desired(results)[0] == (15.0, "scaled_up", 5.0)
    for number in range(1, 5):
        assert states(results, number)[:4] == [
            (0.0, "off"),
            (15.0, "starting"),
            (35.0, "loading"),
            (approx(35.0 + load_s), "ready"),
        ]
    table = results.requests
    of_others = table["arrival_s"].to_numpy()[table["replica"].to_numpy() > 0]
    assert of_others.min() > 35.0


def test_a_replica_on_a_node_that_is_on_needs_no_provisioning() -> None:
    """Nodes of two devices: the second replica shares the node of the first one, the third and the
    fourth share a node that is off.
    """
    plan = {"engine": engine(max_sequences=4)}
    scaling = {"metric": "queue", "max": 4, "provision": "20 s"}
    pool = make_pool(devices=2, nodes=2, replica=plan, autoscale=scaling)
    results = run({}, rate=60.0, duration="20 s", cluster={"pools": [pool]})
    assert states(results, 1)[1:3] == [(15.0, "starting"), (15.0, "loading")]
    for number in (2, 3):
        assert states(results, number)[1:3] == [(15.0, "starting"), (35.0, "loading")]


def test_draining_loses_nothing_and_removing_at_once_sends_requests_elsewhere() -> None:
    drained = bursts(**IMMEDIATE)
    assert {kind for _, kind, _ in desired(drained)} == {"scaled_up", "scaled_down"}
    assert finishes_everything(drained)
    assert "retried" not in drained.events["what"].to_pylist()
    removed = bursts(**IMMEDIATE, drain=False)
    assert finishes_everything(removed)
    assert "retried" in removed.events["what"].to_pylist()


def test_the_highest_numbers_leave_first_and_the_lowest_start_first() -> None:
    """After each change the replicas that are wanted are the first ones."""
    rows = bursts(**IMMEDIATE, drain=False).states.to_pylist()
    on = {0}
    for place, row in enumerate(rows):
        if row["state"] == "starting":
            on.add(row["replica"])
        elif row["state"] == "off":
            on.discard(row["replica"])
        if place + 1 == len(rows) or rows[place + 1]["at_s"] > row["at_s"]:
            assert on == set(range(len(on)))


def test_a_pool_at_zero_holds_requests_until_a_replica_is_ready() -> None:
    """One request every 100 s on average; the pool is off 20 s after each, and a request that finds
    it off waits for the next evaluation, the node, and the weights.
    """
    scaling = IMMEDIATE | {"min": 0, "cooldown": "20 s", "provision": "7 s"}
    results = run(scaling, rate=0.01, duration="2000 s")
    assert results.requests.num_rows > 10 and finishes_everything(results)
    assert {size for _, _, size in desired(results)} == {0.0, 1.0}
    load_s = resolve(results.scenario).deployments[0].load_s or 0.0
    first_s = results.requests["admitted_s"].to_numpy()[0]
    evaluated_s = np.ceil(results.requests["arrival_s"].to_numpy()[0])
    assert first_s == approx(evaluated_s + 7.0 + load_s, abs=0.01)


def test_requests_that_never_activate_a_pool_end_the_run_unfinished() -> None:
    arrivals = {"process": "at_once", "requests": 3}
    workload = {"arrivals": arrivals, "prompt_tokens": 10, "output_tokens": 10}
    results = run({"min": 0, "activation": 5}, workload=workload, duration=None)
    assert results.requests["status"].to_pylist() == ["unfinished"] * 3
    assert results.info.simulated_s < 100.0
    started = run({"min": 0, "activation": 2}, workload=workload, duration=None)
    assert finishes_everything(started)
    assert started.info.simulated_s < 300.0


def test_admission_decides_when_a_replica_is_ready_for_the_requests_that_were_held() -> None:
    """Ten requests come to a pool that is off. When its replica is ready, a queue of two is left of
    them.
    """
    arrivals = {"process": "at_once", "requests": 10}
    workload = {"arrivals": arrivals, "prompt_tokens": 10, "output_tokens": 10}
    cluster = {
        "pools": [scaled({"min": 0, "max": 1})],
        "admission": {"policy": "queue_limit", "max_waiting": 2},
    }
    results = run({}, workload=workload, duration=None, cluster=cluster)
    assert results.requests["status"].to_pylist() == ["finished"] * 2 + ["rejected"] * 8


@pytest.mark.slow
@pytest.mark.parametrize(
    "metric",
    [
        {"metric": "queue"},
        {"metric": "kv_cache", "target": 1e-5},
        {"metric": "running", "target": 2},
        {"metric": "ttft", "target": "100 ms"},
    ],
)
def test_a_stretch_equals_its_steps_with_every_metric(metric: dict[str, Any]) -> None:
    scaling = IMMEDIATE | metric | {"min": 0, "warm_pool": 1, "drain": False, "period": "3 s"}
    stretch, step = (bursts(stepping, **scaling) for stepping in ("stretch", "step"))
    assert len(desired(stretch)) > 3
    assert desired(stretch) == desired(step)
    for column in ("finish_s", "first_token_s", "admitted_s"):
        times = (results.requests[column].to_numpy() for results in (stretch, step))
        np.testing.assert_allclose(*times, rtol=1e-9)


def test_the_same_seed_gives_the_same_rows() -> None:
    first, second = (bursts(**IMMEDIATE, warm_pool=1) for _ in range(2))
    for table in ("requests", "events", "states", "stretches"):
        assert getattr(first, table).equals(getattr(second, table))


def test_a_pool_with_equal_minimum_and_maximum_is_like_one_without_autoscaling() -> None:
    fixed = make_pool(nodes=3, replica={"engine": engine(max_sequences=4)})
    without = run({}, rate=20.0, duration="50 s", cluster={"pools": [fixed]})
    constant = run({"min": 3, "max": 3}, rate=20.0, duration="50 s")
    assert desired(constant) == []
    for table in ("requests", "events", "stretches", "states"):
        assert getattr(without, table).equals(getattr(constant, table))


def test_a_warm_pool_is_ready_without_provisioning_and_is_filled_again() -> None:
    """Of two sleeping replicas and three others that start, the two are awake within a second."""
    results = run({"warm_pool": 2, "provision": "40 s"}, rate=60.0, duration="40 s")
    wake_s = resolve(results.scenario).deployments[0].wake_s
    for number in (1, 2):
        assert states(results, number)[:3] == [
            (0.0, "asleep"),
            (15.0, "loading"),
            (approx(15.0 + wake_s), "ready"),
        ]
    assert states(results, 3)[:2] == [(0.0, "off"), (15.0, "starting")]
    assert (15.0, "starting") in states(results, 5)  # the only one that is left for the warm pool


def test_a_removed_replica_fills_the_warm_pool() -> None:
    """After a burst the replicas that were woken sleep again, without being off in between."""
    results = bursts(**IMMEDIATE, max=3, warm_pool=2)
    for number in (1, 2):
        assert states(results, number)[0] == (0.0, "asleep")
        assert {state for _, state in states(results, number)} == {
            "asleep", "loading", "ready", "draining",
        }  # fmt: skip
        assert states(results, number)[-1][1] == "asleep"


def test_prefill_and_decode_pools_scale_apart() -> None:
    """Long answers and short prompts: decode grows, prefill does not; both come back from zero."""
    plans = {
        role: {"engine": engine(max_sequences=4), "role": role} for role in ("prefill", "decode")
    }
    scaling = {"metric": "queue", "min": 0, "max": 4, "cooldown": "10 s"} | IMMEDIATE
    pools = [
        make_pool(role, nodes=4, replica=plan, autoscale=scaling) for role, plan in plans.items()
    ]
    workload = {
        "arrivals": {"process": "poisson", "rate": "25 /s"},
        "prompt_tokens": 20,
        "output_tokens": 200,
    }
    results = run({}, cluster={"pools": pools}, workload=workload, duration="60 s")
    assert finishes_everything(results)
    sizes = {
        pool: max(
            row["value"]
            for row in results.events.to_pylist()
            if row["what"] == "scaled_up" and row["where"] == pool
        )
        for pool in plans
    }
    assert sizes["decode"] > sizes["prefill"] >= 1.0


def test_faults_are_neither_counted_nor_chosen() -> None:
    scaling = {"metric": "queue", "min": 2, "max": 4} | IMMEDIATE
    scenario = make_scenario(duration="60 s", cluster={"pools": [scaled(scaling)]}, seed=5)
    simulation = build(scenario, resolve(scenario))

    def breaks(_: object) -> None:
        for number in (1, 2):
            simulation.lifecycles[number].lose("node_failure")

    Timeout(simulation.env, 10.5).callbacks.append(breaks)
    results = gather(simulation, run_events(simulation), 0.0)
    assert states(results, 1)[-1] == (10.5, "lost")
    assert states(results, 2) == [(0.0, "off")]  # lost while it was off
    assert states(results, 3)[1] == (11.0, "starting")
    assert finishes_everything(results)


def test_a_schedule_starts_replicas_before_the_load_comes() -> None:
    schedule = [{"from": "30 s", "to": "60 s", "min": 4, "every": "100 s"}]
    results = run(IMMEDIATE | {"schedule": schedule}, rate=0.1)
    sizes = [(at_s, size) for at_s, _, size in desired(results)]
    assert sizes[:2] == [(30.0, 4.0), (60.0, 1.0)]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"nodes": 5}, "5 nodes hold 5 devices; expected at least 6 for 6 replicas"),
        ({"replicas": 6}, "got 6 beside 'autoscale'"),
        (
            {"autoscale": {"metric": "running", "target": 4, "max": 6}},
            "expected fewer than the 4 batch slots",
        ),
    ],
)
def test_a_pool_that_cannot_be_scaled_is_refused(changes: dict[str, Any], fault: str) -> None:
    scenario = unchecked_scenario(cluster={"pools": [scaled({}) | changes]})
    texts = [text for _, text in faults_of(scenario)]
    assert any(fault in text for text in texts), texts


def test_a_sample_of_a_scaled_fleet_is_refused() -> None:
    scenario = unchecked_scenario(sample=2, cluster={"pools": [scaled({})]})
    assert any("does not support autoscaling" in text for _, text in faults_of(scenario))
