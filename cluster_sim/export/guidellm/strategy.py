"""Strategy with which GuideLLM's client would send the requests of a scenario."""

from __future__ import annotations

from math import inf
from typing import Any

from cluster_sim.export.client_load import declared_load
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.workload.arrivals import ClientLoad


def strategy(scenario: Scenario) -> dict[str, Any]:
    """Return the strategy of GuideLLM that corresponds to the arrivals of a scenario.

    Strategies are a number of clients, all requests at the start, and a rate with Poisson or constant
    gaps. All other traffic is the replay of a trace.
    """
    load = declared_load(scenario) or ClientLoad()
    if load.max_concurrency is not None:
        return {"type_": "concurrent", "streams": load.max_concurrency}
    if load.queued is not None:
        return {"type_": "throughput", "max_concurrency": load.queued}
    if load.rate_per_s is not None and load.gamma_shape == 1.0:
        return {"type_": "poisson", "rate": load.rate_per_s, "random_seed": scenario.seed}
    if load.rate_per_s is not None and load.gamma_shape == inf:
        return {"type_": "constant", "rate": load.rate_per_s}
    return {"type_": "trace"}


def profile(chosen: dict[str, Any]) -> dict[str, Any]:
    """Return the profile with which a user selects a strategy."""
    kind = chosen["type_"]
    if kind == "concurrent":
        return {"kind": kind, "streams": [chosen["streams"]]}
    if kind in ("poisson", "constant"):
        return {"kind": kind, "rate": [chosen["rate"]]}
    if kind == "throughput":
        return {"kind": kind, "max_concurrency": chosen["max_concurrency"]}
    return {"kind": "replay"}
