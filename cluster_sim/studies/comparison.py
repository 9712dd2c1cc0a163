"""Differences between variants that saw the same traffic, with their error bars."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cluster_sim.studies.statistics import (
    Interval,
    bootstrap_interval,
    chance_of_none,
    t_interval,
)
from cluster_sim.typing import Array

if TYPE_CHECKING:
    import pyarrow as pa

Replication = list[dict[str, Any]]
"""Summaries of all variants on one seed."""


@dataclass(frozen=True)
class Difference:
    """Difference of one metric between a variant and the first variant."""

    variant: str
    """Name of the variant."""
    metric: str
    """Field of the summary."""
    first_mean: float
    """Mean of the metric in the first variant."""
    mean: float
    """Mean of the metric in this variant."""
    difference: float
    """Mean of the paired differences."""
    t: Interval
    """Confidence interval of the difference by Student's t."""
    bootstrap: Interval
    """Confidence interval of the difference by the bootstrap."""
    chance: float
    """P-value of the paired t test: the probability of such a difference if there is none."""
    significant: bool
    """Whether the t interval excludes zero. Each metric is tested alone: of twenty metrics without
    a difference, one appears significant."""
    saved: float
    """Factor on the number of replications that independent traffic would need for the same
    interval; infinite if the variants are identical."""

    @property
    def verdict(self) -> str:
        """Direction of the difference, in words."""
        if self.t.low == self.t.high == 0.0:
            return "identical"
        if not self.significant:
            return "not significant"
        return "higher" if self.difference > 0 else "lower"


@dataclass(frozen=True)
class Comparison:
    """Result of `compare`."""

    name: str
    """Name of the scenario."""
    variants: tuple[str, ...]
    """Names of the variants; the others are compared with the first."""
    differences: tuple[Difference, ...]
    """Differences by variant and metric."""
    replications: int
    """Number of seeds; with 1, error bars are computed from batches of that run's requests."""
    warmup_s: float | None
    """Warm-up that was omitted [s]; None if no steady state was detected and nothing was
    omitted."""
    notes: tuple[str, ...]
    """Sentences with reasons to doubt the error bars."""

    @property
    def table(self) -> pa.Table:
        """Table with one row per difference."""
        from cluster_sim.studies.store import table

        return table(_row(difference) for difference in self.differences)


def _row(difference: Difference) -> dict[str, Any]:
    """Return a difference as a row; the ends of its intervals are the last columns."""
    fields = asdict(difference)
    intervals = {name: fields.pop(name) for name in ("t", "bootstrap")}
    return fields | {
        f"{name}_{end}": value for name, ends in intervals.items() for end, value in ends.items()
    }


def differences(
    names: Sequence[str],
    replications: Sequence[Replication],
    metrics: Sequence[str],
    confidence: float,
) -> Iterator[Difference]:
    """Yield the difference of each metric between each variant and the first variant.

    Parameters
    ----------
    names
        Names of the variants, in the order of the summaries.
    replications
        Summaries of all variants, seed by seed.
    metrics
        Fields of the summaries; replications without a field are omitted for that field.
    confidence
        Confidence of the intervals, from 0 to 1.
    """
    for place, name in list(enumerate(names))[1:]:
        for metric in metrics:
            pairs = [
                (summaries[0][metric], summaries[place][metric])
                for summaries in replications
                if metric in summaries[0] and metric in summaries[place]
            ]
            if pairs:
                first, second = np.array(pairs, dtype=float).T
                yield _difference(name, metric, first, second, confidence)


def _difference(
    name: str, metric: str, first: Array, second: Array, confidence: float
) -> Difference:
    apart = second - first
    interval = t_interval(apart, confidence)
    return Difference(
        variant=name,
        metric=metric,
        first_mean=float(np.mean(first)),
        mean=float(np.mean(second)),
        difference=float(np.mean(apart)),
        t=interval,
        bootstrap=bootstrap_interval(apart, confidence),
        chance=chance_of_none(apart),
        significant=0.0 not in interval,
        saved=_saved(first, second),
    )


def _saved(first: Array, second: Array) -> float:
    """Return the variance of the difference of independent runs over that of paired runs.

    Source: Law, Simulation Modeling and Analysis, 5th ed., 11.2.
    """
    if len(first) < 2:
        return 1.0
    paired = float(np.var(second - first, ddof=1))
    independent = float(np.var(first, ddof=1)) + float(np.var(second, ddof=1))
    return independent / paired if paired else float("inf")
