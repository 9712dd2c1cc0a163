"""Bursty or regular arrivals with one parameter for the burstiness."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from cluster_sim.units import PerSecond
from cluster_sim.workload.arrivals.process import OpenLoop
from cluster_sim.workload.arrivals.renewal import renewal_pieces


class Gamma(OpenLoop):
    """Gamma-distributed gaps with coefficient of variation `cv`.

    Arrivals are Poisson at a `cv` of 1 and bursty above 1. The gamma shape is 1 / cv². Over long
    windows the index of dispersion of counts tends to cv² (Cox, Renewal Theory, 1962).
    """

    process: Literal["gamma"] = "gamma"
    rate_per_s: PerSecond
    """Mean rate of arrivals [1/s]."""
    cv: Annotated[float, Field(gt=0.0)]
    """Coefficient of variation of the gaps between arrivals: 1 is Poisson, above 1 is bursty."""

    def steady_pieces(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Yield arrays of ascending arrival times [s] without the rate curve, indefinitely."""
        shape = 1.0 / self.cv**2
        return renewal_pieces(
            lambda count: rng.gamma(shape, 1.0 / (shape * self.rate_per_s), count)
        )

    def steady_rate_per_s(self) -> float:
        """Return the arrivals per second over a long time [1/s], without the rate curve."""
        return self.rate_per_s

    def gamma_shape(self) -> float:
        """Return the gamma shape of the gaps, 1 / cv²."""
        return self.cv**-2
