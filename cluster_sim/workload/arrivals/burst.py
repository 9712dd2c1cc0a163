"""A steady rate with bursts at known times on top, as after a lunch break."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from cluster_sim.limits import REQUESTS
from cluster_sim.schema import Description
from cluster_sim.units import PerSecond, PositiveSeconds, Seconds
from cluster_sim.workload.arrivals.process import OpenLoop
from cluster_sim.workload.arrivals.renewal import renewal_pieces

_AT_A_TIME = 4096
"""Approximate number of arrivals that are sorted together."""


class OneBurst(Description):
    """Additional arrivals for a limited time, once or repeatedly."""

    at_s: Seconds
    """Time at which the burst begins; if the burst repeats, the first such time [s]."""
    lasts_s: PositiveSeconds
    """Length of the burst [s]."""
    rate_per_s: PerSecond
    """Rate of the burst's arrivals, in addition to the base rate [1/s]."""
    every_s: PositiveSeconds | None = None
    """Time from one beginning of this burst to the next [s]. Default: `every` of the process."""

    @model_validator(mode="after")
    def _can_be_held(self) -> OneBurst:
        if (requests := self.rate_per_s * self.lasts_s) > REQUESTS.most:
            raise ValueError(REQUESTS.fault(round(requests), "requests of a burst"))
        return self

    def seconds_until(self, until_s: float, every_s: float | None) -> float:
        """Return the total time that the burst and its repetitions have lasted until a time [s]."""
        since_s = max(until_s - self.at_s, 0.0)
        if every_s is None:
            return min(since_s, self.lasts_s)
        whole, rest_s = divmod(since_s, every_s)
        return whole * self.lasts_s + min(rest_s, self.lasts_s)

    def holds(self, times_s: np.ndarray, every_s: float | None) -> np.ndarray:
        """Return whether each time [s] lies in the burst or in one of its repetitions."""
        since_s = times_s - self.at_s
        into_s = since_s if every_s is None else np.mod(since_s, every_s)
        is_inside: np.ndarray = (since_s >= 0.0) & (into_s < self.lasts_s)
        return is_inside

    def pieces(self, rng: np.random.Generator, every_s: float | None) -> Iterator[np.ndarray]:
        """Yield ascending Poisson arrivals [s] of the burst, and of its repetitions.

        For a single burst the number of arrivals is drawn first, then their times. For a repeated
        burst, arrivals are drawn on the total time that the burst has lasted, which is then cut
        into bursts.
        """
        if every_s is None:
            count = rng.poisson(self.rate_per_s * self.lasts_s)
            yield np.sort(self.at_s + self.lasts_s * rng.random(count))
            return
        for lasted_s in renewal_pieces(lambda n: rng.exponential(1.0 / self.rate_per_s, n)):
            before, into_s = np.divmod(lasted_s, self.lasts_s)
            # Rounding must not move an arrival past the next beginning, which may follow directly.
            yield self.at_s + np.minimum(before * every_s + into_s, (before + 1.0) * every_s)


