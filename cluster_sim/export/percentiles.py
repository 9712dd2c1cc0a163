"""Three rules for percentiles that benchmark clients use.

For the values 1 … 10 they give 9.1, 9 and 10 as p90, and 9.91, 10 and 10 as p99.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cluster_sim.typing import Array

_ROUNDING = 1e-12
"""Tolerance for rounding as a share of the weight: 9 of 10 values are 90 %, although the sum of nine
times 0.1 differs from 0.9."""


def linear(values: Array, percents: Sequence[float]) -> list[float]:
    """Return percentiles with linear interpolation, like numpy, vLLM and AIPerf.

    Raises IndexError if there are no values.

    >>> linear(np.arange(1, 11), [90, 99])
    [9.1, 9.91]
    """
    return [float(value) for value in np.percentile(values, percents)]


def stepped(values: Array, weights: Array, percents: Sequence[float]) -> list[float]:
    """Return the smallest values whose cumulative weight reaches these percentiles, like GuideLLM.

    `values` must ascend. Raises IndexError if there are no values.

    >>> stepped(np.arange(1, 11), np.ones(10), [90, 99])
    [9.0, 10.0]
    """
    so_far = np.cumsum(weights)
    targets = np.asarray(percents) / 100 * so_far[-1]
    places = np.searchsorted(so_far, targets * (1 - _ROUNDING), side="left")
    return [float(value) for value in values[np.minimum(places, len(values) - 1)]]


def ranked(values: Array, percents: Sequence[float]) -> list[float]:
    """Return the sorted values at the indices floor(n·p), counted from 0, like MLPerf's LoadGen.

    Raises IndexError if there are no values.

    >>> ranked(np.arange(1, 11), [90, 99])
    [10.0, 10.0]
    """
    ordered = np.sort(values)
    return [
        float(ordered[min(int(len(ordered) * (percent / 100)), len(ordered) - 1)])
        for percent in percents
    ]
