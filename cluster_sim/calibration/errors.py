"""Errors of predicted times of kernels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Errors(NamedTuple):
    """Errors |predicted / measured - 1| of a set of kernels."""

    median: float
    """Median error."""
    p90: float
    """Error that nine of ten kernels do not exceed."""

    @classmethod
    def of(cls, predicted_s: ArrayLike, measured_s: ArrayLike) -> Errors:
        """Return the errors of predicted times; both arguments have the same order."""
        off = np.abs(np.asarray(predicted_s) / np.asarray(measured_s) - 1.0)
        return cls(float(np.median(off)), float(np.percentile(off, 90)))
