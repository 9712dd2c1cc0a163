"""What arrival processes have in common: an end after so many, and a slow rate curve that stretches
and squeezes their time.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from itertools import chain
from typing import Annotated

import numpy as np
from pydantic import Field

from cluster_sim.schema import Description
from cluster_sim.workload.arrivals.curve import RateCurve


class Process(Description):
    """Arrivals at times that do not depend on the answers."""

    requests: Annotated[int, Field(gt=0)] | None = None
    """Arrivals stop after so many; default: with `duration`."""
    rate_curve: RateCurve | None = None
    """By what factor the rate is larger at which time: the process runs that much faster then,
    bursts and all."""

    @abstractmethod
    def steady_pieces(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Ascending arrival times [s] without the rate curve, some at a time, without end."""

    @abstractmethod
    def steady_rate_per_s(self) -> float:
        """Arrivals a second over a long time, without the rate curve."""

    def pieces(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Ascending arrival times [s], some at a time, without end.

        The curve acts by a change of time: an arrival that the steady process has after s seconds
        comes when the curve's integral has reached s (Çınlar, Introduction to Stochastic Processes,
        1975, ch. 4.7).
        """
        if self.rate_curve is None:
            return self.steady_pieces(rng)
        return self.rate_curve.levels.stretched(self.steady_pieces(rng))

    def times(self, rng: np.random.Generator) -> Iterator[float]:
        """Ascending arrival times [s], without end."""
        return chain.from_iterable(piece.tolist() for piece in self.pieces(rng))

    def mean_rate_per_s(self) -> float:
        """Arrivals a second over a long time."""
        return self.steady_rate_per_s() * (
            1.0 if self.rate_curve is None else self.rate_curve.levels.mean
        )
