"""Constants of a formula, fitted to measured times.

The method is robust least squares of the logarithm of time over the logarithms of the constants.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np
from pydantic import BaseModel

from cluster_sim.calibration.errors import Errors
from cluster_sim.typing import Array

Fit = TypeVar("Fit", bound=BaseModel)
Constants = dict[str, float]
"""Values of constants by name."""

FEW_SHAPES = 10
"""Maximum number of shapes for which each shape is excluded alone; with more, a fifth at a time."""
ALIKE = 0.3
"""Distance of a constant from that of a similar device, in its logarithm, that counts as much as
one kernel with an error of the tolerance."""


class Bounds(NamedTuple):
    """Range of one constant."""

    start: float
    low: float
    high: float
    vanishes: bool = False
    """Whether the low end stands for zero."""


class LogFit(NamedTuple):
    """Fit of constants to measured times, in the logarithm of both."""

    bounds: Mapping[str, Bounds]
    """Range of each constant, by name."""
    predict: Callable[[Constants], Array]
    """Function from constants to the times of all kernels [s]."""
    seconds: Array
    """Measured times of the kernels [s]."""
    tolerance: float
    """Relative error above which a kernel counts linearly instead of by its square [1]. The fit
    then nearly minimises the median error."""
    alike: Constants | None = None
    """Constants of a similar device, which are used where the kernels do not determine a constant.
    """

    def solved(self, start: Constants | None = None, steps: int = 100) -> tuple[float, Constants]:
        """Return the remaining cost and the constants.

        Parameters
        ----------
        start
            Constants to start from. Default: `alike`, or else the start of each range.
        steps
            Maximum number of steps.
        """
        from scipy.optimize import least_squares  # slow to import, and needed here only

        bounds, tolerance = self.bounds, self.tolerance
        names, log_s = list(bounds), np.log(self.seconds)
        low, high = (
            np.log([getattr(bounds[name], end) for name in names]) for end in ("low", "high")
        )

        def inside(constants: Constants) -> Array:
            return np.clip(
                np.log([max(constants[name], bounds[name].low) for name in names]),
                low + 1e-3,
                high - 1e-3,
            )

        pulled_to = None if self.alike is None else inside(self.alike)

        def residuals(logs: Array) -> Array:
            constants = dict(zip(names, np.exp(logs).tolist(), strict=True))
            off = np.log(self.predict(constants)) - log_s
            if pulled_to is None:
                return off
            return np.concatenate([off, (logs - pulled_to) * (tolerance / ALIKE)])

        first = start or self.alike or {name: bounds[name].start for name in names}
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


def guess(kind: type[Fit], values: Mapping[str, Any]) -> Fit:
    """Return a fit with these values of its fields.

    A fit tries thousands of guesses, which its bounds keep in range, so none is validated.
    """
    return kind.model_construct(**values)


def some_of(count: int, most: int) -> Array:
    """Return the indices of at most `most` of `count` kernels, drawn with a fixed seed."""
    drawn: Array = np.random.default_rng(0).permutation(count)[:most]
    return drawn


def rounded(bounds: Mapping[str, Bounds], constants: Constants) -> Constants:
    """Return the constants rounded to four digits, or to zero at an end that means zero."""
    return {
        name: 0.0
        if bound.vanishes and constants[name] < 1.5 * bound.low
        else float(f"{constants[name]:.4g}")
        for name, bound in bounds.items()
    }


def cross_validated(
    shapes: Array, seconds: Array, refit: Callable[[Array, Array], Array], seed: int = 0
) -> Errors:
    """Return the errors on kernels of shapes outside of the fit.

    A fifth of the shapes is excluded at a time. If there are few shapes, each is excluded alone.

    Parameters
    ----------
    shapes
        Numbers that describe the shape of each kernel: one row per number, one column per kernel.
    seconds
        Measured times of the kernels [s].
    refit
        Function that fits the kernels of its first mask, and returns the predicted times of the
        kernels of its second mask [s].
    seed
        Seed of the order in which shapes are excluded.
    """
    kinds, shape_of = np.unique(shapes, axis=1, return_inverse=True)
    count = kinds.shape[1]
    folds = count if count <= FEW_SHAPES else 5
    fold = np.random.default_rng(seed).permutation(count)[shape_of.reshape(-1)] % folds
    predicted_s = np.empty(len(seconds))
    for held in range(folds):
        predicted_s[fold == held] = refit(fold != held, fold == held)
    return Errors.of(predicted_s, seconds)
