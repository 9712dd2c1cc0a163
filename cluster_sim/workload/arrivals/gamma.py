"""Bursty or regular arrivals with one number for how much."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from cluster_sim.reading import Description
from cluster_sim.units import PerSecond
from cluster_sim.workload.arrivals.renewal import renewal_times


class Gamma(Description):
    """Gamma-distributed gaps with coefficient of variation `cv`: 1 is Poisson, above it comes in bursts.

    The shape is 1 / cv². Over long windows the index of dispersion of counts tends to cv² (Cox, Renewal Theory, 1962).
    """

    process: Literal["gamma"] = "gamma"
    rate_per_s: PerSecond
    cv: Annotated[float, Field(gt=0.0)]
    requests: Annotated[int, Field(gt=0)] | None = None
    """Arrivals stop after so many; default: with `duration`."""

    def times(self, rng: np.random.Generator) -> Iterator[float]:
        """Ascending arrival times [s], without end."""
        shape = 1.0 / self.cv**2
        return renewal_times(lambda count: rng.gamma(shape, 1.0 / (shape * self.rate_per_s), count))

    def mean_rate_per_s(self) -> float:
        """Arrivals a second over a long time."""
        return self.rate_per_s
