"""Outcome of a search for capacity: trials, options and the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cluster_sim.errors import Fault
from cluster_sim.results.metrics.verdict import Objective

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Trial:
    """A cluster under a load, simulated."""

    nodes: int
    """Number of nodes of the pool that is counted."""
    replicas: int
    """Number of replicas of that pool."""
    rate_per_s: float
    """Mean rate of requests [1/s]."""
    latencies_s: Mapping[str, float]
    """Percentile that is judged [s], by objective (ttft, tpot, e2el; CLASS.ttft where classes have
    their own); infinite where too few finish."""
    margins: Mapping[str, float]
    """Share of its limit that is left, by objective; negative beyond it."""
    usd_per_hour: float | None
    """Cost of the cluster [USD/h]; None where a pool has no prices."""
    fault: str = ""
    """Why it failed; a trial that failed counts as beyond the SLO."""

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
        """Dollars per hour, or nodes where there are no prices, for each request per second."""
        return (self.nodes if self.usd_per_hour is None else self.usd_per_hour) / self.rate_per_s


@dataclass(frozen=True)
class Option:
    """One build of the cluster, and what was found of it."""

    values: Mapping[str, Any]
    """Values of the axes by key; `variant` is among them where the file has variants."""
    answer: Trial | None
    """Smallest cluster, or highest rate, within the SLO; None where there is none."""
    smaller: Trial | None
    """The next smaller cluster, or the next lower rate that was tried."""
    bigger: Trial | None
    """The next bigger cluster, or the next higher rate that was tried."""
    trials: tuple[Trial, ...]
    """All trials, by nodes and rate."""
    fault: str = ""
    """Why it is no option at all."""
    objectives: tuple[Objective, ...] = ()
    """Objectives that it was held to; none where it is no option."""
    faults: tuple[Fault, ...] = ()
    """Faults of the input that are why it is no option."""

    @property
    def title(self) -> str:
        """Values that tell it from the others."""
        texts = [
            str(value) if key == "variant" else f"{key.rpartition('.')[2]} {value}"
            for key, value in self.values.items()
        ]
        return ", ".join(texts) or "as written"

    def unpriced(self) -> Option:
        """Return the option without dollars, so that nodes are counted instead."""
        bare = {id(trial): replace(trial, usd_per_hour=None) for trial in self.trials}
        answer, smaller, bigger = (
            bare.get(id(trial)) for trial in (self.answer, self.smaller, self.bigger)
        )
        return replace(
            self, answer=answer, smaller=smaller, bigger=bigger, trials=tuple(bare.values())
        )


@dataclass(frozen=True)
class Answer:
    """Outcome of `capacity`."""

    name: str
    """Name of the scenario."""
    rate_per_s: float | None
    """Rate that was to be carried [1/s]; None where the highest was looked for."""
    percentile: float | None
    """Percentile at which objectives are judged; None where options or classes differ in it."""
    options: tuple[Option, ...]
    """Builds of the cluster, in the order of the axes."""
    notes: tuple[str, ...] = ()
    """Sentences about what the answer rests on."""

    @property
    def objectives(self) -> list[str]:
        """Names of all objectives that some trial was judged by."""
        trials = (trial for option in self.options for trial in option.trials)
        return list(dict.fromkeys(name for trial in trials for name in trial.margins))

    @property
    def counts_nodes_alike(self) -> bool:
        """Whether nodes of several kinds were compared by their number, for want of prices."""
        variants = {option.values.get("variant") for option in self.options}
        return len(variants) > 1 and not any(trial.usd_per_hour for _, trial in self.front)

    @property
    def front(self) -> list[tuple[Option, Trial]]:
        """Pareto front: trials within the SLO that no other beats in cost and latencies at once.

        The cheapest comes first.
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
            if not any(_beats(others, figures) for _, _, others in good)
        ]
        return sorted(unbeaten, key=lambda pair: pair[1].cost)

    @property
    def table(self) -> pa.Table:
        """One row per trial of every option, with `answer` and `front` as marks."""
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


def _beats(figures: Sequence[float], others: Sequence[float]) -> bool:
    """Return whether no figure is larger than the other's, and some is smaller."""
    return figures != others and all(
        figure <= other for figure, other in zip(figures, others, strict=True)
    )


def comparable(options: Sequence[Option]) -> tuple[Option, ...]:
    """Return the options, without dollars unless all trials have them: nodes are no dollars."""
    if all(trial.usd_per_hour is not None for option in options for trial in option.trials):
        return tuple(options)
    return tuple(option.unpriced() for option in options)
