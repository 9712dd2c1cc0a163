"""Rows of the fullest of several groups, whose rows are distributed at random."""

from __future__ import annotations

from math import log

import numpy as np

from cluster_sim.typing import Array

_ITERATIONS = 8
"""Number of Newton's steps for the bound of the fullest group."""


def fullest(means: Array) -> tuple[Array, Array]:
    """Return the rows of the fullest group of each layer, and how much chance adds to them.

    The rows of a group vary like a Poisson count around its mean m. A bound of the expected maximum
    of such normal variates is

        min over t of ln(sum of exp(t m + t^2 m / 2)) / t

    With equal means it is `expert_load.busiest_group`; with many rows it is the largest mean.
    Source: Boucheron, Lugosi, Massart, Concentration Inequalities, 2013, section 2.5.

    Parameters
    ----------
    means
        Expected rows, one row per layer and one column per group.

    Returns
    -------
    tuple[Array, Array]
        Rows of the fullest group, and the ratio of these to the means of the groups that may be
        the fullest, for each layer.

    Examples
    --------
    >>> rows, chance = fullest(np.array([[1e9, 2e9]]))
    >>> round(float(rows[0]) / 1e9, 3), round(float(chance[0]), 3)
    (2.0, 1.0)
    """
    groups = means.shape[1]
    largest = means.max(axis=1, keepdims=True)
    if groups == 1:
        return largest[:, 0], np.ones(len(means))
    squared = 2.0 * log(groups) / means.mean(axis=1, keepdims=True)
    bound = np.full(largest.shape, np.inf)
    for _ in range(_ITERATIONS):
        slope = np.sqrt(squared)
        powers = slope * means + 0.5 * squared * means
        top = powers.max(axis=1, keepdims=True)
        weights = np.exp(powers - top)
        total = weights.sum(axis=1, keepdims=True)
        weights /= total
        height = top + np.log(total)
        lift = (1.0 + slope) * means
        rise = (weights * lift).sum(axis=1, keepdims=True)
        bend = (weights * (means + (lift - rise) ** 2)).sum(axis=1, keepdims=True)
        bound = height / slope
        expected = (weights * means).sum(axis=1, keepdims=True)
        squared = np.maximum(squared - 2.0 * (slope * rise - height) / bend, squared / 16.0)
    return bound[:, 0], bound[:, 0] / expected[:, 0]
