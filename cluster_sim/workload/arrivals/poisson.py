"""Independent arrivals at a constant rate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

from cluster_sim.units import PerSecond
from cluster_sim.workload.arrivals.process import Process
from cluster_sim.workload.arrivals.renewal import renewal_pieces


class Poisson(Process):
    """Exponential gaps: many independent users, none of whom notices the others."""

    process: Literal["poisson"] = "poisson"
    rate_per_s: PerSecond

    def steady_pieces(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Ascending arrival times [s] without the rate curve, some at a time, without end."""
        return renewal_pieces(lambda count: rng.exponential(1.0 / self.rate_per_s, count))

    def steady_rate_per_s(self) -> float:
        """Arrivals a second over a long time, without the rate curve."""
        return self.rate_per_s
