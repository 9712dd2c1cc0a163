"""Rates that follow the clock: hours of the day, weekends, or given points."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from cluster_sim.schema import Description
from cluster_sim.units import PositiveSeconds, Seconds

HOUR_S = 3600.0
DAY_S = 24 * HOUR_S
WEEK_S = 7 * DAY_S
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_STEP_S = 900.0
"""Time between two points of a daily curve, which is linear between points [s]."""

Factor = Annotated[float, Field(ge=0.0)]


@dataclass(frozen=True)
class Levels:
    """A non-negative, piecewise linear and periodic function of time, and its integral."""

    at_s: np.ndarray
    """Times of the points, ascending from 0 to the period [s]."""
    level: np.ndarray
    """Level at each point."""

    @cached_property
    def _integral(self) -> np.ndarray:
        return np.concatenate(
            [[0.0], np.cumsum(np.diff(self.at_s) * (self.level[1:] + self.level[:-1]) / 2)]
        )

    @property
    def mean(self) -> float:
        """Level averaged over the period."""
        return float(self._integral[-1] / self.at_s[-1])

    def integral(self, until_s: float) -> float:
        """Return the integral from time zero until a time [s]."""
        periods, rest_s = divmod(until_s, float(self.at_s[-1]))
        line = min(int(np.searchsorted(self.at_s, rest_s, side="right")), len(self.at_s) - 1) - 1
        level, next_level = float(self.level[line]), float(self.level[line + 1])
        into_s = rest_s - float(self.at_s[line])
        slope = (next_level - level) / float(self.at_s[line + 1] - self.at_s[line])
        return float(
            periods * self._integral[-1]
            + self._integral[line]
            + into_s * (level + slope * into_s / 2)
        )

    def stretched(self, pieces: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield the times [s] at which the integral reaches the ascending areas in `pieces`."""
        last_s = 0.0
        for areas in pieces:
            # Rounding could reverse the order of areas that are almost equal.
            times_s = np.maximum.accumulate(np.maximum(self._time_of_s(areas), last_s))
            last_s = float(times_s[-1])
            yield times_s

    def _time_of_s(self, area: np.ndarray) -> np.ndarray:
        """Return the times [s] at which the integral reaches `area`.

        Each time is the positive root of a quadratic within one linear piece.
        """
        total = self._integral[-1]
        whole, rest = np.divmod(area, total)
        line = np.minimum(
            np.searchsorted(self._integral, rest, side="right") - 1, len(self.at_s) - 2
        )
        missing = rest - self._integral[line]
        start = self.level[line]
        slope = (self.level[line + 1] - start) / (self.at_s[line + 1] - self.at_s[line])
        root = np.sqrt(np.maximum(start * start + 2 * slope * missing, 0.0))
        into_s = np.divide(
            2 * missing, start + root, out=np.zeros_like(missing), where=start + root > 0.0
        )
        times_s: np.ndarray = whole * self.at_s[-1] + np.minimum(
            self.at_s[line] + into_s, self.at_s[line + 1]
        )
        return times_s


class Clock(Description):
    """Day and hour at time zero, and the shape of a day and a week.

    The rate over a day is proportional to exp(k·cos(hour − peak hour)), von Mises' curve. It has
    one peak and a flat night. k follows from `peak_to_mean`.
    """

    peak_to_mean: Annotated[float, Field(ge=1.0, le=12.0)] = 2.0
    """Ratio of the rate at the peak hour to the mean rate of that day."""
    peak_hour: Annotated[float, Field(ge=0.0, lt=24.0)] = 14.0
    """Hour of the day with the highest rate."""
    weekend: Factor = 1.0
    """Factor on the rate on Saturday and Sunday."""
    begins_day: Literal[
        "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"
    ] = "monday"
    """Day of the week at time zero."""
    begins_hour: Annotated[float, Field(ge=0.0, lt=24.0)] = 0.0
    """Hour of the day at time zero."""

    def week(self) -> Levels:
        """Return the level over a week from time zero on; its mean over the week is 1."""
        at_s = np.arange(0.0, WEEK_S + _STEP_S / 2, _STEP_S)
        clock_s = (at_s + _DAYS.index(self.begins_day) * DAY_S + self.begins_hour * HOUR_S) % WEEK_S
        sharpness = sharpness_of(self.peak_to_mean)
        day = np.exp(
            sharpness * (np.cos(2 * np.pi * (clock_s / HOUR_S - self.peak_hour) / 24) - 1.0)
        )
        levels = Levels(at_s, np.where(clock_s >= 5 * DAY_S, self.weekend, 1.0) * day)
        return Levels(at_s, levels.level / levels.mean)


