"""The three rules by which benchmark clients find percentiles.

Of 1 … 10 they say p90 is 9.1, 9 and 10, and p99 is 9.91, 10 and 10.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cluster_sim.typing import Array

_ROUNDING = 1e-12
"""Share of the weight that is rounding: 9 of 10 are 90 %, whatever 0.1 nine times over comes to."""


def linear(values: Array, percents: Sequence[float]) -> list[float]:
    """Return percentiles on the line between two values, as numpy, vLLM and AIPerf do.

    Raises IndexError where there are no values.

    >>> linear(np.arange(1, 11), [90, 99])
    [9.1, 9.91]
    """
    return [float(value) for value in np.percentile(values, percents)]


def stepped(values: Array, weights: Array, percents: Sequence[float]) -> list[float]:
    """Return the smallest values up to which at least these shares of all weight lie.

    GuideLLM does so. `values` ascend. Raises IndexError where there are none.

    >>> stepped(np.arange(1, 11), np.ones(10), [90, 99])
    [9.0, 10.0]
    """
    so_far = np.cumsum(weights)
    wanted = np.asarray(percents) / 100 * so_far[-1]
    places = np.searchsorted(so_far, wanted * (1 - _ROUNDING), side="left")
    return [float(value) for value in values[np.minimum(places, len(values) - 1)]]


def ranked(values: Array, percents: Sequence[float]) -> list[float]:
    """Return the values at places floor(n·p), counted from 0, in order of size.

    MLPerf's LoadGen does so. Raises IndexError where there are no values.

    >>> ranked(np.arange(1, 11), [90, 99])
    [10.0, 10.0]
    """
    ordered = np.sort(values)
    return [
        float(ordered[min(int(len(ordered) * (percent / 100)), len(ordered) - 1)])
        for percent in percents
    ]
