"""A point of a sweep as means over its replications: cost, margins of the SLO, fullest resource."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np

from cluster_sim.figures.study_table import Row

MARGIN = "slo_margins."
"""Beginning of the columns with the margins of objectives."""
_INFINITE = " infinite > "
"""Part of the text of an objective that is missed by an infinite value."""
_RESOURCES = {
    "KV cache": "kv_peak_fraction",
    "memory bandwidth": "bandwidth_saturated_fraction",
    "compute": "compute_utilisation",
    "slowest stage": "station_occupancy",
}
"""Columns of resources: share of the KV cache in use at its peak, share of busy time in which steps
wait for memory bandwidth, mean share of compute, and share of busy time in which the slowest
pipeline stage works."""
_ORDER = ("seed", "replication")
"""Columns of numbers that are no outcome."""


@dataclass(frozen=True)
class PointMeans:
    """Means over the replications of a point."""

    values: Mapping[str, Any]
    """Values of the axes that vary, by column."""
    means: Mapping[str, float]
    """Mean of each number that every simulated replication has, by column."""
    by_seed: Mapping[int, float]
    """Value of the column that orders the points, by seed."""
    is_met: bool
    """Whether every replication was simulated and meets the SLO, if it has one."""
    missed: str
    """Objectives that the worst replication misses, in words."""
    failed: int
    """Number of replications that failed."""

    @property
    def margins(self) -> dict[str, float]:
        """Mean margins by name of the objective; objectives with infinite values have none."""
        return {
            name.removeprefix(MARGIN): mean
            for name, mean in self.means.items()
            if name.startswith(MARGIN)
        }

    @property
    def nearest_objective(self) -> str | None:
        """Name of the objective with the smallest margin; None if no margin is known."""
        margins = self.margins
        return min(margins, key=margins.__getitem__, default=None)

    @property
    def smallest_margin(self) -> float:
        """Smallest margin; negative infinity if a value is infinite or no margin is known."""
        if _INFINITE in self.missed:
            return -inf
        return min(self.margins.values(), default=-inf)

    @property
    def fullest_resource(self) -> tuple[str, float] | None:
        """Name of the resource with the largest share in use, and the share; None if unknown."""
        shares = {name: self.means[key] for name, key in _RESOURCES.items() if key in self.means}
        fullest = max(shares, key=shares.__getitem__, default=None)
        return None if fullest is None else (fullest, shares[fullest])


def means_of(rows: Sequence[Row], names: Sequence[str], by: str) -> PointMeans:
    """Return the means of a point over its replications.

    Parameters
    ----------
    rows
        Replications of the point; failed ones are not in the means.
    names
        Columns of the axes that vary.
    by
        Column that orders the points.
    """
    done = [row for row in rows if row["status"] == "done"]
    known = {name: [row[name] for row in done] for name in rows[0] if name not in _ORDER}
    means = {
        name: float(np.mean(numbers))
        for name, numbers in known.items()
        if done and all(isinstance(number, (int, float)) for number in numbers)
    }
    worst = min((row for row in done if row.get("slo_missed")), key=_margin, default={})
    return PointMeans(
        values={name: rows[0].get(name) for name in names},
        means=means,
        by_seed={
            row["seed" if "seed" in row else "replication"]: float(row[by])
            for row in done
            if row.get(by) is not None
        },
        is_met=len(done) == len(rows) and all(row.get("slo_met") is not False for row in done),
        missed=worst.get("slo_missed", ""),
        failed=len(rows) - len(done),
    )


def _margin(row: Row) -> float:
    """Return the smallest margin of a replication; negative infinity if a value is infinite."""
    if _INFINITE in row["slo_missed"]:
        return -inf
    margins = (value for name, value in row.items() if name.startswith(MARGIN))
    return min((value for value in margins if value is not None), default=inf)
