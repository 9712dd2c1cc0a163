"""What every arrival process answers, and what those share whose times do not wait for answers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from itertools import chain
from math import isclose
from typing import ClassVar, NamedTuple, Self

import numpy as np

from cluster_sim.schema import Description
from cluster_sim.typing import RequestCount
from cluster_sim.workload.arrivals.bisection import smallest_reaching
from cluster_sim.workload.arrivals.curve import RateCurve


class WaitingClients(NamedTuple):
    """Clients of a closed loop."""

    number: int
    """Number of clients."""
    think_time_s: float
    """Time from an answer to the next request of the same client [s]."""


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

    def mean_rate_per_s(self, duration_s: float | None = None) -> float | None:
        """Return the mean arrivals per second over a run; None where there is no such rate.

        Parameters
        ----------
        duration_s
            Time at which arrivals stop [s]. Default: they go on indefinitely.
        """
        return None

    def periods_until(self, until_s: float) -> float:
        """Return how many bursts, silences or stays in a state are drawn until a time [s]."""
        return 0.0

    def scaled(self, factor: float) -> Self:
        """Return the whole process at `factor` times its rates; times and shapes stay.

        Raises
        ------
        TypeError
            If arrivals do not come at a rate.
        """
        raise self._no_rate()

    def at_mean_rate(self, per_s: float, duration_s: float | None = None) -> Self:
        """Return the whole process, scaled to a mean rate [1/s] over a run of `duration_s`.

        Raises
        ------
        TypeError
            If arrivals do not come at a rate.
        """
        raise self._no_rate()

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

    def _no_rate(self) -> TypeError:
        return TypeError(f"{self.name()} arrivals have no rate that can be scaled")

    def _fewer(self, one_in: int, **changes: object) -> Self:
        """Return a copy with `changes`, and with the fleet's counts divided by `one_in`."""
        counts = {key: count // one_in for key, count in self.fleet_counts().items()}
        return self.model_copy(update=counts | changes)


class OpenLoop(ArrivalProcess):
    """Arrivals at times that do not depend on the answers."""

    requests: RequestCount | None = None
    """Number of requests after which arrivals stop. Default: they stop with `duration`."""
    rate_curve: RateCurve | None = None
    """Factor on the rate over time. The whole process speeds up by the factor, bursts included.
    Default: no factor."""

    @abstractmethod
    def steady_pieces(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Yield ascending times [s] without the rate curve, some at a time, indefinitely."""

    @abstractmethod
    def steady_rate_per_s(self) -> float:
        """Return the arrivals per second over a long time, without the rate curve."""

    def steady_mean_per_s(self, until_s: float) -> float:
        """Return the mean arrivals per second until a time [s], without the rate curve.

        Processes whose rate depends on the time since their start override it.
        """
        return self.steady_rate_per_s()

    def with_rates(self, change: Callable[[float], float]) -> Self:
        """Return a copy in which `change` has been applied to every rate [1/s].

        Times, shapes and the rate curve stay. Processes override it where `rate` is not their
        only rate.
        """
        rate_per_s = getattr(self, "rate_per_s", None)
        if rate_per_s is None:
            raise self._no_rate()
        return self.model_copy(update={"rate_per_s": change(rate_per_s)})

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

    def mean_rate_per_s(self, duration_s: float | None = None) -> float:
        """Return the mean arrivals per second over a run, to the first order.

        The run ends at `duration_s`, or before, when so many arrivals are expected as `requests`
        says. Without either the mean is that of a long time.
        """
        end_s = self._end_s(duration_s)
        return self._long_run_per_s() if end_s is None else self._mean_until_per_s(end_s)

    def scaled(self, factor: float) -> Self:
        """Return the whole process at `factor` times its rates; times and shapes stay.

        Where `requests` does not end the arrivals, the mean rate grows by the factor, and the rate
        over the mean rate is the same at every time.
        """
        return self.with_rates(lambda rate_per_s: rate_per_s * factor)

    def at_mean_rate(self, per_s: float, duration_s: float | None = None) -> Self:
        """Return the whole process, scaled to a mean rate [1/s] over a run of `duration_s`."""
        mean_per_s = self.mean_rate_per_s(duration_s)
        scaled = self.with_rates(lambda rate_per_s: rate_per_s * per_s / mean_per_s)
        if isclose(scaled.mean_rate_per_s(duration_s), per_s, rel_tol=1e-9):
            return scaled
        # `requests` come sooner at higher rates, so that the run covers another part of the rates.
        return self.scaled(
            smallest_reaching(
                lambda factor: self.scaled(factor).mean_rate_per_s(duration_s),
                per_s,
                per_s / mean_per_s,
            )
        )

    def thinned(self, one_in: int) -> Self:
        """Return Poisson arrivals at smaller rates (Kingman, Poisson Processes, 1993, ch. 5).

        Raises
        ------
        TypeError
            If the thinned arrivals would be of another kind.
        """
        if not self.can_be_thinned:
            return super().thinned(one_in)
        return self.with_rates(lambda rate_per_s: rate_per_s / one_in)._fewer(one_in)

    def _long_run_per_s(self) -> float:
        """Return the arrivals per second over a long time."""
        return self.steady_rate_per_s() * (
            1.0 if self.rate_curve is None else self.rate_curve.levels.mean
        )

    def _mean_until_per_s(self, until_s: float) -> float:
        """Return the mean arrivals per second until a time [s] after zero."""
        if self.rate_curve is None:
            return self.steady_mean_per_s(until_s)
        curved_s = self.rate_curve.levels.integral(until_s)
        return self.steady_mean_per_s(curved_s) * (curved_s / until_s) if curved_s else 0.0

    def _end_s(self, duration_s: float | None) -> float | None:
        """Return when arrivals are expected to end [s]; None where they do not."""
        requests = self.requests
        if requests is None or (
            duration_s is not None and self._mean_until_per_s(duration_s) * duration_s <= requests
        ):
            return duration_s
        return smallest_reaching(
            lambda until_s: self._mean_until_per_s(until_s) * until_s,
            requests,
            requests / self._long_run_per_s(),
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
