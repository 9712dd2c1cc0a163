"""What every arrival process answers, and what those share whose times do not wait for answers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from itertools import chain
from typing import ClassVar, NamedTuple, Self

import numpy as np

from cluster_sim.schema import Description
from cluster_sim.typing import RequestCount
from cluster_sim.workload.arrivals.curve import RateCurve


class WaitingClients(NamedTuple):
    """Clients of a closed loop."""

    number: int
    """Number of clients."""
    think_time_s: float
    """Time from an answer to the same client's next request [s]."""


class ClientLoad(NamedTuple):
    """Parameters with which a benchmark client sends the same traffic."""

    rate_per_s: float | None = None
    """Requests per second; None where requests do not come at a rate."""
    gamma_shape: float = 1.0
    """Shape of the gamma-distributed gaps at that rate: 1 is Poisson, inf is constant gaps."""
    max_concurrency: int | None = None
    """Number of clients that wait for answers; None where nobody waits."""
    queued: int | None = None
    """Number of requests that are all sent at time zero; None where they come over time."""


class RateKey(NamedTuple):
    """The one field by which all arrivals come faster or slower."""

    field: str
    per_s: float
    """Value of the field [1/s]."""


class ArrivalProcess(Description):
    """Base of every arrival process: the questions that other rooms ask of it.

    The answers here are those of a process of which nothing more is known: it cannot be thinned,
    no benchmark client has parameters for it, and nobody waits for answers. A process overrides
    what it knows better, so that no other room asks for its class.
    """

    can_be_thinned: ClassVar[bool] = False
    """Whether one in n of the arrivals is a process of the same kind; `thinned` then says which."""
    ends_by_itself: ClassVar[bool] = False
    """Whether the time until the last answer is the question, and nothing settles before."""

    @classmethod
    def name(cls) -> str:
        """Return the value of `process` in a scenario file."""
        return str(cls.model_fields["process"].default)

    def pieces(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Yield ascending arrival times [s], some at a time.

        Raises
        ------
        TypeError
            If arrivals follow the answers, so that only a run knows their times.
        """
        raise TypeError(f"{self.name()} arrivals wait for answers and have no times of their own")

    def times(self, rng: np.random.Generator) -> Iterator[float]:
        """Yield ascending arrival times [s], one by one. Raises TypeError as `pieces` does."""
        return chain.from_iterable(piece.tolist() for piece in self.pieces(rng))

    def mean_rate_per_s(self) -> float | None:
        """Return the arrivals per second over a long time; None where there is no such rate."""
        return None

    def rate_key(self) -> RateKey | None:
        """Return the field that sets the rate; None where no single field does."""
        per_s = getattr(self, "rate_per_s", None)
        return None if per_s is None else RateKey("rate_per_s", per_s)

    def waiting_clients(self) -> WaitingClients | None:
        """Return the clients that send when they are answered; None where arrivals have times."""
        return None

    def client_load(self) -> ClientLoad | None:
        """Return how a benchmark client sends this traffic; None where it must replay the times."""
        return None

    def fleet_counts(self) -> dict[str, int]:
        """Return the counts that grow with the fleet, by key of the file."""
        return {}

    def thinned(self, one_in: int) -> Self:
        """Return the arrivals at one in `one_in` of the replicas, at the same rate per replica.

        Raises
        ------
        TypeError
            If the thinned arrivals would be of another kind.
        """
        raise TypeError(f"{self.name()} arrivals cannot be thinned")

    def _fewer(self, one_in: int, **changes: object) -> Self:
        """Return a copy with `changes`, and with the fleet's counts divided by `one_in`."""
        counts = {key: count // one_in for key, count in self.fleet_counts().items()}
        return self.model_copy(update=counts | changes)


class OpenLoop(ArrivalProcess):
    """Arrivals at times that do not depend on the answers."""

    requests: RequestCount | None = None
    """Number of requests after which arrivals stop. Default: they stop with `duration`."""
    rate_curve: RateCurve | None = None
    """Factor on the rate over time: the process runs that much faster then, bursts and all."""

    @abstractmethod
    def steady_pieces(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Yield ascending times [s] without the rate curve, some at a time, indefinitely."""

    @abstractmethod
    def steady_rate_per_s(self) -> float:
        """Return the arrivals per second over a long time, without the rate curve."""

    def gamma_shape(self) -> float | None:
        """Return the shape of independent gamma-distributed gaps; None for other gaps.

        1 is Poisson arrivals, inf is constant gaps.
        """
        return None

    def pieces(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Yield ascending arrival times [s], some at a time, indefinitely.

        The curve acts by a change of time: an arrival that the steady process has after s seconds
        comes when the curve's integral has reached s (Çınlar, Introduction to Stochastic Processes,
        1975, ch. 4.7).
        """
        if self.rate_curve is None:
            return self.steady_pieces(rng)
        return self.rate_curve.levels.stretched(self.steady_pieces(rng))

    def mean_rate_per_s(self) -> float:
        """Return the arrivals per second over a long time."""
        return self.steady_rate_per_s() * (
            1.0 if self.rate_curve is None else self.rate_curve.levels.mean
        )

    def client_load(self) -> ClientLoad | None:
        """Return rate and gaps of a steady renewal process with gamma gaps; None for all others."""
        shape = self.gamma_shape()
        if shape is None or self.rate_curve is not None:
            return None
        return ClientLoad(self.steady_rate_per_s(), shape)

    def fleet_counts(self) -> dict[str, int]:
        """Return the number of requests where it is given."""
        return {} if self.requests is None else {"requests": self.requests}