class RateCurve(Clock):
    """Factor on the rate of a process.

    The factor is a daily curve with weekends and mean 1, or it is given by `points`, which are not
    normalised.
    """

    points: Annotated[tuple[tuple[Seconds, Factor], ...], Field(min_length=1)] | None = None
    """Pairs of [time, factor] from time zero on, in place of the daily curve; the factor is linear
    between points. Default: the daily curve."""
    period_s: PositiveSeconds | None = None
    """Time after which the points repeat [s]. Default: the last factor holds indefinitely."""

    @model_validator(mode="after")
    def _points_make_a_curve(self) -> RateCurve:
        refuse_bad_points(self.points, self.period_s, self.changed_fields)
        return self

    @cached_property
    def levels(self) -> Levels:
        """Factor over time."""
        return self.week() if self.points is None else levels_of(self.points, self.period_s)


_INDEFINITELY_S = 1e12
"""Period of points that do not repeat, about thirty thousand years [s]."""


def levels_of(points: tuple[tuple[float, float], ...], period_s: float | None) -> Levels:
    """Return the level that is linear between `points`.

    The level is constant before the first point. With a period it returns from the last point to
    the first level at the end of the period; without a period the last level holds.
    """
    at_s, level = (list(column) for column in zip(*points, strict=True))
    end_s, at_end = (_INDEFINITELY_S, level[-1]) if period_s is None else (period_s, level[0])
    if at_s[0] > 0.0:
        at_s, level = [0.0, *at_s], [level[0], *level]
    if at_s[-1] < end_s:
        at_s, level = [*at_s, end_s], [*level, at_end]
    return Levels(np.array(at_s), np.array(level))


def refuse_bad_points(
    points: tuple[tuple[float, float], ...] | None, period_s: float | None, given: set[str]
) -> None:
    """Raise ValueError if `points` do not define a curve.

    Points must ascend in time, lie within the period, not all be zero, and exclude the keys of a
    daily curve.
    """
    if points is None:
        if period_s is not None:
            raise ValueError(
                "'period' is the time after which 'points' repeat; give 'points' or remove 'period'"
            )
        return
    if beside := sorted(given & set(Clock.model_fields)):
        raise ValueError(f"'points' replace '{beside[0]}'; expected only one of them")
    times_s = [time_s for time_s, _ in points]
    if any(later <= earlier for earlier, later in pairwise(times_s)):
        raise ValueError("expected the times of 'points' in ascending order")
    if period_s is not None and times_s[-1] > period_s:
        raise ValueError(
            f"got a last point at {times_s[-1]:g} s and a period of {period_s:g} s; expected all points within the period"
        )
    if not any(level for _, level in points) or (period_s is None and not points[-1][1]):
        raise ValueError(
            "without a 'period' the last point holds indefinitely and must not be zero"
            if points[-1][1] == 0.0 and any(level for _, level in points)
            else "got points that are all zero; expected at least one above zero"
        )


def sharpness_of(peak_to_mean: float) -> float:
    """Return the k at which exp(k·cos) has this ratio of peak to mean, which is exp(k)/I0(k).

    >>> round(sharpness_of(1.0), 6), round(sharpness_of(2.1470553), 4)
    (0.0, 1.0)
    """
    angles = np.linspace(0.0, np.pi, 721)
    low, high = 0.0, 1000.0
    for _ in range(60):
        middle = (low + high) / 2
        mean = float(np.trapezoid(np.exp(middle * (np.cos(angles) - 1.0)), angles)) / np.pi
        low, high = (middle, high) if 1.0 / mean < peak_to_mean else (low, middle)
    return low