class Burst(OpenLoop):
    """Poisson arrivals at `rate`, and additional Poisson arrivals during each burst."""

    can_be_thinned: ClassVar[bool] = True

    process: Literal["burst"] = "burst"
    rate_per_s: PerSecond
    """Base rate of arrivals, in bursts and between bursts [1/s]."""
    bursts: Annotated[tuple[OneBurst, ...], Field(min_length=1)]
    """Bursts in addition to the base rate. Bursts may overlap."""
    every_s: PositiveSeconds | None = None
    """Time after which every burst repeats, except bursts with their own `every` [s]. Default: no
    repetition."""

    @model_validator(mode="after")
    def _bursts_end_before_they_come_again(self) -> Burst:
        for burst, every_s in self._timed():
            if every_s is not None and burst.lasts_s > every_s:
                raise ValueError(
                    f"a burst repeats before it has ended: got lasts {burst.lasts_s:g} s and "
                    f"every {every_s:g} s; expected 'every' at least as long as 'lasts'"
                )
        return self

    def _timed(self) -> list[tuple[OneBurst, float | None]]:
        """Return each burst with the time after which it repeats [s]; None for a single burst."""
        return [(burst, burst.every_s or self.every_s) for burst in self.bursts]

    def peak_rate_per_s(self) -> float:
        """Return the rate while all bursts last at the same time [1/s]."""
        return self.rate_per_s + sum(burst.rate_per_s for burst in self.bursts)

    def in_bursts(self, times_s: np.ndarray) -> np.ndarray:
        """Return whether each time [s] lies in a burst, whose limits the rate curve moves."""
        if self.rate_curve is not None:
            integral = self.rate_curve.levels.integral
            times_s = np.array([integral(time_s) for time_s in times_s.tolist()])
        windows = [burst.holds(times_s, every_s) for burst, every_s in self._timed()]
        is_inside: np.ndarray = np.logical_or.reduce(windows)
        return is_inside

    def steady_pieces(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Yield arrays of ascending arrival times [s] without the rate curve, indefinitely."""
        base_rng, *burst_rngs = rng.spawn(1 + len(self.bursts))
        base = renewal_pieces(lambda count: base_rng.exponential(1.0 / self.rate_per_s, count))
        ahead = [_Ahead(base)]
        for (burst, every_s), burst_rng in zip(self._timed(), burst_rngs, strict=True):
            ahead.append(_Ahead(burst.pieces(burst_rng, every_s)))
        end_s, window_s = 0.0, _AT_A_TIME / self.steady_rate_per_s()
        while True:
            end_s += window_s
            if len(due := np.concatenate([times.until(end_s) for times in ahead])):
                yield np.sort(due)

    def steady_rate_per_s(self) -> float:
        """Return the arrivals per second over a long time [1/s]; single bursts do not count."""
        return self.rate_per_s + sum(
            burst.rate_per_s * burst.lasts_s / every_s
            for burst, every_s in self._timed()
            if every_s is not None
        )

    def steady_mean_per_s(self, until_s: float) -> float:
        """Return the mean arrivals per second until a time [s], which may cut a burst."""
        return self.rate_per_s + sum(
            burst.rate_per_s * burst.seconds_until(until_s, every_s) / until_s
            for burst, every_s in self._timed()
        )

    def rates_text(self, duration_s: float | None = None) -> str:
        """Return the mean rate over a run, the base rate and the rates of the bursts."""
        rates = dict.fromkeys(f"{burst.rate_per_s:.3g}/s" for burst in self.bursts)
        mean = f"mean rate incl. bursts {self.mean_rate_per_s(duration_s):.3g}/s"
        return f"{mean} (base {self.rate_per_s:.3g}/s, bursts {', '.join(rates)})"

    def with_rates(self, change: Callable[[float], float]) -> Self:
        """Return a copy in which `change` is applied to the base rate and to each burst's rate."""
        bursts = tuple(
            burst.model_copy(update={"rate_per_s": change(burst.rate_per_s)})
            for burst in self.bursts
        )
        return self.model_copy(update={"rate_per_s": change(self.rate_per_s), "bursts": bursts})


class _Ahead:
    """Buffer of ascending times, which are drawn in arrays and returned up to a given time."""

    def __init__(self, pieces: Iterator[np.ndarray]) -> None:
        self._pieces = pieces
        self._ahead = np.empty(0)

    def until(self, end_s: float) -> np.ndarray:
        """Return the times [s] before `end_s` that have not been returned yet."""
        drawn = [self._ahead]
        while not len(drawn[-1]) or drawn[-1][-1] < end_s:
            if (piece := next(self._pieces, None)) is None:
                break
            drawn.append(piece)
        times_s = np.concatenate(drawn)
        due = int(np.searchsorted(times_s, end_s))
        self._ahead = times_s[due:]
        return times_s[:due]
