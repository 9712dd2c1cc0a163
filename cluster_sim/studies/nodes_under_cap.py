"""Oversubscription: how many more nodes fit under the power caps of a site, at which cost in SLO."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cluster_sim.analysis.offered_rate import at_offered_rate, offered_per_s
from cluster_sim.deployment.power_caps import capped_nodes, missing_w, node_draws
from cluster_sim.errors import ScenarioError, SimulationError
from cluster_sim.loading.files import ScenarioFile, open_scenarios
from cluster_sim.results import energy
from cluster_sim.results.metrics import verdict
from cluster_sim.results.metrics.verdict import Objective
from cluster_sim.results.results import Results
from cluster_sim.scenario.pool import Pool
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.scenario.study_spec import Capacity
from cluster_sim.sim.limits import NO_LIMITS, RunLimits
from cluster_sim.studies.capacity_search import needs_rate
from cluster_sim.studies.grid import combinations, option_title
from cluster_sim.studies.limited import simulated_whole
from cluster_sim.studies.objectives import objectives
from cluster_sim.studies.runner import Progress, Runner, reseeded

if TYPE_CHECKING:
    import pyarrow as pa


_TOLERANCE = 0.02
"""Share by which means over 10 s may exceed a cap that is kept (an estimate: the sensors of devices
read a quarter of the time, and clocks have steps)."""


@dataclass(frozen=True)
class GrowthTrial:
    """Simulation of a cluster with more nodes and as much more traffic, under the same caps."""

    growth: float
    """Additional nodes, as a share of those of the file; whole nodes are counted."""
    nodes: int
    """Number of nodes of all pools."""
    nameplate: float = 0.0
    """Highest power of all nodes over the cap."""
    latencies_s: Mapping[str, float] = field(default_factory=dict)
    """Latency at the judged percentile [s], by objective."""
    margins: Mapping[str, float] = field(default_factory=dict)
    """Limit minus value, as a share of the limit, by objective; negative if it is missed."""
    mean_power: float = 0.0
    """Mean power of the nodes over the cap."""
    over_cap: float = 0.0
    """Share of the time in which the nodes draw more than the cap."""
    highest: float = 0.0
    """Highest mean power over 10 s of the nodes of a rack or row, over its cap."""
    capped: float = 0.0
    """Share of the time in which caps or locks lower clocks, in the mean over replicas."""
    brakes: float = 0.0
    """Number of power brakes per run."""
    fault: str = ""
    """Reason of the failure; empty if the trial did not fail."""

    @property
    def keeps_cap(self) -> bool:
        """Whether the nodes keep the cap; clocks have a lowest step, below which no cap takes them."""
        return self.highest <= 1.0 + _TOLERANCE

    @property
    def good(self) -> bool:
        """Whether all objectives are met without a power brake, within the cap."""
        margin = min(self.margins.values(), default=-inf)
        return not self.fault and margin >= 0.0 and not self.brakes and self.keeps_cap


@dataclass(frozen=True)
class GrowthOption:
    """Trials of one combination of the axes, in order of growth."""

    values: Mapping[str, Any]
    trials: tuple[GrowthTrial, ...]
    left_out: tuple[float, ...] = ()
    """Shares of `growth` that add no whole node to those of the share before."""

    @property
    def answer(self) -> GrowthTrial | None:
        """Trial with the most nodes up to which all trials are good; None if the first is not."""
        best = None
        for trial in self.trials:
            if not trial.good:
                break
            best = trial
        return best

    @property
    def title(self) -> str:
        """Title of the option, made of its values."""
        return option_title(self.values)


@dataclass(frozen=True)
class UnderCap:
    """Result of `nodes_under_cap`."""

    name: str
    """Name of the scenario."""
    objectives: tuple[Objective, ...]
    """Objectives by which trials were judged."""
    options: tuple[GrowthOption, ...]
    """Options in the order of the axes."""

    @property
    def table(self) -> pa.Table:
        """Table with one row per trial of every option; `answer` marks rows."""
        from cluster_sim.studies.store import table

        return table(
            {
                **option.values,
                "growth": trial.growth,
                "nodes": trial.nodes,
                "nameplate": trial.nameplate,
                **{f"{name}_s": value for name, value in trial.latencies_s.items()},
                **{f"{name}_margin": value for name, value in trial.margins.items()},
                "mean_power": trial.mean_power,
                "over_cap": trial.over_cap,
                "highest_power_of_cap": trial.highest,
                "clock_cap_fraction": trial.capped,
                "power_brakes": trial.brakes,
                "good": trial.good,
                "answer": trial is option.answer,
                "status": "failed" if trial.fault else "done",
                "reason": trial.fault,
            }
            for option in self.options
            for trial in option.trials
        )


def nodes_under_cap(  # noqa: PLR0913 - public API: every parameter is an option of its users
    path: str | Path,
    sets: Sequence[str] = (),
    variants: Sequence[str] = (),
    workers: int | None = None,
    progress: Progress | None = None,
    limits: RunLimits = NO_LIMITS,
) -> UnderCap:
    """Return how SLO, power and clocks change with more nodes under the same power caps.

    `growth` of the file's section `capacity` gives the additional nodes. The nodes of each pool
    and the traffic grow by this share, so that the load per node stays. The caps of the site stay.

    Parameters
    ----------
    path
        Scenario file.
    sets
        `key=value` texts applied to the file.
    variants
        Names of the variants. Default: all variants.
    workers
        Number of processes. Default: one per core; 0: run everything in this process.
    progress
        Function that is called with the number of trials done and the number of all trials.
    limits
        Limits of wall time and memory of each simulation. A trial that exceeds a limit fails.

    Returns
    -------
    UnderCap
        Options with their trials; `table` has every trial as a row.

    Raises
    ------
    ScenarioError
        The file has faults, no cap, no SLO, or a traffic without a rate.

    Examples
    --------
    >>> import cluster_sim
    >>> answer = cluster_sim.nodes_under_cap("row.yaml")  # doctest: +SKIP
    >>> [trial.nodes for trial in answer.options[0].trials if trial.good]  # doctest: +SKIP
    """
    file = open_scenarios(path, sets)
    asked = file.capacity or Capacity()
    axes: list[Mapping[str, Sequence[Any]]] = list(asked.axes)
    if names := list(variants) or file.variants:
        axes.insert(0, {"variant": names})
    options = list(combinations(axes))
    bases = [_base(file, asked, values) for values in options]
    sizes = [_sizes(base, asked.growth) for base in bases]
    trials = iter(
        Runner(workers, progress)
        .outcomes(
            {
                (place, growth): (_trial, (base, asked, growth, limits))
                for place, base in enumerate(bases)
                for growth in sizes[place]
            }
        )
        .values()
    )
    rows = [
        GrowthOption(
            values,
            tuple(next(trials) for _ in kept),
            tuple(growth for growth in asked.growth if growth not in kept),
        )
        for values, kept in zip(options, sizes, strict=True)
    ]
    wanted = dict.fromkeys(each for base in bases for each in objectives(base, asked))
    return UnderCap(str(file.document.data.get("name")), tuple(wanted), tuple(rows))


def _base(file: ScenarioFile, asked: Capacity, values: Mapping[str, Any]) -> Scenario:
    """Return the scenario of an option as written; raise ScenarioError if it cannot grow."""
    variant = str(values["variant"]) if "variant" in values else None
    changes = {key: value for key, value in values.items() if key != "variant"}
    base = file.scenario(variant, changes, where="axis")
    needs_rate(base, file)
    if not any(True for _ in capped_nodes(base)):
        raise ScenarioError.at(
            file.place(),
            "capacity.for: nodes_under_cap needs a cap; expected site.row_power_cap or site.rack_power_cap",
        )
    if not objectives(base, asked):
        raise ScenarioError.at(
            file.place(),
            "'slo' is missing; expected the objectives, such as slo: {ttft: 500 ms, tpot: 25 ms}",
        )
    for index, pool in enumerate(base.cluster.pools):
        for key in ("replicas", "autoscale"):
            if getattr(pool, key) is not None:
                at = ("cluster", "pools", index, key)
                raise ScenarioError.at(
                    file.place(*at),
                    f"capacity.for: nodes_under_cap grows pools whose replicas fill their nodes; expected no '{key}'",
                )
    return base


def _sizes(base: Scenario, growth: Sequence[float]) -> list[float]:
    """Return the shares of `growth` that differ in whole nodes, the first of each number."""
    by_nodes: dict[tuple[int, ...], float] = {}
    for share in growth:
        by_nodes.setdefault(tuple(_nodes(pool, share) for pool in base.cluster.pools), share)
    return list(by_nodes.values())


def _nodes(pool: Pool, growth: float) -> int:
    """Return the number of nodes of a pool that grew by a share."""
    return max(round(pool.nodes * (1.0 + growth)), 1)


def _trial(base: Scenario, asked: Capacity, growth: float, limits: RunLimits) -> GrowthTrial:
    """Simulate one size of the cluster on each seed."""
    scenario = grown(base, growth)
    nodes, cap_w = sum(pool.nodes for pool in scenario.cluster.pools), _cap_w(scenario)
    growth = nodes / sum(pool.nodes for pool in base.cluster.pools) - 1.0
    lacking_w = max(missing_w(scenario, group.key) for group in capped_nodes(scenario))
    if lacking_w >= 0.0:
        fault = f"a cap is {lacking_w:.0f} W below the idle power of its nodes"
        return GrowthTrial(growth, nodes, fault=fault)
    seeds = [reseeded(scenario, number) for number in range(asked.replications)]
    try:
        runs = [simulated_whole(seed, limits) for seed in seeds]
    except SimulationError as error:
        return GrowthTrial(growth, nodes, fault=str(error))
    outcomes = verdict.judged(runs, objectives(base, asked)).outcomes
    powers = [_power(run, cap_w) for run in runs]
    summaries = [run.summary() for run in runs]
    return GrowthTrial(
        growth,
        nodes,
        nameplate=sum(draw.most_w for draw in node_draws(scenario)) / cap_w,
        latencies_s={each.objective.name: each.value_s for each in outcomes},
        margins={each.objective.name: each.margin for each in outcomes},
        mean_power=_mean([mean for mean, _ in powers]),
        over_cap=_mean([over for _, over in powers]),
        highest=max(summary.get("highest_power_of_cap", 0.0) for summary in summaries),
        capped=_mean([summary.get("clock_cap_fraction", 0.0) for summary in summaries]),
        brakes=_mean([summary.get("power_brakes", 0) for summary in summaries]),
    )


def grown(base: Scenario, growth: float) -> Scenario:
    """Return a scenario with more nodes in each pool, and as much more traffic.

    Nodes are rounded to whole ones; the traffic per node of all pools stays.
    """
    pools = tuple(
        pool.model_copy(update={"nodes": _nodes(pool, growth)}) for pool in base.cluster.pools
    )
    before, after = (sum(pool.nodes for pool in each) for each in (base.cluster.pools, pools))
    cluster = base.cluster.model_copy(update={"pools": pools})
    rate_per_s = offered_per_s(base)
    assert rate_per_s is not None
    more = base.model_copy(update={"cluster": cluster})
    return at_offered_rate(more, rate_per_s * after / before)


def _cap_w(scenario: Scenario) -> float:
    """Return the power that the caps of racks, or of the row, allow all nodes together [W]."""
    caps_w: dict[str, float] = {}
    for group in capped_nodes(scenario):
        caps_w[group.key] = caps_w.get(group.key, 0.0) + group.cap.lowest_w
    return min(caps_w.values())


def _power(run: Results, cap_w: float) -> tuple[float, float]:
    """Return the mean power of all nodes over the cap, and the share of time above it."""
    nodes = energy.nodes(run)
    if nodes is None:
        return 0.0, 0.0
    total = energy.together(nodes)
    lengths_s = np.diff(total.time_s)
    whole_s = float(np.sum(lengths_s)) or 1.0
    above_s = float(np.sum(lengths_s[total.watts > cap_w * (1.0 + 1e-9)]))
    return total.energy_j / whole_s / cap_w, above_s / whole_s


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
