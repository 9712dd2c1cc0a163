"""Constants of a formula from measured times: robust least squares of the logarithm of time over
the logarithms of the constants.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cluster_sim.calibration.errors import Errors

Array = NDArray[np.float64]
Found = dict[str, float]

FEW_SHAPES = 10
"""Shapes up to which each is left out of a fit alone, not a fifth of them."""
ALIKE = 0.3
"""How far a constant lies from that of a similar device when it counts as much as a kernel that is
off by the tolerance [1]."""


class Bounds(NamedTuple):
    """Where one constant may lie."""

    start: float
    low: float
    high: float
    vanishes: bool = False
    """Whether the low end stands for zero."""


def solved(
    ranges: Mapping[str, Bounds],
    predict: Callable[[Found], Array],
    seconds: Array,
    tolerance: float,
    *,
    start: Found | None = None,
    alike: Found | None = None,
    steps: int = 100,
) -> tuple[float, Found]:
    """(remaining cost, constants): `predict` gives the seconds of each kernel from the constants by
    name.

    tolerance: relative error at which a kernel begins to count linearly, no longer by its square,
    so that what is made small is nearly the median. alike: constants of a similar device, which
    hold where the kernels do not tell.
    """
    from scipy.optimize import least_squares  # slow to import, and wanted here only

    names, log_s = list(ranges), np.log(seconds)
    low, high = (np.log([getattr(ranges[name], end) for name in names]) for end in ("low", "high"))

    def inside(constants: Found) -> Array:
        return np.clip(
            np.log([max(constants[name], ranges[name].low) for name in names]),
            low + 1e-3,
            high - 1e-3,
        )

    pulled_to = None if alike is None else inside(alike)

    def residuals(logs: Array) -> Array:
        off = np.log(predict(dict(zip(names, np.exp(logs).tolist(), strict=True)))) - log_s
        return (
            off
            if pulled_to is None
            else np.concatenate([off, (logs - pulled_to) * (tolerance / ALIKE)])
        )

    first = start or alike or {name: ranges[name].start for name in names}
    result = least_squares(
        residuals,
        inside(first),
        bounds=(low, high),
        loss="soft_l1",
        f_scale=tolerance,
        max_nfev=steps,
        diff_step=1e-3,
    )
    return float(result.cost), dict(zip(names, np.exp(result.x).tolist(), strict=True))


def rounded(ranges: Mapping[str, Bounds], constants: Found) -> Found:
    """To four digits, and to zero where a constant vanishes."""
    return {
        name: 0.0
        if one.vanishes and constants[name] < 1.5 * one.low
        else float(f"{constants[name]:.4g}")
        for name, one in ranges.items()
    }


def cross_validated(
    shapes: Array,
    seconds: Array,
    refit: Callable[[NDArray[np.bool_], NDArray[np.bool_]], Array],
    seed: int = 0,
) -> Errors:
    """Errors on kernels of shapes that a fit has not seen.

    shapes: one row a number, one column a kernel; refit: seconds of the kernels of the second mask,
    by a fit to those of the first. Shapes are left out a fifth at a time, or one by one where they
    are few.
    """
    kinds, shape_of = np.unique(shapes, axis=1, return_inverse=True)
    count = kinds.shape[1]
    folds = count if count <= FEW_SHAPES else 5
    part = np.random.default_rng(seed).permutation(count)[shape_of.reshape(-1)] % folds
    predicted_s = np.empty(len(seconds))
    for held in range(folds):
        predicted_s[part == held] = refit(part != held, part == held)
    return Errors.of(predicted_s, seconds)
