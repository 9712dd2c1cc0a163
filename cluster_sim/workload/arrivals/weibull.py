"""Bursty or regular arrivals with Weibull-distributed gaps."""

from __future__ import annotations

from collections.abc import Iterator
from math import gamma
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from cluster_sim.units import PerSecond
from cluster_sim.workload.arrivals.process import OpenLoop
from cluster_sim.workload.arrivals.renewal import renewal_pieces, weibull_shape


class Weibull(OpenLoop):
    """Weibull-distributed gaps with coefficient of variation `cv`.

    Arrivals are Poisson at a `cv` of 1 and bursty above 1. ServeGen reports that a fifth to a third
    of production clients follow Weibull rather than gamma gaps (Xiang et al., arXiv 2505.09999).
    """

    process: Literal["weibull"] = "weibull"
    rate_per_s: PerSecond
    """Mean rate of arrivals [1/s]."""
    cv: Annotated[float, Field(gt=0.002, le=1000.0)]
    """Coefficient of variation of the gaps between arrivals: 1 is Poisson, above 1 is bursty."""

    def steady_pieces(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Yield arrays of ascending arrival times [s] without the rate curve, indefinitely."""
        shape = weibull_shape(self.cv)
        scale_s = 1.0 / (self.rate_per_s * gamma(1 + 1 / shape))
        return renewal_pieces(lambda count: scale_s * rng.weibull(shape, count))

    def steady_rate_per_s(self) -> float:
        """Return the arrivals per second over a long time [1/s], without the rate curve."""
        return self.rate_per_s
