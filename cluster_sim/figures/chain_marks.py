"""Courses over the time of a run, and the times at which they change after a burst began."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cluster_sim.typing import Array

FULL_CLOCK = 99.5
"""Share of the full clock below which a clock counts as lowered [%]."""
AT_LIMIT = 99.5
"""Share of its limit from which a course counts as at its limit [%]."""
_MOST_OF_RISE = 0.9
"""Part of its rise after which a course without limit counts as risen."""


class Course(NamedTuple):
    """A number over the time of a run, in per cent of its limit."""

    at_s: Array
    percent: Array

    @property
    def highest(self) -> float:
        """Highest value [%]; 0 if there is none."""
        return float(np.max(self.percent[~np.isnan(self.percent)], initial=0.0))

    @property
    def lowest(self) -> float:
        """Lowest value [%]; 100 if there is none."""
        return float(np.min(self.percent[~np.isnan(self.percent)], initial=100.0))


class Mark(NamedTuple):
    """First time after the begin of a burst at which a course has changed."""

    at_s: float
    percent: float
    """Value at that time [%]."""
    is_limit: bool
    """Whether the course is at its limit; otherwise it has made nine tenths of its rise."""


class Burst(NamedTuple):
    """Time of the first burst of a run."""

    from_s: float
    until_s: float


def mark(course: Course, burst: Burst | None) -> Mark | None:
    """Return when a course comes to its limit within a burst.

    If it never does, the result is when it has made nine tenths of its rise; None if it does not
    rise or there is no burst.
    """
    if burst is None:
        return None
    after = (course.at_s >= burst.from_s) & ~np.isnan(course.percent)
    after &= course.at_s <= burst.until_s
    at_s, percent = course.at_s[after], course.percent[after]
    before = course.percent[(course.at_s < burst.from_s) & ~np.isnan(course.percent)]
    start = float(np.mean(before)) if len(before) else 0.0
    top = float(np.max(percent, initial=0.0))
    if top <= 1.02 * start or not len(percent):
        return None
    is_limit = top >= AT_LIMIT
    wanted = AT_LIMIT if is_limit else start + _MOST_OF_RISE * (top - start)
    place = int(np.argmax(percent >= wanted))
    return Mark(float(at_s[place]), float(percent[place]), is_limit)


def mark_of_fall(clock: Course, burst: Burst | None) -> Mark | None:
    """Return when a clock is lowered first after a burst has begun; None if it never is."""
    from_s = 0.0 if burst is None else burst.from_s
    lowered = (clock.at_s >= from_s) & (clock.percent < FULL_CLOCK)
    if not lowered.any():
        return None
    place = int(np.argmax(lowered))
    return Mark(float(clock.at_s[place]), float(clock.percent[place]), is_limit=False)
