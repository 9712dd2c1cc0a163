"""A steady rate with bursts at known times on top, as when everybody comes back from lunch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from cluster_sim.schema import Description
from cluster_sim.units import PerSecond, PositiveSeconds, Seconds
from cluster_sim.workload.arrivals.process import OpenLoop
from cluster_sim.workload.arrivals.renewal import renewal_pieces


class OneBurst(Description):
    """Further arrivals for a while."""

    at_s: Seconds
    """Time at which the burst begins [s]."""
    lasts_s: PositiveSeconds
    """Length of the burst [s]."""
    rate_per_s: PerSecond
    """Rate of the burst's arrivals, on top of the base rate [1/s]."""


class Burst(OpenLoop):
    """Poisson arrivals at `rate`, and further Poisson arrivals while each burst lasts."""

    can_be_thinned: ClassVar[bool] = True

    process: Literal["burst"] = "burst"
    rate_per_s: PerSecond
    """Base rate of arrivals [1/s]."""
    bursts: Annotated[tuple[OneBurst, ...], Field(min_length=1)]
    """Bursts on top of the base rate, which may overlap."""

    def steady_pieces(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Yield ascending times [s] without the rate curve, some at a time, indefinitely."""
        base_rng, *burst_rngs = rng.spawn(1 + len(self.bursts))
        extra_s = np.sort(
            np.concatenate(
                [
                    _burst_times(burst, burst_rng)
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
        """Return the arrivals per second over a long time, in which the bursts vanish."""
        return self.rate_per_s

    def thinned(self, one_in: int) -> Self:
        """Return smaller rates: the sum of Poisson processes is thinned as each of them is."""
        bursts = tuple(
            burst.model_copy(update={"rate_per_s": burst.rate_per_s / one_in})
            for burst in self.bursts
        )
        return self._fewer(one_in, rate_per_s=self.rate_per_s / one_in, bursts=bursts)


def _burst_times(burst: OneBurst, rng: np.random.Generator) -> np.ndarray:
    """Return the Poisson arrivals [s] of one burst: first their number is drawn, then times."""
    count = rng.poisson(burst.rate_per_s * burst.lasts_s)
    return burst.at_s + burst.lasts_s * rng.random(count)
