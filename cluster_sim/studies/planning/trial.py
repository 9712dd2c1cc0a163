"""Simulation of one deployment on a part of its traffic, and the verdict on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any, NamedTuple

import numpy as np

from cluster_sim.results.cost import planned_usd_per_hour
from cluster_sim.results.metrics import verdict
from cluster_sim.results.metrics.finished import counted
from cluster_sim.results.metrics.verdict import Objective
from cluster_sim.results.results import Results
from cluster_sim.results.states import mean_nodes
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.sim.limits import RunLimits
from cluster_sim.studies.grid import program_version
from cluster_sim.studies.limited import simulated_within
from cluster_sim.studies.planning.certain_miss import CertainMiss
from cluster_sim.studies.store import Record
from cluster_sim.studies.sweep_point import failed, failed_by

_FIGURES = ("request_goodput", "slo_attainment", "mean_power_w", "completed")
"""Metrics of a run that a plan compares or prints."""


@dataclass(frozen=True)
class Trial:
    """Verdict on a deployment after a part of its traffic."""

    share: float
    """Simulated share of the traffic; 1 for a run of full length."""
    latencies_s: Mapping[str, float]
    """Value of each objective's latency at its percentile [s]; infinite if too few requests
    finish."""
    ratios: Mapping[str, float]
    """Value over limit by objective."""
    figures: Mapping[str, float]
    """Metrics of the run."""
    simulated: float
    """Share of the whole traffic that was simulated, less than `share` if the run ended early."""
    fault: str = ""
    """Reason of a failed simulation; empty if it did not fail."""
    misses: bool = False
    """Whether the run ended early because it misses an objective for certain. Its latencies are
    lower bounds."""

    @property
    def ratio(self) -> float:
        """Largest value over limit of all objectives; at most 1 if the SLO is met."""
        return max(self.ratios.values(), default=inf)

    @property
    def is_met(self) -> bool:
        """Whether every objective is met."""
        return not self.fault and not self.misses and self.ratio <= 1.0

    @classmethod
    def from_record(cls, record: Record) -> Trial:
        """Return the trial of a stored record."""
        if record["status"] != "done":
            return cls(0.0, {}, {}, {}, 0.0, record["reason"])
        kept = record["summary"]
        values = {name: inf if value is None else value for name, value in kept["values"].items()}
        ratios = {name: values[name] / limit_s for name, limit_s in kept["limits"].items()}
        misses = kept["misses"]
        return cls(kept["share"], values, ratios, kept["figures"], kept["simulated"], misses=misses)


class Part(NamedTuple):
    """Part of the traffic of a scenario."""

    share: float
    """Simulated share of the traffic."""
    requests: int
    """Number of requests of the whole traffic that count; 0 if it is unknown."""


def shortened(scenario: Scenario, share: float) -> Scenario:
    """Return a scenario with the first `share` of its traffic, and its whole warm-up.

    Arrivals that a seed draws are the same as those of the whole scenario until they stop.
    """
    if share >= 1.0:
        return scenario
    changes: dict[str, Any] = {}
    if scenario.duration_s is not None:
        changes["duration_s"] = scenario.duration_s * share
    workload = scenario.workload
    for name in ("arrivals", "sessions"):
        source = getattr(workload, name)
        if source is not None and source.requests:
            fewer = source.model_copy(update={"requests": max(int(source.requests * share), 1)})
            workload = workload.model_copy(update={name: fewer})
    if workload.trace is not None and workload.trace.limit:
        limit = max(int(workload.trace.limit * share), 1)
        trace = workload.trace.model_copy(update={"limit": limit})
        workload = workload.model_copy(update={"trace": trace})
    return scenario.model_copy(update=changes | {"workload": workload})


def _of_scaled_pools(scenario: Scenario, results: Results) -> dict[str, float]:
    """Return the mean number of nodes and their cost if a pool is scaled; else nothing."""
    if not is_scaled(scenario):
        return {}
    nodes_on = mean_nodes(results)
    cost = planned_usd_per_hour(scenario, nodes_on=nodes_on)
    figures = {"mean_nodes": sum(nodes_on.values())}
    return figures if cost is None else figures | {"mean_usd_per_hour": cost}


def is_scaled(scenario: Scenario) -> bool:
    """Return whether the number of replicas of a pool follows the load."""
    return any(pool.autoscale is not None for pool in scenario.cluster.pools)


def tried(
    scenario: Scenario, part: Part, wanted: Sequence[Objective], limits: RunLimits
) -> dict[str, Any]:
    """Simulate a part of a scenario; return the record of its trial, which may be a failure.

    Parameters
    ----------
    scenario
        Scenario with the part of its traffic.
    part
        Part of the traffic that the scenario has.
    wanted
        Objectives by which it is judged.
    limits
        Limits of wall time and memory.
    """
    check = None
    if part.requests and not scenario.workload.classes:
        check = CertainMiss(wanted, part.requests)
    try:
        results = simulated_within(scenario, replace(limits, hopeless=check))
        misses = check is not None and check.found is not None
        if results.info.stopped is not None and not misses:
            return dict(failed(results.info.stopped), version=program_version())
        outcomes = verdict.judged([results], wanted).outcomes
        summary = results.summary()
        figures = {name: summary[name] for name in _FIGURES if summary.get(name) is not None}
        figures |= _of_scaled_pools(scenario, results)
    except Exception as error:
        return failed_by(error)
    values = {each.objective.name: each.value_s for each in outcomes}
    if check is not None and misses:  # requests that the end has cut off are not slow
        values = check.at_least_s
    return {
        "status": "done",
        "reason": "",
        "summary": {
            "share": part.share,
            "misses": misses,
            "simulated": _simulated(results, part) if misses else part.share,
            "values": {name: None if value == inf else value for name, value in values.items()},
            "limits": {each.name: each.limit_s for each in wanted},
            "figures": figures,
        },
        "wall_s": results.info.wall_s,
        "version": program_version(),
    }


def _simulated(results: Results, part: Part) -> float:
    """Return the share of the whole traffic that a run simulated before it ended early."""
    return min(int(np.sum(counted(results))) / part.requests, part.share)
