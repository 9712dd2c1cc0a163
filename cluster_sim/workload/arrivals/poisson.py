"""Independent arrivals at a constant rate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np

from cluster_sim.units import PerSecond
from cluster_sim.workload.arrivals.process import OpenLoop
from cluster_sim.workload.arrivals.renewal import renewal_pieces


class Poisson(OpenLoop):
    """Arrivals with independent exponential gaps, like those of many independent users."""

    can_be_thinned: ClassVar[bool] = True

    process: Literal["poisson"] = "poisson"
    rate_per_s: PerSecond
    """Mean rate of arrivals [1/s]."""

    def steady_pieces(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Yield arrays of ascending arrival times [s] without the rate curve, indefinitely."""
        return renewal_pieces(lambda count: rng.exponential(1.0 / self.rate_per_s, count))

    def steady_rate_per_s(self) -> float:
        """Return the arrivals per second over a long time [1/s], without the rate curve."""
        return self.rate_per_s

    def gamma_shape(self) -> float:
        """Return 1: exponential gaps are gamma-distributed with shape 1."""
        return 1.0
