"""cluster-sim: a discrete-event simulator of LLM inference clusters.

    scenario = cluster_sim.load_scenario("scenarios/burst_70b.yaml", variant="b200")
    results = cluster_sim.simulate(scenario)
    results.summary()["p99_ttft_ms"]
    cluster_sim.compare("scenarios/burst_70b.yaml", replications=20).table

The names below are imported when they are first used, so that `import cluster_sim` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cluster_sim.errors import ScenarioError, SimulationError
    from cluster_sim.loading.files import load_scenario, load_variants
    from cluster_sim.results.results import Results, load_results
    from cluster_sim.scenario.scenario import Scenario
    from cluster_sim.sim.limits import RunLimits
    from cluster_sim.sim.simulate import simulate
    from cluster_sim.studies.attribution import attribute
    from cluster_sim.studies.capacity import capacity
    from cluster_sim.studies.compare import compare
    from cluster_sim.studies.nodes_under_cap import nodes_under_cap
    from cluster_sim.studies.plan import plan
    from cluster_sim.studies.sensitivity import sensitivity
    from cluster_sim.studies.sweep import sweep

_HOMES = {
    "Results": "results.results",
    "RunLimits": "sim.limits",
    "Scenario": "scenario.scenario",
    "ScenarioError": "errors",
    "SimulationError": "errors",
    "attribute": "studies.attribution",
    "capacity": "studies.capacity",
    "compare": "studies.compare",
    "load_results": "results.results",
    "load_scenario": "loading.files",
    "load_variants": "loading.files",
    "nodes_under_cap": "studies.nodes_under_cap",
    "plan": "studies.plan",
    "sensitivity": "studies.sensitivity",
    "simulate": "sim.simulate",
    "sweep": "studies.sweep",
}

__all__ = [
    "Results",
    "RunLimits",
    "Scenario",
    "ScenarioError",
    "SimulationError",
    "attribute",
    "capacity",
    "compare",
    "load_results",
    "load_scenario",
    "load_variants",
    "nodes_under_cap",
    "plan",
    "sensitivity",
    "simulate",
    "sweep",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "__version__":
        from cluster_sim.version import own_version

        return own_version()
    if name not in _HOMES:
        raise AttributeError(f"module 'cluster_sim' has no attribute '{name}'")
    return getattr(import_module(f"cluster_sim.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """Return the public names."""
    return [*__all__, "__version__"]
