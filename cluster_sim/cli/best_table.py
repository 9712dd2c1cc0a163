"""Table of the best points of a sweep, one column per point, and sentences about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from cluster_sim.cli.console import print_line, stdout
from cluster_sim.cli.tables import side_by_side
from cluster_sim.figures import study_table as study
from cluster_sim.results.metrics.slo_percentiles import percentile_key
from cluster_sim.results.metrics.verdict_text import latency_title, percentile_text
from cluster_sim.studies.best import Best, best, is_more_better
from cluster_sim.studies.statistics import t_interval

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa
    from rich.table import Table

    from cluster_sim.studies.best_point import PointMeans

_SHOWN = 5
"""Maximum number of points that are printed."""
_FIGURES = (
    "usd_per_hour",
    "usd_per_million_output_tokens",
    "request_goodput",
    "output_throughput",
    "slo_attainment",
)
"""Columns that are printed beside the one that orders the points."""


def print_best(path: Path, points: pa.Table, by: str | None = None) -> None:
    """Print the best points of a sweep.

    Parameters
    ----------
    path
        Path of the sweep, whose name is printed.
    points
        Table of the sweep.
    by
        Column that orders the points. Default: the cost, or the goodput.
    """
    ranked = best(points, by)
    stdout().print(_table(path.name or str(path), ranked))
    for sentence in _sentences(ranked):
        print_line(sentence)


def _table(name: str, ranked: Best) -> Table:
    """Return the table of the best points of the sweep with this name."""
    shown = ranked.points[:_SHOWN]
    names = [str(place) for place in range(1, len(shown) + 1)]
    return side_by_side(names, _rows(ranked, shown), f"{name}: {_title(ranked)}")


def _sentences(ranked: Best) -> Iterator[str]:
    """Yield what the points miss, or which are as good as the first or would be better than it."""
    if not ranked.is_met:
        for place, point in enumerate(ranked.points[:_SHOWN], start=1):
            failed = f"{point.failed:,} of its replications failed"
            yield f"{place} misses {_missed(point)}" if point.missed else f"{place}: {failed}"
        return
    if len(ranked.points) > 1 and ranked.replications < 2:
        yield "one run per point, so small differences may be due to chance; sweep.replications gives intervals"
    if alike := [place for place in range(1, len(ranked.points)) if ranked.is_like_first(place)]:
        yield _alike(alike, ranked.replications)
    if ranked.tempting:
        yield _tempting(ranked)
    if ranked.failed:
        count = "1 point has" if ranked.failed == 1 else f"{ranked.failed:,} points have"
        yield f"{count} a replication that failed, and cannot be best"


def _alike(places: Sequence[int], replications: int) -> str:
    """Return a sentence about the points at some indices, which may be as good as the first."""
    names = [str(place + 1) for place in places if place < _SHOWN]
    if further := len(places) - len(names):
        names.append("1 further point" if further == 1 else f"{further:,} further points")
    *others, last = names
    subject = f"{', '.join(others)} and {last}" if others else last
    return (
        f"not distinguishable from 1: {subject} (the 95 % interval of the paired differences over "
        f"{replications:,} replications contains 0)"
    )


def _tempting(ranked: Best) -> str:
    """Return a sentence about points that would be better, and what the nearest of them misses."""
    nearest, count = ranked.tempting[0], len(ranked.tempting)
    better = "higher" if is_more_better(ranked.by) else "lower"
    title = study.without_unit(ranked.by)
    points = "1 point misses" if count == 1 else f"{count:,} points miss"
    values = study.described(list(nearest.values), list(nearest.values.values()))
    return (
        f"{points} the SLO at a {better} {title}; the nearest to it: {values} ({_missed(nearest)})"
    )


def _missed(point: PointMeans) -> str:
    """Return what a point misses in words."""
    return f"{point.missed}, worst replication" if len(point.by_seed) > 1 else point.missed


def _title(ranked: Best) -> str:
    """Return what the points are, how they are ordered, and how many meet the SLO."""
    at = "" if ranked.percentile is None else f" at {percentile_text(ranked.percentile)}"
    means = f"; means of {ranked.replications:,} replications" if ranked.replications > 1 else ""
    if not ranked.is_met:
        slo = f"meets the SLO{at}" if ranked.has_slo else "is complete"
        return f"none of {ranked.total:,} points {slo}; the nearest first{means}"
    first = "highest" if is_more_better(ranked.by) else "lowest"
    slo = f"{len(ranked.points):,} of {ranked.total:,} points meet the SLO{at}"
    return f"{first} {study.label(ranked.by)} first; {slo if ranked.has_slo else 'no SLO'}{means}"


def _rows(ranked: Best, shown: tuple[PointMeans, ...]) -> Iterator[tuple[str, list[str]]]:
    """Yield the rows: axes, the column that orders the points, other figures, and the limits."""
    for name in shown[0].values:
        yield study.label(name), [_value(point.values[name]) for point in shown]
    if ranked.is_met:
        yield study.label(ranked.by), [_with_interval(ranked, point) for point in shown]
    if ranked.is_met and len(shown) > 1:
        rest = range(1, len(shown))
        yield "  difference from 1", ["", *(_difference(ranked, place) for place in rest)]
    for label, key in _figures(ranked, shown):
        if any(key in point.means for point in shown):
            yield label, [_mean(point, key) for point in shown]
    if any(point.nearest_objective for point in shown):
        yield "nearest limit", [_nearest_limit(point) for point in shown]
    if any(point.fullest_resource for point in shown):
        yield "fullest resource", [_fullest(point) for point in shown]


def _figures(ranked: Best, shown: tuple[PointMeans, ...]) -> Iterator[tuple[str, str]]:
    """Yield label and column of the figures, with the latencies that the SLO limits."""
    for key in _FIGURES:
        if not (key == ranked.by and ranked.is_met):
            yield study.label(key), key
    for name in dict.fromkeys(name for point in shown for name in point.margins):
        class_, _, latency = name.rpartition(".")
        prefix = f"classes.{class_}." if class_ else ""
        percentiles = {point.means.get(f"{prefix}slo_percentile") for point in shown}
        if len(percentiles) == 1 and (percentile := percentiles.pop()) is not None:
            key = percentile_key(latency, percentile)
            if prefix + key != ranked.by or not ranked.is_met:
                yield f"{class_} {study.label(key)}".strip(), prefix + key


def _value(value: object) -> str:
    if value is None:
        return "-"
    return study.number(value) if isinstance(value, (int, float)) else str(value)


def _mean(point: PointMeans, key: str) -> str:
    return study.number(point.means[key]) if key in point.means else "-"


def _with_interval(ranked: Best, point: PointMeans) -> str:
    """Return the mean of the column that orders the points, with its 95 % interval."""
    mean = study.number(point.means[ranked.by])
    if len(point.by_seed) < 2:
        return mean
    return f"{mean} ± {t_interval(list(point.by_seed.values())).half_width:.2g}"


def _difference(ranked: Best, place: int) -> str:
    """Return the relative difference of a point from the first point."""
    first, mean = (ranked.points[each].means[ranked.by] for each in (0, place))
    text = f"{(mean - first) / abs(first):+.1%}" if first else f"{mean - first:+.3g}"
    return f"{text}, not significant" if ranked.is_like_first(place) else text


def _nearest_limit(point: PointMeans) -> str:
    """Return the objective with the smallest margin, and its value as a share of the limit."""
    name = point.nearest_objective
    if name is None:
        return "-"
    class_, _, latency = name.rpartition(".")
    return f"{class_} {latency_title(latency)} {1.0 - point.margins[name]:.0%}".strip()


def _fullest(point: PointMeans) -> str:
    fullest = point.fullest_resource
    return "-" if fullest is None else f"{fullest[0]} {fullest[1]:.0%}"
