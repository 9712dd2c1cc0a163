"""How far predicted times of kernels are off."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Errors(NamedTuple):
    """|predicted over measured - 1|: the middle one, and the one that nine of ten stay below."""

    median: float
    p90: float

    @classmethod
    def of(cls, predicted_s: ArrayLike, measured_s: ArrayLike) -> Errors:
        """The errors of kernels predicted to take `predicted_s` and measured to take `measured_s`,
        in the same order.
        """
        off = np.abs(np.asarray(predicted_s) / np.asarray(measured_s) - 1.0)
        return cls(float(np.median(off)), float(np.percentile(off, 90)))
