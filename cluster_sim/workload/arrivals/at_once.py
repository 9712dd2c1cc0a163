"""Requests that are all queued at time zero: offline work."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from typing import ClassVar, Literal

import numpy as np

from cluster_sim.typing import RequestCount
from cluster_sim.workload.arrivals.process import ArrivalProcess, ClientLoad


class AtOnce(ArrivalProcess):
    """Requests that all arrive at time zero; the result is the time until the last one finishes."""

    ends_by_itself: ClassVar[bool] = True

    process: Literal["at_once"] = "at_once"
    requests: RequestCount
    """Number of requests, all of which are sent at time zero."""

    def pieces(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Yield arrays of arrival times that are all zero [s], indefinitely."""
        return repeat(np.zeros(4096))

    def client_load(self) -> ClientLoad:
        """Return a queue of all requests."""
        return ClientLoad(queued=self.requests)
