"""Base classes of arrival processes: `ArrivalProcess`, and `OpenLoop` if answers do not matter."""

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
    """Parameters with which a benchmark client sends the traffic of a process."""

    rate_per_s: float | None = None
    """Rate of requests; None if requests are not sent at a rate [1/s]."""
    gamma_shape: float = 1.0
    """Shape of the gamma-distributed gaps at `rate_per_s`: 1 is Poisson, inf is constant gaps."""
    max_concurrency: int | None = None
    """Number of clients that wait for answers; None if no client waits."""
    queued: int | None = None
    """Number of requests that are all sent at time zero; None if they are sent over time."""


class ArrivalProcess(Description):
    """Base of every arrival process: its interface to other rooms.

    The defaults describe a process that cannot be thinned, has no parameters for a benchmark client,
    and has no clients that wait for answers. A process overrides the methods that it supports, so
    that no other room checks its class.
    """

    can_be_thinned: ClassVar[bool] = False
    """Whether one in n of the arrivals is a process of the same kind, which `thinned` returns."""
    ends_by_itself: ClassVar[bool] = False
    """Whether the result is the time until the last answer, without a steady state before."""

    @classmethod
    def name(cls) -> str:
        """Return the value of `process` in a scenario file."""
        return str(cls.model_fields["process"].default)

    def pieces(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Yield arrays of ascending arrival times [s].

        Raises
        ------
        TypeError
            If arrivals depend on the answers, so that only a run determines their times.
        """
        raise TypeError(
            f"{self.name()} arrivals wait for answers, so only a run determines their times"
        )

    def times(self, rng: np.random.Generator) -> Iterator[float]:
        """Yield ascending arrival times [s], one by one.

        Raises
        ------
        TypeError
            If arrivals depend on the answers, so that only a run determines their times.
        """
        return chain.from_iterable(piece.tolist() for piece in self.pieces(rng))

    def mean_rate_per_s(self, duration_s: float | None = None) -> float | None:
        """Return the mean arrivals per second over a run [1/s]; None if there is no such rate.

        Parameters
        ----------
        duration_s
            Time at which arrivals stop [s]. Default: arrivals continue indefinitely.
        """
        return None

    def rates_text(self, duration_s: float | None = None) -> str | None:
        """Return the mean rate over a run with the rates that form it; None without such rates.

        Parameters
        ----------
        duration_s
            Time at which arrivals stop [s]. Default: arrivals continue indefinitely.
        """
        return None

    def base_rate_per_s(self) -> float | None:
        """Return the value of `rate`, bursts not included [1/s]; None without such a key."""
        rate_per_s: float | None = getattr(self, "rate_per_s", None)
        return rate_per_s

    def peak_rate_per_s(self) -> float:
        """Return the rate while all bursts last at the same time [1/s]; 0 without a rate."""
        return self.base_rate_per_s() or 0.0

    def periods_until(self, until_s: float) -> float:
        """Return the number of bursts, silences or stays that are drawn until a time [s]."""
        return 0.0

    def scaled(self, factor: float) -> Self:
        """Return the whole process at `factor` times its rates; times and shapes stay.

        Raises
        ------
        TypeError
            If the process has no rate.
        """
        raise self._no_rate()

    def at_mean_rate(self, per_s: float, duration_s: float | None = None) -> Self:
        """Return the whole process, scaled to a mean rate [1/s] over a run of `duration_s`.

        Raises
        ------
        TypeError
            If the process has no rate.
        """
        raise self._no_rate()

    def waiting_clients(self) -> WaitingClients | None:
        """Return the clients that wait for answers; None if arrivals do not depend on answers."""
        return None

    def client_load(self) -> ClientLoad | None:
        """Return the parameters of a benchmark client; None if a client must replay the times."""
        return None

    def in_bursts(self, times_s: np.ndarray) -> np.ndarray | None:
        """Return whether each time [s] lies in a burst; None if the process describes no bursts."""
        return None

    def fleet_counts(self) -> dict[str, int]:
        """Return the counts that are proportional to the fleet's size, by key of the file."""
        return {}

    def thinned(self, one_in: int) -> Self:
        """Return the arrivals for one in `one_in` of the replicas, at the same rate per replica.

        Raises
        ------
        TypeError
            If the thinned arrivals would be of another kind.
        """
        raise TypeError(f"{self.name()} arrivals cannot be thinned")

    def _no_rate(self) -> TypeError:
        return TypeError(f"{self.name()} arrivals have no rate that can be scaled")

    def _fewer(self, one_in: int, **changes: object) -> Self:
        """Return a copy with `changes`, and with all `fleet_counts` divided by `one_in`."""
        counts = {key: count // one_in for key, count in self.fleet_counts().items()}
        return self.model_copy(update=counts | changes)


class OpenLoop(ArrivalProcess):
    """Arrivals at times that do not depend on the answers."""

    requests: RequestCount | None = None
    """Number of requests after which arrivals stop. Default: arrivals stop at `duration`."""
    rate_curve: RateCurve | None = None
    """Factor on the rate over time. The whole process, including its bursts, runs faster by this
    factor. Default: 1."""

    @abstractmethod
    def steady_pieces(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Yield arrays of ascending arrival times [s] without the rate curve, indefinitely."""

    @abstractmethod
    def steady_rate_per_s(self) -> float:
        """Return the arrivals per second over a long time [1/s], without the rate curve."""

    def steady_mean_per_s(self, until_s: float) -> float:
        """Return the mean arrivals per second until a time [s], without the rate curve.

        Processes whose rate depends on the time since their start override this method.
        """
        return self.steady_rate_per_s()

    def with_rates(self, change: Callable[[float], float]) -> Self:
        """Return a copy in which `change` is applied to every rate [1/s].

        Times, shapes and the rate curve stay. Processes with other rates than `rate` override this
        method.
        """
        rate_per_s = getattr(self, "rate_per_s", None)
        if rate_per_s is None:
            raise self._no_rate()
        return self.model_copy(update={"rate_per_s": change(rate_per_s)})

    def gamma_shape(self) -> float | None:
        """Return the shape of independent gamma-distributed gaps; None for other gaps.

        A shape of 1 is Poisson arrivals, inf is constant gaps.
        """
        return None

    def pieces(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Yield arrays of ascending arrival times [s], indefinitely.

        The rate curve changes the time scale: an arrival of the steady process at time s happens
        when the integral of the curve reaches s (Çınlar, Introduction to Stochastic Processes,
        1975, ch. 4.7).
        """
        if self.rate_curve is None:
            return self.steady_pieces(rng)
        return self.rate_curve.levels.stretched(self.steady_pieces(rng))

    def mean_rate_per_s(self, duration_s: float | None = None) -> float:
        """Return the mean arrivals per second over a run [1/s], to the first order.

        The run ends at `duration_s`, or earlier, when the expected number of arrivals reaches
        `requests`. Without both, the mean is taken over a long time.
        """
        end_s = self._end_s(duration_s)
        return self._long_run_per_s() if end_s is None else self._mean_until_per_s(end_s)

    def scaled(self, factor: float) -> Self:
        """Return the whole process at `factor` times its rates; times and shapes stay.

        If `requests` does not end the arrivals, the mean rate grows by the factor, and the ratio of
        the rate to the mean rate stays the same at every time.
        """
        return self.with_rates(lambda rate_per_s: rate_per_s * factor)

    def at_mean_rate(self, per_s: float, duration_s: float | None = None) -> Self:
        """Return the whole process, scaled to a mean rate [1/s] over a run of `duration_s`."""
        mean_per_s = self.mean_rate_per_s(duration_s)
        scaled = self.with_rates(lambda rate_per_s: rate_per_s * per_s / mean_per_s)
        if isclose(scaled.mean_rate_per_s(duration_s), per_s, rel_tol=1e-9):
            return scaled
        # At higher rates `requests` are reached earlier, so the run covers another part of the
        # curve.
        return self.scaled(
            smallest_reaching(
                lambda factor: self.scaled(factor).mean_rate_per_s(duration_s),
                per_s,
                per_s / mean_per_s,
            )
        )

    def thinned(self, one_in: int) -> Self:
        """Return the Poisson arrivals at lower rates (Kingman, Poisson Processes, 1993, ch. 5).

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
        """Return the expected time of the last arrival [s]; None if arrivals do not end."""
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
        """Return rate and gaps if this is a steady renewal process with gamma gaps, else None."""
        shape = self.gamma_shape()
        if shape is None or self.rate_curve is not None:
            return None
        return ClientLoad(self.steady_rate_per_s(), shape)

    def fleet_counts(self) -> dict[str, int]:
        """Return the number of requests if it is given."""
        return {} if self.requests is None else {"requests": self.requests}
