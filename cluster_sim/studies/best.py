"""Best points of a sweep: those that meet the SLO, in the order of their cost or of any column.

A point meets the SLO if each of its replications does; its figures are means over them.
Replications see the same traffic as those of every other point, so differences between points are
paired by seed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from cluster_sim.errors import ScenarioError
from cluster_sim.figures import study_table as study
from cluster_sim.figures.study_table import Row
from cluster_sim.studies.best_point import MARGIN, PointMeans, means_of
from cluster_sim.studies.statistics import Interval, t_interval

_COSTS = ("usd_per_hour", "usd_per_million_output_tokens")
_GOALS = ("request_goodput", "output_throughput", "request_throughput")
_MORE_IS_BETTER = frozenset(
    {
        *_GOALS,
        "bandwidth_utilisation",
        "completed",
        "compute_utilisation",
        "kv_capacity_tokens",
        "lowest_clock_fraction",
        "margin_usd_per_hour",
        "margin_usd_per_million_tokens",
        "offload_hit_fraction",
        "prefix_hit_fraction",
        "revenue_usd_per_hour",
        "revenue_usd_per_million_tokens",
        "slo_attainment",
        "slo_met",
        "spec_decode_acceptance_length",
        "total_input_tokens",
        "total_output_tokens",
        "total_token_throughput",
    }
)
"""Metrics of which a higher value is better; of all others a lower one is."""


@dataclass(frozen=True)
class Best:
    """Points of a sweep, best first."""

    by: str
    """Column that orders the points that meet the SLO."""
    points: tuple[PointMeans, ...]
    """Points that meet the SLO, best first. If there are none: all points that were simulated,
    nearest to the SLO first."""
    is_met: bool
    """Whether these points meet the SLO."""
    has_slo: bool
    """Whether any point is judged by an SLO."""
    percentile: float | None
    """Percentile at which all points are judged; None if percentiles differ."""
    total: int
    """Number of all points."""
    failed: int
    """Number of points with a replication that failed."""
    replications: int
    """Highest number of replications of a point."""
    tempting: tuple[PointMeans, ...] = ()
    """Points that are better than the first one but miss the SLO, nearest to it first."""

    def difference(self, place: int) -> Interval | None:
        """Return the 95 % interval of the difference of a point from the first point.

        It is None if fewer than two seeds have both values.
        """
        first, point = self.points[0].by_seed, self.points[place].by_seed
        apart = [point[seed] - first[seed] for seed in first if seed in point]
        return t_interval(apart) if len(apart) > 1 else None

    def is_like_first(self, place: int) -> bool:
        """Return whether the interval of a point's difference from the first point contains 0."""
        interval = self.difference(place)
        return interval is not None and 0.0 in interval


def is_more_better(column: str) -> bool:
    """Return whether higher values of a column are better.

    >>> is_more_better("classes.chat.request_goodput"), is_more_better("p5_margin_usd_per_hour")
    (True, True)
    >>> is_more_better("p99_ttft_ms")
    False
    """
    metric = column.rpartition(".")[2].removeprefix("p5_").removeprefix("p95_")
    return metric in _MORE_IS_BETTER or column.startswith(MARGIN)


def best(table: pa.Table, by: str | None = None) -> Best:
    """Return the best points of a sweep.

    Parameters
    ----------
    table
        Table of a sweep.
    by
        Column of numbers that orders the points that meet the SLO. Default: cost per hour; cost
        per million output tokens if a key of `workload` varies; if a point has no prices, goodput,
        or output tokens per second without an SLO.

    Raises
    ------
    ScenarioError
        The table is not of a sweep, no point is done, or the column does not exist, holds no
        numbers or has none for the points that meet the SLO.
    """
    done = study.points(table)
    if by is not None:
        study.require_numbers(table, [by], "best")
    names = [name for name in study.varied(done) if name != "seed"]
    if len({row.get("sweep") for row in done}) > 1:
        names.insert(0, "sweep")
    by = by or _objective(done, names)
    points = [means_of(rows, names, by) for rows in _groups(table.to_pylist())]
    met = [point for point in points if point.is_met]
    ordered = [point for point in met if by in point.means]
    if met and not ordered:
        raise ScenarioError.at("best", f"no point that meets the SLO has a number for {by}")
    percentiles = {row.get("slo_percentile") for row in done}
    ranked = _ranked(ordered, by) if met else _nearest(points)
    return Best(
        by,
        tuple(ranked),
        is_met=bool(met),
        has_slo=any(row.get("slo_met") is not None for row in done),
        percentile=percentiles.pop() if len(percentiles) == 1 else None,
        total=len(points),
        failed=sum(point.failed > 0 for point in points),
        replications=max(len(point.by_seed) + point.failed for point in points),
        tempting=tuple(_tempting(points, ranked[0], by)) if met else (),
    )


def _groups(rows: Sequence[Row]) -> list[list[Row]]:
    """Return the replications of each point. Seeds of an axis count as replications."""
    groups: dict[str, dict[str, Row]] = {}
    for row in rows:
        values = {key: value for key, value in json.loads(row["point"]).items() if key != "seed"}
        groups.setdefault(json.dumps([row.get("sweep"), values]), {})[row["key"]] = row
    return [list(group.values()) for group in groups.values()]


def _objective(done: Sequence[Row], names: Sequence[str]) -> str:
    """Return the column by which points are ordered if a user gives none."""
    if all(row.get("usd_per_hour") is not None for row in done):
        return _COSTS[any(name.startswith("workload.") for name in names)]
    known = (name for name in _GOALS if any(row.get(name) is not None for row in done))
    if (goal := next(known, None)) is None:
        raise ScenarioError.at("best", "the sweep has no costs; expected --by COLUMN")
    return goal


def _ranked(points: Sequence[PointMeans], by: str) -> list[PointMeans]:
    """Return points in the order of a column; of equal points, the one with more margin first."""
    return sorted(points, key=lambda point: (_loss(point, by), -point.smallest_margin))


def _loss(point: PointMeans, by: str) -> float:
    """Return the mean of a column, or its negative if more is better."""
    return -point.means[by] if is_more_better(by) else point.means[by]


def _tempting(points: Sequence[PointMeans], first: PointMeans, by: str) -> list[PointMeans]:
    """Return the points that are better than the first one but miss the SLO, nearest first."""
    missing = [point for point in points if point.missed and by in point.means]
    return _nearest([point for point in missing if _loss(point, by) < _loss(first, by)])


def _nearest(points: Sequence[PointMeans]) -> list[PointMeans]:
    """Return the points that were simulated, nearest to the SLO first.

    Points with an infinite value are last, in the order of their share of requests within the SLO.
    """

    def distance(point: PointMeans) -> tuple[Any, ...]:
        return -point.smallest_margin, -point.means.get("slo_attainment", 0.0)

    return sorted((point for point in points if point.means), key=distance)
