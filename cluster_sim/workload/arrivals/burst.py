"""A steady rate with bursts at known times on top: what happens when everybody comes back from lunch."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from cluster_sim.reading import Description
from cluster_sim.units import PerSecond, PositiveSeconds, Seconds
from cluster_sim.workload.arrivals.renewal import renewal_times


class OneBurst(Description):
    """Further arrivals for a while."""

    at_s: Seconds
    lasts_s: PositiveSeconds
    rate_per_s: PerSecond
    """On top of the base rate."""


class Burst(Description):
    """Poisson arrivals at `rate`, and further Poisson arrivals while each burst lasts."""

    process: Literal["burst"] = "burst"
    rate_per_s: PerSecond
    bursts: Annotated[tuple[OneBurst, ...], Field(min_length=1)]
    requests: Annotated[int, Field(gt=0)] | None = None
    """Arrivals stop after so many; default: with `duration`."""

    def times(self, rng: np.random.Generator) -> Iterator[float]:
        """Ascending arrival times [s], without end."""
        base_rng, *burst_rngs = rng.spawn(1 + len(self.bursts))
        base = renewal_times(lambda count: base_rng.exponential(1.0 / self.rate_per_s, count))
        return merge(base, *(_one(burst, burst_rng) for burst, burst_rng in zip(self.bursts, burst_rngs, strict=True)))

    def mean_rate_per_s(self) -> float:
        """Arrivals a second over a long time, in which the bursts vanish."""
        return self.rate_per_s


def _one(burst: OneBurst, rng: np.random.Generator) -> Iterator[float]:
    """Poisson arrivals of one burst: their number first, then their places, sorted."""
    count = rng.poisson(burst.rate_per_s * burst.lasts_s)
    return iter(np.sort(burst.at_s + burst.lasts_s * rng.random(count)).tolist())
