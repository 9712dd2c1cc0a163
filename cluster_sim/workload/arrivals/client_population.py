"""Many concurrent clients, each with its own rate and burstiness.

The traffic of a service with thousands of users is of this kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import gamma
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from cluster_sim.schema import Description
from cluster_sim.typing import ClientCount
from cluster_sim.units import PerSecond
from cluster_sim.workload.arrivals.process import OpenLoop
from cluster_sim.workload.arrivals.renewal import weibull_shape

_AT_A_TIME = 8192
"""Approximate number of arrivals of all clients that are sorted together."""


class ClientKind(Description):
    """Clients of one kind; each client is a renewal process with gamma or Weibull gaps."""

    share: Annotated[float, Field(gt=0.0)]
    """Weight of this kind in the total rate, relative to the other kinds; its clients share it."""
    cv: Annotated[float, Field(gt=0.02, le=100.0)] = 1.0
    """Coefficient of variation of each client's gaps."""
    gaps: Literal["gamma", "weibull"] = "gamma"
    """Distribution of each client's gaps."""
    count: ClientCount = 1
    """Number of independent clients of this kind."""


class ClientPopulation(OpenLoop):
    """Superposed renewal processes of many clients, started long before time zero.

    ServeGen describes production traffic like this: a few large and bursty clients cause most of
    its burstiness (Xiang et al., arXiv 2505.09999).
    """

    process: Literal["clients"] = "clients"
    rate_per_s: PerSecond
    """Rate of all clients together [1/s]."""
    clients: Annotated[tuple[ClientKind, ...], Field(min_length=1)]
    """Kinds of clients."""

    def steady_pieces(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Yield arrays of ascending arrival times [s] without the rate curve, indefinitely."""
        streams: list[_ClientStream] = []
        total = sum(kind.share for kind in self.clients)
        for kind in self.clients:
            rate_per_s = self.rate_per_s * kind.share / total / kind.count
            streams += [
                _ClientStream(client_rng, rate_per_s, kind.cv, kind.gaps)
                for client_rng in rng.spawn(kind.count)
            ]
        end_s = 0.0
        while True:
            end_s += _AT_A_TIME / self.rate_per_s
            yield np.sort(
                np.concatenate([times_s for stream in streams for times_s in stream.until(end_s)])
            )

    def steady_rate_per_s(self) -> float:
        """Return the arrivals per second over a long time [1/s], without the rate curve."""
        return self.rate_per_s


class _ClientStream:
    """Arrivals of one client, returned one time window after another."""

    def __init__(self, rng: np.random.Generator, rate_per_s: float, cv: float, gaps: str) -> None:
        self._draw, straddling_s = (
            _gamma_gaps(rng, rate_per_s, cv)
            if gaps == "gamma"
            else _weibull_gaps(rng, rate_per_s, cv)
        )
        self._rate_per_s = rate_per_s
        # The rest of the gap that contains time zero is uniform over that gap (Cox, Renewal
        # Theory, 1962, ch. 5).
        self._ahead = np.array([rng.random() * straddling_s])

    def until(self, end_s: float) -> Iterator[np.ndarray]:
        """Yield the arrivals [s] before `end_s` that have not been yielded yet."""
        while self._ahead[-1] < end_s:
            yield self._ahead
            last_s = float(self._ahead[-1])
            count = int((end_s - last_s) * self._rate_per_s * 1.1) + 8
            self._ahead = last_s + np.cumsum(self._draw(count))
        due = int(np.searchsorted(self._ahead, end_s))
        yield self._ahead[:due]
        self._ahead = self._ahead[due:]


Draw = Callable[[int], np.ndarray]


def _gamma_gaps(rng: np.random.Generator, rate_per_s: float, cv: float) -> tuple[Draw, float]:
    """Return a function that draws gaps, and the gap that contains a random moment [s].

    A random moment falls into longer gaps more often, so the shape of that gap is larger by one.
    """
    shape = 1.0 / cv**2
    scale_s = 1.0 / (shape * rate_per_s)
    return (lambda count: rng.gamma(shape, scale_s, count)), rng.gamma(shape + 1.0, scale_s)


def _weibull_gaps(rng: np.random.Generator, rate_per_s: float, cv: float) -> tuple[Draw, float]:
    """Return a function that draws gaps, and the gap that contains a random moment [s].

    The power of a length-biased Weibull variable is gamma-distributed with shape 1 + 1/k.
    """
    shape = weibull_shape(cv)
    scale_s = 1.0 / (rate_per_s * gamma(1 + 1 / shape))
    return (lambda count: scale_s * rng.weibull(shape, count)), scale_s * rng.gamma(
        1 + 1 / shape
    ) ** (1 / shape)
