"""Constants of a device, fitted to runs by simulating them.

Closed formulas (`calibration.serving`) hold for closed loops whose prompts join decode steps. Queues
of requests, full KV caches, and steps that prefill instead of decode need the simulation itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from cluster_sim.typing import Array

_PULL = 0.01
"""Weight that pulls each constant to its start, per factor of e."""
_SCALE = 0.04
"""Relative error from which errors count linearly and not by their square."""
_TOLERANCE = 1e-4
"""Relative change of errors or constants that ends the search."""


class Range(NamedTuple):
    """Start of a constant, and its bounds."""

    start: float
    low: float
    high: float


def fit_simulated(
    ranges: Mapping[str, Range],
    errors: Callable[[Mapping[str, float]], Array],
    begin: Mapping[str, float] | None = None,
) -> dict[str, float]:
    """Return the constants with the smallest errors.

    The method is robust least squares on the logarithm of time, as in
    `calibration.serving.fit_serving`. Constants that the runs do not determine stay at their start.
    The result is deterministic.

    Parameters
    ----------
    ranges
        Start and bounds by the name of a constant, in its unit.
    errors
        Function from constants by name to weighted errors of the logarithm of times, one per
        measured value.
    begin
        Constants from which the search begins. Default: the starts, to which the fit pulls in any
        case.

    Examples
    --------
    A step of 20 ms, of which 10 ms do not depend on the batch:

    >>> ranges = {"fixed": Range(5.0, 1.0, 50.0), "each": Range(1.0, 0.1, 50.0)}
    >>> batches = np.array([1.0, 2.0, 4.0, 8.0])
    >>> measured = np.log(10.0 + 10.0 * batches)
    >>> def errors(given):
    ...     return np.log(given["fixed"] + given["each"] * batches) - measured
    >>> found = fit_simulated(ranges, errors)
    >>> abs(found["fixed"] - 10.0) < 0.1, abs(found["each"] - 10.0) < 0.1
    (True, True)
    """
    from scipy.optimize import least_squares

    names = tuple(ranges)
    start, low, high = np.log(np.array([ranges[name] for name in names])).T

    def given(logs: Array) -> dict[str, float]:
        return dict(zip(names, np.exp(logs).tolist(), strict=True))

    def residuals(logs: Array) -> Array:
        return np.concatenate([errors(given(logs)), _PULL * (logs - start)])

    first = start if begin is None else np.log([begin[name] for name in names])
    solved = least_squares(
        residuals,
        np.clip(first, low + 1e-6, high - 1e-6),
        bounds=(low, high),
        loss="soft_l1",
        f_scale=_SCALE,
        diff_step=1e-3,
        ftol=_TOLERANCE,
        xtol=_TOLERANCE,
    )
    return given(solved.x)
