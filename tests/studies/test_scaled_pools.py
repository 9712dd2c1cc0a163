"""Plan and capacity judge a pool that is scaled by its mean cost; the scaler agrees with capacity."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pytest import approx

import cluster_sim
from cluster_sim.deployment.fleet import resolve
from cluster_sim.errors import ScenarioError
from cluster_sim.physics.step_work import StepWork
from cluster_sim.results.states import mean_nodes
from cluster_sim.studies.capacity import capacity
from cluster_sim.studies.plan import plan
from tests.machines import SMALL_GPU, TINY_MODEL, engine, node

NODE_USD_PER_HOUR = 2.0
SLOTS, SIZE = 8, 4
"""Batch slots of a replica, and the number of replicas whose slots the load needs."""
EVEN_STEPS = SMALL_GPU | {
    "overheads": {
        "default": {"step": "10 ms", "sequence": "0 us", "layer": "0 us", "collective": 1.0}
    }
}
"""A small GPU whose steps take 10 ms and little more, whatever the batch."""


def scenario(**changes: Any) -> dict[str, Any]:
    """A pool of up to eight small GPUs with nearly regular arrivals, as a file has it."""
    prices = {
        "name": "rent",
        "basis": "rented",
        "year": 2026,
        "rental": f"{NODE_USD_PER_HOUR} USD/h",
    }
    pool = {
        "name": "gpus",
        "node": node(EVEN_STEPS, 1),
        "nodes": 8,
        "prices": prices,
        "replica": {"engine": engine(max_sequences=SLOTS)},
    }
    return {
        "name": "scaled",
        "seed": 1,
        "duration": "30 s",
        "model": TINY_MODEL,
        "cluster": {"pools": [pool]},
    } | changes


def written(folder: Path, keys: dict[str, Any], **pool: Any) -> Path:
    keys["cluster"]["pools"][0] |= pool
    path = folder / "scaled.yaml"
    path.write_text(json.dumps(keys))
    return path


def step_s(path: Path, batch: int) -> float:
    """Time of a decode step with this batch and half an answer in the cache [s]."""
    times = resolve(cluster_sim.load_scenario(path)).deployments[0].step_times
    return times.ramp(
        StepWork(batch=batch, growth=batch, context=batch * 60, sampled=batch)
    ).first_s


@pytest.mark.slow
def test_under_constant_load_the_scaler_settles_at_the_size_that_capacity_finds(
    tmp_path: Path,
) -> None:
    """An answer of 100 tokens takes about a second and a slot, so that 28.8 requests per second need
    28.8 slots: four replicas of eight, 7.2 in the batch of each. With three, the queue grows.
    """
    workload = {"prompt_tokens": 10, "output_tokens": 100}
    rate = {"arrivals": {"process": "gamma", "rate": "1 /s", "cv": 0.1}}
    path = written(tmp_path, scenario(workload=workload | rate))
    rate_per_s = 0.9 * SIZE * SLOTS / (100 * step_s(path, SLOTS))
    rate["arrivals"]["rate"] = f"{rate_per_s!r} /s"
    keys = scenario(
        workload=workload | rate,
        slo={"ttft": "200 ms", "percentile": 95},
        capacity={"rate": f"{rate_per_s!r} /s", "max_nodes": 8},
    )
    (option,) = capacity(written(tmp_path, keys), workers=0).options
    assert option.answer is not None and option.answer.nodes == SIZE
    scaling = {
        "metric": "running", "target": 7.9, "min": 1, "max": 8, "tolerance": 0.0,
        "period": "1 s", "provision": "0 s", "readiness_delay": "0 s", "stabilisation": "5 s",
    }  # fmt: skip
    for first in (1, 8):
        of_pool = scaling | {"initial": first}
        path = written(tmp_path, keys, autoscale=of_pool)
        results = cluster_sim.simulate(cluster_sim.load_scenario(path))
        changes = [
            (row["at_s"], row["value"])
            for row in results.events.to_pylist()
            if row["what"].startswith("scaled")
        ]
        while_load_lasts = [change for change in changes if change[0] <= 30.0]
        assert while_load_lasts[-1][1] == SIZE and while_load_lasts[-1][0] < 20.0


def day(tmp_path: Path, **section: Any) -> Path:
    """A pool whose load comes in a wave of 30 s, and that scales with it."""
    burst = {"rate": "25 /s", "at": "10 s", "lasts": "30 s"}
    workload = {
        "arrivals": {"process": "burst", "rate": "2 /s", "bursts": [burst]},
        "prompt_tokens": 10,
        "output_tokens": 100,
    }
    scaling = {
        "metric": "running", "target": 6, "max": 6, "period": "1 s", "provision": "0 s",
        "readiness_delay": "0 s", "stabilisation": "5 s",
    }  # fmt: skip
    slo = {"ttft": "3 s", "percentile": 95}
    keys = scenario(workload=workload, slo=slo, duration="60 s", **section)
    return written(tmp_path, keys, autoscale=scaling, nodes=6)


@pytest.mark.slow
def test_capacity_charges_a_scaled_pool_for_the_nodes_that_are_on(tmp_path: Path) -> None:
    path = day(tmp_path, capacity={"rate": "14.5 /s", "max_nodes": 8})
    (option,) = capacity(path, workers=0).options
    assert option.answer is not None
    for trial in option.trials:
        pool = "cluster.pools[0]"
        changes = {f"{pool}.nodes": trial.nodes, f"{pool}.autoscale.max": trial.nodes}
        results = cluster_sim.simulate(cluster_sim.load_scenario(path, overrides=changes))
        assert trial.replicas == trial.nodes
        if trial is option.answer:
            expected = NODE_USD_PER_HOUR * mean_nodes(results)["gpus"]
            assert trial.usd_per_hour == approx(expected, rel=0.02)
            assert trial.usd_per_hour < NODE_USD_PER_HOUR * trial.nodes


@pytest.mark.slow
def test_a_plan_chooses_the_scaled_pool_with_the_lowest_mean_cost(tmp_path: Path) -> None:
    """Of maxima of 1, 4 and 6 replicas with minima of 1 or 3, as brute force finds it."""
    vary = {"pools.gpus.autoscale.max": [1, 4, 6], "pools.gpus.autoscale.min": [1, 3]}
    path = day(tmp_path, plan={"vary": vary})
    answer = plan(path, workers=0)
    (chosen,) = answer.chosen
    costs = {}
    for each in chosen.ranked:
        results = cluster_sim.simulate(each.scenario)
        used = NODE_USD_PER_HOUR * mean_nodes(results)["gpus"]
        assert each.usd_per_hour == each.value == approx(used)
        if each.trial.is_met:
            costs[tuple(each.values.values())] = used
    assert len(chosen.simulated) + sum(chosen.omitted.values()) == 6
    assert answer.winner is not None and len(costs) > 1
    assert costs[tuple(answer.winner.values.values())] == min(costs.values())


def test_a_plan_of_a_scaled_pool_must_say_what_varies(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"pools.gpus.autoscale.max: \[2, 4\]"):
        plan(day(tmp_path, plan={"for": "nodes"}), workers=0)
