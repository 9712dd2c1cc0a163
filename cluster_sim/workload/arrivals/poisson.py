"""Independent arrivals at a constant rate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from cluster_sim.reading import Description
from cluster_sim.units import PerSecond
from cluster_sim.workload.arrivals.renewal import renewal_times


class Poisson(Description):
    """Exponential gaps: many independent users, none of whom notices the others."""

    process: Literal["poisson"] = "poisson"
    rate_per_s: PerSecond
    requests: Annotated[int, Field(gt=0)] | None = None
    """Arrivals stop after so many; default: with `duration`."""

    def times(self, rng: np.random.Generator) -> Iterator[float]:
        """Ascending arrival times [s], without end."""
        return renewal_times(lambda count: rng.exponential(1.0 / self.rate_per_s, count))

    def mean_rate_per_s(self) -> float:
        """Arrivals a second over a long time."""
        return self.rate_per_s
