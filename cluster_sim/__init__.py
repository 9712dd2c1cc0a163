"""cluster-sim: a discrete-event simulator of LLM inference clusters.

    scenario = cluster_sim.load_scenario("scenarios/burst_70b.yaml", variant="b200")
    results = cluster_sim.simulate(scenario)
    results.summary()["p99_ttft_ms"]

The names below are imported when they are first used, so that `import cluster_sim` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cluster_sim.errors import ScenarioError, SimulationError
    from cluster_sim.loading import load_scenario, load_variants
    from cluster_sim.results import Results, load_results
    from cluster_sim.scenario import Scenario
    from cluster_sim.simulation import simulate

_HOMES = {
    "Results": "results",
    "Scenario": "scenario",
    "ScenarioError": "errors",
    "SimulationError": "errors",
    "load_results": "results",
    "load_scenario": "loading",
    "load_variants": "loading",
    "simulate": "simulation",
}

__all__ = ["Results", "Scenario", "ScenarioError", "SimulationError", "load_results", "load_scenario", "load_variants", "simulate"]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module 'cluster_sim' has no attribute '{name}'")
    return getattr(import_module(f"cluster_sim.{_HOMES[name]}"), name)
