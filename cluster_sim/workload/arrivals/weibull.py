"""Bursty or regular arrivals whose long gaps are rarer than a gamma's of the same spread."""

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

    A `cv` of 1 gives Poisson arrivals; above 1, arrivals are bursty. ServeGen finds that the
    Weibull distribution fits a fifth to a third of production clients better than the gamma
    distribution (Xiang et al., arXiv 2505.09999).
    """

    process: Literal["weibull"] = "weibull"
    rate_per_s: PerSecond
    """Mean rate of arrivals [1/s]."""
    cv: Annotated[float, Field(gt=0.002, le=1000.0)]
    """Coefficient of variation of the gaps."""

    def steady_pieces(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Yield ascending times [s] without the rate curve, some at a time, indefinitely."""
        shape = weibull_shape(self.cv)
        scale_s = 1.0 / (self.rate_per_s * gamma(1 + 1 / shape))
        return renewal_pieces(lambda count: scale_s * rng.weibull(shape, count))

    def steady_rate_per_s(self) -> float:
        """Return the arrivals per second over a long time, without the rate curve."""
        return self.rate_per_s
