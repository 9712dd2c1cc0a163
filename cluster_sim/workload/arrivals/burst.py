"""A steady rate with bursts at known times on top: what happens when everybody comes back from
lunch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from cluster_sim.schema import Description
from cluster_sim.units import PerSecond, PositiveSeconds, Seconds
from cluster_sim.workload.arrivals.process import Process
from cluster_sim.workload.arrivals.renewal import renewal_pieces


class OneBurst(Description):
    """Further arrivals for a while."""

    at_s: Seconds
    lasts_s: PositiveSeconds
    rate_per_s: PerSecond
    """On top of the base rate."""


class Burst(Process):
    """Poisson arrivals at `rate`, and further Poisson arrivals while each burst lasts."""

    process: Literal["burst"] = "burst"
    rate_per_s: PerSecond
    bursts: Annotated[tuple[OneBurst, ...], Field(min_length=1)]

    def steady_pieces(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Ascending arrival times [s] without the rate curve, some at a time, without end."""
        base_rng, *burst_rngs = rng.spawn(1 + len(self.bursts))
        extra_s = np.sort(
            np.concatenate(
                [
                    _one(burst, burst_rng)
                    for burst, burst_rng in zip(self.bursts, burst_rngs, strict=True)
                ]
            )
        )
        for piece in renewal_pieces(
            lambda count: base_rng.exponential(1.0 / self.rate_per_s, count)
        ):
            due = int(np.searchsorted(extra_s, piece[-1]))
            yield np.sort(np.concatenate([piece, extra_s[:due]])) if due else piece
            extra_s = extra_s[due:]

    def steady_rate_per_s(self) -> float:
        """Arrivals a second over a long time, in which the bursts vanish."""
        return self.rate_per_s


def _one(burst: OneBurst, rng: np.random.Generator) -> np.ndarray:
    """Poisson arrivals of one burst: their number first, then their places."""
    count = rng.poisson(burst.rate_per_s * burst.lasts_s)
    return burst.at_s + burst.lasts_s * rng.random(count)
