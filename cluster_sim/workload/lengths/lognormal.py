"""Lengths with a normally distributed logarithm: many are short, few are very long."""

from __future__ import annotations

from math import erf, exp, log, sqrt
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from cluster_sim.schema import Description
from cluster_sim.typing import Count, Sigma

_Z99 = 2.3263478740408408  # 99th percentile of the standard normal distribution


class LogNormal(Description):
    """Log-normal lengths with a median and either the 99th percentile or sigma.

    Lengths are rounded to whole tokens, at least 1, and cut at `max`.
    """

    distribution: Literal["lognormal"] = "lognormal"
    median: Annotated[float, Field(gt=0.0)]
    """Median length [tokens]."""
    p99: Annotated[float, Field(gt=0.0)] | None = None
    """99th percentile of the lengths, before the cut at `max` [tokens]."""
    sigma: Sigma | None = None
    """Standard deviation of the logarithm of the lengths."""
    max: Count | None = None
    """Maximum length; longer lengths are cut to it, as services do [tokens]. Default: no cut."""

    @model_validator(mode="after")
    def _has_one_spread(self) -> LogNormal:
        if (self.p99 is None) == (self.sigma is None):
            raise ValueError("expected exactly one of 'p99' and 'sigma' with 'median'")
        if self.p99 is not None and self.p99 < self.median:
            raise ValueError(
                f"got p99 {self.p99:g} and median {self.median:g}; expected p99 at least the median"
            )
        return self

    @property
    def spread(self) -> float:
        """Standard deviation of the logarithm: `sigma`, or the value that follows from `p99`."""
        return (
            self.sigma
            if self.sigma is not None
            else log((self.p99 or self.median) / self.median) / _Z99
        )

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Return `count` lengths [tokens]."""
        drawn = self.median * np.exp(self.spread * rng.standard_normal(count))
        return np.clip(np.rint(drawn), 1, self.max if self.max is not None else 2**31).astype(
            np.int64
        )

    @property
    def longest(self) -> int | None:
        """Maximum length that can be drawn [tokens]; None without a cut."""
        return self.max

    def mean(self) -> float:
        """Return the mean length [tokens], with the cut at `max` and without rounding.

        The formula is the limited expected value of the log-normal distribution (Klugman, Panjer,
        Willmot, Loss Models, app. A).
        """
        sigma = self.spread
        whole = self.median * exp(sigma * sigma / 2)
        if self.max is None:
            return whole
        if sigma == 0.0:
            return min(self.median, float(self.max))
        z = log(self.max / self.median) / sigma
        below, above = 0.5 * (1 + erf((z - sigma) / sqrt(2))), 0.5 * (1 - erf(z / sqrt(2)))
        return whole * below + self.max * above
