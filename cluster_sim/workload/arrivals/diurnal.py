"""Arrivals that follow the clock: hours of the day and weekends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from cluster_sim.units import PerSecond, PositiveSeconds, RateOrZero, Seconds
from cluster_sim.workload.arrivals.curve import Clock, Levels, levels_of, refuse_bad_points
from cluster_sim.workload.arrivals.process import OpenLoop
from cluster_sim.workload.arrivals.renewal import renewal_pieces


class Diurnal(Clock, OpenLoop):
    """Poisson arrivals whose rate follows a daily curve with weekends, or lines between `points`.

    Typical values are those of a week of Azure's service in May 2024 (Stojkovic et al., DynamoLLM,
    HPCA 2025). Code completion peaks at 3.5 times its mean and falls to 3 % of the peak at night;
    its weekend peak is a quarter of the weekday peak. `peak_to_mean: 3.1, weekend: 0.25` is close
    to this. Conversation peaks at 1.9 times its mean; `peak_to_mean: 1.8` is close to this.
    """

    can_be_thinned: ClassVar[bool] = True

    process: Literal["diurnal"] = "diurnal"
    rate_per_s: PerSecond | None = None
    """Mean rate over a week, including the weekend [1/s]. Default: `points` give the rate."""
    points: Annotated[tuple[tuple[Seconds, RateOrZero], ...], Field(min_length=1)] | None = None
    """Pairs of [time, rate] from time zero on, in place of `rate` and the daily curve; the rate is
    linear between points. Default: the daily curve."""
    period_s: PositiveSeconds | None = None
    """Time after which the points repeat [s]. Default: the last rate holds indefinitely."""

    @model_validator(mode="after")
    def _has_one_curve(self) -> Diurnal:
        if (self.rate_per_s is None) == (self.points is None):
            raise ValueError("expected exactly one of 'rate', with the daily curve, and 'points'")
        refuse_bad_points(self.points, self.period_s, self.changed_fields)
        return self

    @cached_property
    def levels(self) -> Levels:
        """Rate over time [1/s]."""
        if self.points is not None:
            return levels_of(self.points, self.period_s)
        week = self.week()
        assert self.rate_per_s is not None
        return Levels(week.at_s, week.level * self.rate_per_s)

    def steady_pieces(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Yield arrays of ascending arrival times [s] without the rate curve, indefinitely."""
        return self.levels.stretched(renewal_pieces(lambda count: rng.exponential(1.0, count)))

    def steady_rate_per_s(self) -> float:
        """Return the arrivals per second over a long time [1/s], without the rate curve."""
        return self.levels.mean

    def steady_mean_per_s(self, until_s: float) -> float:
        """Return the mean arrivals per second until a time [s], without the rate curve."""
        return self.levels.integral(until_s) / until_s

    def with_rates(self, change: Callable[[float], float]) -> Self:
        """Return a copy in which `change` is applied to the rate, or to the rate of each point."""
        if self.points is None:
            return super().with_rates(change)
        points = tuple((at_s, change(rate_per_s)) for at_s, rate_per_s in self.points)
        return self.model_copy(update={"points": points})
