"""Runs of small scenarios with clients, and what is recorded of them."""

from __future__ import annotations

from typing import Any

from cluster_sim.deployment.fleet import resolve
from cluster_sim.results.recorder import Recorder
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.sim.build import build
from cluster_sim.sim.run import run
from tests.machines import SMALL_GPU, TINY_MODEL, engine, node
from tests.scenarios import WORKLOAD, make_pool, make_scenario

NOBODY = {"policy": "token_bucket", "rate": "0.00001 /s", "burst": 1, "counts": "tokens"}
"""Admission that rejects every request."""

LONG_MODEL = TINY_MODEL | {"max_context": 1_000_000}
_STEADY_GPU = SMALL_GPU | {
    "memory": {"capacity": "1 TB", "bandwidth": "10000 TB/s"},
    "peak": {"bf16": "1000 PFLOP/s"},
    "overheads": {
        "default": SMALL_GPU["overheads"]["default"] | {"sequence": "0 us", "eager_layer": "20 us"}
    },
}


def steady_pool(servers: int, devices: int = 1) -> dict[str, Any]:
    """Replicas that serve `servers` requests at a time, each step in the same time."""
    return {
        "name": "steady",
        "node": node(_STEADY_GPU, devices),
        "replica": {"engine": engine(max_sequences=servers)},
    }


def recorded(scenario: Scenario) -> Recorder:
    """What a run records."""
    simulation = build(scenario, resolve(scenario))
    run(simulation)
    return simulation.recorder


def client_scenario(
    clients: dict[str, Any] | None, devices: int = 1, workload: Any = None, **changes: Any
) -> Scenario:
    """A small scenario with these clients; changes of the workload and of the scenario."""
    traffic = WORKLOAD | (workload or {})
    if clients is not None:
        traffic = traffic | {"clients": clients}
    cluster = {"pools": [make_pool(devices=devices)]} | changes.pop("cluster", {})
    return make_scenario(workload=traffic, cluster=cluster, **changes)


def sent_s(recorder: Recorder, original: int = 0) -> list[float]:
    """Times at which the attempts of a request were sent [s]."""
    return [request.arrival_s for request in recorder.requests if request.original == original]


def statuses(recorder: Recorder) -> list[str]:
    """Status of each request of a client."""
    return [record.status for record in recorder.originals]


def outcome(recorder: Recorder, number: int) -> str:
    """What became of an attempt, for its client."""
    if number in recorder.given_up:
        return recorder.given_up[number]
    if number in recorder.rejected:
        return "rejected"
    if number in recorder.failed:
        return "failed"
    finish_s = recorder.requests[number].finish_s
    return "finished" if finish_s == finish_s else "unfinished"
