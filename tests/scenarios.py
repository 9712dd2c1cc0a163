"""Small scenarios for tests, made without a file."""

from __future__ import annotations

from typing import Any

from cluster_sim.loading.checks.scenario import faults_of
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.schema import Document, describe
from tests.machines import SMALL_GPU, TINY_MODEL, engine, node

WORKLOAD: dict[str, Any] = {
    "arrivals": {"process": "poisson", "rate": "2 /s"},
    "prompt_tokens": 100,
    "output_tokens": 20,
}


def make_pool(name: str = "gpus", devices: int = 1, **changes: Any) -> dict[str, Any]:
    """A pool of nodes of `devices` small GPUs, as a scenario writes it; the plan is one GPU."""
    return {
        "name": name,
        "node": node(SMALL_GPU, devices),
        "replica": {"engine": engine()},
    } | changes


def with_partner(pool: dict[str, Any]) -> list[dict[str, Any]]:
    """A pool, followed by the partner that its role wants."""
    role = pool["replica"].get("role", "both")
    if role == "both":
        return [pool]
    other = "decode" if role == "prefill" else "prefill"
    return [pool, make_pool("partner", replica={"engine": engine(), "role": other})]


def make_scenario(**changes: Any) -> Scenario:
    """As `unchecked_scenario`, but checked as a file is."""
    scenario = unchecked_scenario(**changes)
    assert not list(faults_of(scenario))
    return scenario


def unchecked_scenario(**changes: Any) -> Scenario:
    """A tiny model on one small GPU under a little Poisson traffic, with other keys changed."""
    keys: dict[str, Any] = {
        "name": "small",
        "duration": "10 s",
        "model": TINY_MODEL,
        "workload": WORKLOAD,
        "cluster": {"pools": [make_pool()]},
    }
    return describe(Scenario, Document(keys | changes, "test"))
