"""Result of a search for capacity: trials, options and the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cluster_sim.errors import Fault
from cluster_sim.results.metrics.verdict import Objective
from cluster_sim.studies.grid import option_title

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Trial:
    """Simulation of a cluster under a load."""

    nodes: int
    """Number of nodes of the counted pool."""
    replicas: int
    """Number of replicas of the counted pool."""
    rate_per_s: float
    """Mean rate of requests [1/s]."""
    latencies_s: Mapping[str, float]
    """Value of the latency at the judged percentile [s], by objective (ttft, tpot or e2el;
    CLASS.ttft if classes have objectives); infinite if too few requests finish."""
    margins: Mapping[str, float]
    """Limit minus value, as a share of the limit, by objective; negative if the objective is
    missed."""
    usd_per_hour: float | None
    """Cost of the cluster [USD/h], the mean over the run for pools that are scaled; None if a pool
    has no prices."""
    fault: str = ""
    """Reason of the failure; empty if the trial did not fail. A failed trial counts as missing the
    SLO."""

    @property
    def good(self) -> bool:
        """Whether all objectives are met."""
        return self.margin >= 0.0

    @property
    def margin(self) -> float:
        """Smallest margin of all objectives."""
        return min(self.margins.values())

    @property
    def cost(self) -> float:
        """Cost per rate: USD per hour, or nodes if there are no prices, per request per second."""
        return (self.nodes if self.usd_per_hour is None else self.usd_per_hour) / self.rate_per_s


@dataclass(frozen=True)
class Option:
    """One build of the cluster, with the result of its search."""

    values: Mapping[str, Any]
    """Values of the axes, by key; the key `variant` exists if the file has variants."""
    answer: Trial | None
    """Smallest cluster, or highest rate, that meets the SLO; None if no trial meets it."""
    smaller: Trial | None
    """Next smaller cluster, or next lower rate, that was tried."""
    bigger: Trial | None
    """Next larger cluster, or next higher rate, that was tried."""
    trials: tuple[Trial, ...]
    """All trials, in order of nodes and rate."""
    fault: str = ""
    """Reason why the build cannot be searched; empty if it can."""
    objectives: tuple[Objective, ...] = ()
    """Objectives by which trials are judged; empty if the build cannot be searched."""
    faults: tuple[Fault, ...] = ()
    """Faults of the input because of which the build cannot be searched."""
    rates: str | None = None
    """Rates of the traffic of the answer, if its rate changes between several; else None."""
    notes: tuple[str, ...] = ()
    """Sentences about the rate that was searched."""

    @property
    def title(self) -> str:
        """Title of the option, made of its values."""
        return option_title(self.values)

    def unpriced(self) -> Option:
        """Return the option without costs, so that nodes are compared instead."""
        bare = {id(trial): replace(trial, usd_per_hour=None) for trial in self.trials}
        answer, smaller, bigger = (
            bare.get(id(trial)) for trial in (self.answer, self.smaller, self.bigger)
        )
        return replace(
            self, answer=answer, smaller=smaller, bigger=bigger, trials=tuple(bare.values())
        )


@dataclass(frozen=True)
class Answer:
    """Result of `capacity`."""

    name: str
    """Name of the scenario."""
    rate_per_s: float | None
    """Required rate [1/s]; None if the highest rate was searched."""
    percentile: float | None
    """Percentile at which objectives are judged; None if options or classes differ in it."""
    options: tuple[Option, ...]
    """Builds of the cluster, in the order of the axes."""
    notes: tuple[str, ...] = ()
    """Sentences about the assumptions of the answer."""

    @property
    def objectives(self) -> list[str]:
        """Names of all objectives by which trials were judged."""
        trials = (trial for option in self.options for trial in option.trials)
        return list(dict.fromkeys(name for trial in trials for name in trial.margins))

    @property
    def counts_nodes_alike(self) -> bool:
        """Whether nodes of several kinds are compared by number, because prices are missing."""
        variants = {option.values.get("variant") for option in self.options}
        return len(variants) > 1 and not any(trial.usd_per_hour for _, trial in self.front)

    @property
    def front(self) -> list[tuple[Option, Trial]]:
        """Pareto front: trials within the SLO that no trial beats in both cost and latencies.

        The cheapest trial comes first.
        """
        good = [
            (option, trial, (trial.cost, *trial.latencies_s.values()))
            for option in self.options
            for trial in option.trials
            if trial.good
        ]
        unbeaten = [
            (option, trial)
            for option, trial, figures in good
            if not any(beats(others, figures) for _, _, others in good)
        ]
        return sorted(unbeaten, key=lambda pair: pair[1].cost)

    @property
    def table(self) -> pa.Table:
        """Table with one row per trial of every option; `answer` and `front` mark rows."""
        from cluster_sim.studies.store import table

        front = [id(trial) for _, trial in self.front]
        return table(
            {
                **option.values,
                "nodes": trial.nodes,
                "replicas": trial.replicas,
                "rate_per_s": trial.rate_per_s,
                **{f"{name}_s": value for name, value in trial.latencies_s.items()},
                **{f"{name}_margin": value for name, value in trial.margins.items()},
                "usd_per_hour": trial.usd_per_hour,
                "good": trial.good,
                "answer": trial is option.answer,
                "front": id(trial) in front,
                "status": "failed" if trial.fault else "done",
                "reason": trial.fault,
            }
            for option in self.options
            for trial in option.trials
        )


def beats(figures: Sequence[float], others: Sequence[float]) -> bool:
    """Return whether no figure is larger than its counterpart, and at least one is smaller."""
    return figures != others and all(
        figure <= other for figure, other in zip(figures, others, strict=True)
    )


def comparable(options: Sequence[Option]) -> tuple[Option, ...]:
    """Return the options, without costs unless all trials have a cost."""
    if all(trial.usd_per_hour is not None for option in options for trial in option.trials):
        return tuple(options)
    return tuple(option.unpriced() for option in options)
