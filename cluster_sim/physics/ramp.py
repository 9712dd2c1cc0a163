"""Ramp: lengths of a run of engine steps that grow by a constant, in closed form.

The KV cache of a fixed batch grows by one token per sequence and step. Every other term of a step
is constant, so step i lasts `first_s + i * slope_s`.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import floor, sqrt
from typing import NamedTuple

ALWAYS = 1 << 62
"""Number of steps that stands for "until the batch changes"."""


new_ramp = tuple.__new__
"""Constructor of a Ramp from the tuple of its fields: `new_ramp(Ramp, (first_s, slope_s,
valid_steps))`.

NOTE: it takes 0.28 us instead of 0.47 us for `Ramp(...)`, and a stretch of steps makes three.
"""


class Ramp(NamedTuple):
    """Lengths of a run of similar steps: step i, from 0 on, lasts `first_s + i * slope_s`."""

    first_s: float
    """Length of the first step [s]."""
    slope_s: float = 0.0
    """Difference between the lengths of consecutive steps [s]."""
    valid_steps: int = ALWAYS
    """Number of steps for which `first_s` and `slope_s` are valid; at least 1."""

    def total_s(self, steps: int) -> float:
        """Return the time of the first `steps` steps [s]: the sum of an arithmetic series.

        >>> Ramp(2.0, 0.5).total_s(3)  # 2 + 2.5 + 3
        7.5
        """
        return steps * self.first_s + self.slope_s * (steps * (steps - 1) * 0.5)

    def steps_done(self, elapsed_s: float) -> int:
        """Return the number of whole steps that end within `elapsed_s`.

        It is the largest n with `total_s(n) <= elapsed_s`. The quadratic equation is solved in its
        stable form and the result is corrected by one where needed, so that rounding cannot change
        it. `first_s` must be positive, `slope_s` must not be negative, and `elapsed_s` is in
        seconds.

        >>> ramp = Ramp(2.0, 0.5)
        >>> ramp.steps_done(7.5), ramp.steps_done(7.4), Ramp(1.0).steps_done(3.9)
        (3, 2, 3)
        """
        first_s, slope_s, _ = self
        b = first_s - 0.5 * slope_s
        steps = int(2.0 * elapsed_s / (b + sqrt(b * b + 2.0 * slope_s * elapsed_s)))
        if steps * first_s + slope_s * (steps * (steps - 1) * 0.5) > elapsed_s:
            return steps - 1
        following = steps + 1
        if following * first_s + slope_s * (following * steps * 0.5) <= elapsed_s:
            return following
        return steps

    def at_least(self, floor_s: float) -> Ramp:
        """Return the steps with a minimum length [s], for as long as that is one line.

        >>> Ramp(2.0, 1.0).at_least(5.0)  # the floor until i = 3
        Ramp(first_s=5.0, slope_s=0.0, valid_steps=4)
        >>> Ramp(6.0, 1.0).at_least(5.0)[:2]
        (6.0, 1.0)
        """
        first_s, slope_s, valid_steps = self
        if first_s >= floor_s:
            return self
        if not slope_s:
            return new_ramp(Ramp, (floor_s, 0.0, valid_steps))
        # Valid until the line overtakes the floor: at least one step, and no step after the
        # crossing.
        until = floor((floor_s - first_s) / slope_s) + 1
        return new_ramp(Ramp, (floor_s, 0.0, until if until < valid_steps else valid_steps))

    def at_most(self, other: Ramp) -> Ramp:
        """Return the shorter ones of both kinds of steps, for as long as that is one line.

        >>> Ramp(5.0, 2.0).at_most(Ramp(7.0, 1.0))  # equal at i = 2
        Ramp(first_s=5.0, slope_s=2.0, valid_steps=3)
        """
        shorter, longer = (self, other) if self[:2] <= other[:2] else (other, self)
        lead_s, closing_s = longer.first_s - shorter.first_s, shorter.slope_s - longer.slope_s
        until = floor(lead_s / closing_s) + 1 if closing_s > 0.0 else ALWAYS
        return Ramp(*shorter[:2], min(longer.valid_steps, shorter.valid_steps, until))

    def overlapped(self, other: Ramp, share: float) -> Ramp:
        """Return the lengths of two parallel parts of a step; `share` of the shorter one overlaps.

        Both parts take `self + other - share * min(self, other)`: their sum for a share of 0, and
        the longer one for a share of 1.

        >>> Ramp(5.0).overlapped(Ramp(2.0, 1.0), 1.0)  # 5 until i = 3
        Ramp(first_s=5.0, slope_s=0.0, valid_steps=4)
        >>> Ramp(5.0).overlapped(Ramp(6.0, 1.0), 0.5)[:2]  # 6 plus half of 5
        (8.5, 1.0)
        """
        longer, shorter = (self, other) if self[:2] >= other[:2] else (other, self)
        lead_s, closing_s = longer.first_s - shorter.first_s, shorter.slope_s - longer.slope_s
        shown = 1.0 - share
        until = floor(lead_s / closing_s) + 1 if closing_s > 0.0 else ALWAYS
        return Ramp(
            longer.first_s + shown * shorter.first_s,
            longer.slope_s + shown * shorter.slope_s,
            min(longer.valid_steps, shorter.valid_steps, until),
        )

    def plus(self, other: Ramp) -> Ramp:
        """Return the lengths of steps that consist of two parts one after the other."""
        return Ramp(
            self.first_s + other.first_s,
            self.slope_s + other.slope_s,
            min(self.valid_steps, other.valid_steps),
        )

    def scaled(self, factor: float) -> Ramp:
        """Return the lengths of steps that take `factor` times as long."""
        first_s, slope_s, valid_steps = self
        return new_ramp(Ramp, (factor * first_s, factor * slope_s, valid_steps))

    def longer_than(self, other: Ramp) -> Ramp:
        """Return the differences between the lengths of these steps and those of `other`."""
        return Ramp(self.first_s - other.first_s, self.slope_s - other.slope_s)

    def delayed(self, wait_s: float) -> Ramp:
        """Return the lengths of the steps if `wait_s` seconds pass before the first one."""
        return Ramp(self.first_s + wait_s, self.slope_s, self.valid_steps)


def longest(ramps: Iterable[Ramp]) -> Ramp:
    """Return the lengths of steps of parallel parts, for as long as the longest is one line.

    >>> longest([Ramp(5.0), Ramp(2.0, 1.0), Ramp(4.0)])  # 5 until i = 3
    Ramp(first_s=5.0, slope_s=0.0, valid_steps=4)
    """
    ramps = list(ramps)
    first_s, slope_s, valid_steps = max(ramps)
    for other_s, other_slope_s, other_steps in ramps:
        if other_slope_s > slope_s:
            until = floor((first_s - other_s) / (other_slope_s - slope_s)) + 1
            if until < valid_steps:
                valid_steps = until
        if other_steps < valid_steps:
            valid_steps = other_steps
    return new_ramp(Ramp, (first_s, slope_s, valid_steps))
