"""Distributions of GuideLLM: weighted values, rates and concurrency over time."""

from __future__ import annotations

from typing import Any

import numpy as np

from cluster_sim.export.percentiles import stepped
from cluster_sim.typing import Array

PERCENTILES = {
    "p001": 0.1,
    "p01": 1.0,
    "p05": 5.0,
    "p10": 10.0,
    "p25": 25.0,
    "p50": 50.0,
    "p75": 75.0,
    "p90": 90.0,
    "p95": 95.0,
    "p99": 99.0,
    "p999": 99.9,
}
"""Percentiles of each distribution, by name."""

_TOGETHER_S = 1e-4
"""Time within which events are merged into one [s]."""
_MIN_SHARE_S = 1e-6
"""Minimum time span of the last event [s]."""
_WITHOUT = {"pdf": None, "mean_ci": None, "percentile_cis": None}
_MOMENTS = ("mean", "median", "mode", "variance", "std_dev", "min", "max")


def summary(
    values: Array, weights: Array | None = None, count: int | None = None
) -> dict[str, Any]:
    """Return the statistics of a distribution; all are 0 if it is empty.

    Parameters
    ----------
    values
        Values, in any order.
    weights
        Weight of each value. Default: 1.
    count
        Number of observations. Default: the sum of the weights.
    """
    weights = np.ones(len(values)) if weights is None else weights
    if not len(values):
        counts = {"count": 0, "total_sum": 0.0, "percentiles": dict.fromkeys(PERCENTILES, 0.0)}
        return dict.fromkeys(_MOMENTS, 0.0) | counts | _WITHOUT
    count = round(float(np.sum(weights))) if count is None else count
    unique, place = np.unique(values, return_inverse=True)
    weight: Array = np.bincount(place, weights)
    if (weight > 0).any():
        unique, weight = unique[weight > 0], weight[weight > 0]
    else:
        weight = np.ones(len(unique))
    share = weight / np.sum(weight)
    mean = float(np.sum(unique * share))
    variance = float(np.sum((unique - mean) ** 2 * share))
    percentiles = dict(
        zip(PERCENTILES, stepped(unique, weight, list(PERCENTILES.values())), strict=True)
    )
    return {
        "mean": mean,
        "median": percentiles["p50"],
        "mode": float(unique[np.argmax(share)]),
        "variance": variance,
        "std_dev": variance**0.5,
        "min": float(unique[0]),
        "max": float(unique[-1]),
        "count": count,
        "total_sum": mean * count,
        "percentiles": percentiles,
    } | _WITHOUT


def rates(times_s: Array, amounts: Array, began_s: float, ended_s: float) -> dict[str, Any]:
    """Return the distribution of amounts per second over time.

    Each amount is spread over half the time to its two neighbours, and weighted by that time.
    """
    inside = (times_s >= began_s) & (times_s <= ended_s)
    times_s = np.append(times_s[inside], [began_s, ended_s])
    amounts = np.append(amounts[inside], [0.0, 0.0])
    times_s, amounts = _merged(times_s, amounts)
    if len(times_s) < 2:
        return summary(np.empty(0))
    middles_s = (times_s[1:] + times_s[:-1]) / 2
    share_s = np.diff(np.concatenate(([times_s[0]], middles_s, [times_s[-1]])))
    share_s[-1] = max(share_s[-1], _MIN_SHARE_S)
    return summary(amounts / share_s, share_s, round(float(np.sum(amounts))))


def concurrency(from_s: Array, to_s: Array, began_s: float, ended_s: float) -> dict[str, Any]:
    """Return the distribution of the number of concurrent requests, weighted by time."""
    inside = (to_s >= began_s) & (from_s <= ended_s)
    from_s, to_s, count = from_s[inside], to_s[inside], int(np.sum(inside))
    if not count:
        return summary(np.empty(0))
    times_s, changes = _merged(np.concatenate([from_s, to_s]), np.repeat([1.0, -1.0], count))
    before = times_s < began_s
    times_s = np.append(began_s, times_s[~before])
    changes = np.append(np.sum(changes[before]), changes[~before])
    kept = times_s <= ended_s
    times_s, changes = np.append(times_s[kept], ended_s), changes[kept]
    levels, lengths_s = np.maximum(np.cumsum(changes), 0.0), np.maximum(np.diff(times_s), 0.0)
    return summary(levels, lengths_s, count) if (lengths_s > 0).any() else summary(np.empty(0))


def _merged(times_s: Array, amounts: Array) -> tuple[Array, Array]:
    """Return sorted times, with each time merged into an earlier one within `_TOGETHER_S`."""
    unique_s, place = np.unique(times_s, return_inverse=True)
    summed = np.bincount(place, amounts)
    ends = np.searchsorted(unique_s, unique_s + _TOGETHER_S, side="right").tolist()
    starts, at = [], 0
    while at < len(ends):
        starts.append(at)
        at = ends[at]
    return unique_s[starts], np.add.reduceat(summed, starts)
