"""Ramp: a run of engine steps whose lengths grow by a constant, in closed form.

Along a fixed batch the KV cache grows by one token per sequence and step, and every other term of a
step is constant, so the i-th step lasts `first_s + i * slope_s`.
"""

from __future__ import annotations

from math import floor, sqrt
from typing import NamedTuple

ALWAYS = 1 << 62
"""Number of steps that stands for "as long as the batch stays as it is"."""


new_ramp = tuple.__new__
"""Makes a Ramp of a tuple of its fields: `new_ramp(Ramp, (first_s, slope_s, valid_steps))`.

NOTE: it takes 0.28 us where `Ramp(...)` takes 0.47 us, and three are made per stretch of steps.
"""


class Ramp(NamedTuple):
    """How long a run of like steps takes: step i, from 0 on, lasts `first_s + i * slope_s`."""

    first_s: float
    """Length of the first step [s]."""
    slope_s: float = 0.0
    """Amount by which each step is longer than the one before [s]."""
    valid_steps: int = ALWAYS
    """Number of steps for which the two hold; at least 1."""

    def total_s(self, steps: int) -> float:
        """Return the seconds of the first `steps` steps: the sum of an arithmetic series.

        >>> Ramp(2.0, 0.5).total_s(3)  # 2 + 2.5 + 3
        7.5
        """
        return steps * self.first_s + self.slope_s * (steps * (steps - 1) * 0.5)

    def steps_done(self, elapsed_s: float) -> int:
        """Return the number of whole steps that end within `elapsed_s`.

        It is the largest n with `total_s(n) <= elapsed_s`. The quadratic is solved in its stable
        form and the last unit is corrected, so that rounding cannot leave it one off. `first_s`
        must be positive and `slope_s` not negative.

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
        """Return the steps where each takes `floor_s` at least, for as long as that is one line.

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
        # Until the line overtakes: one step at least, and none of those in which it already has.
        until = floor((floor_s - first_s) / slope_s) + 1
        return new_ramp(Ramp, (floor_s, 0.0, until if until < valid_steps else valid_steps))

    def overlapped(self, other: Ramp, share: float) -> Ramp:
        """Return two parts of a step together, of which `share` of the shorter is hidden.

        Both together take `self + other - share * min(self, other)`: their sum for a share of 0,
        the longer of the two for a share of 1.

        >>> Ramp(5.0).overlapped(Ramp(2.0, 1.0), 1.0)  # 5 until i = 3
        Ramp(first_s=5.0, slope_s=0.0, valid_steps=4)
        >>> Ramp(5.0).overlapped(Ramp(6.0, 1.0), 0.5)[:2]  # 6 and half of 5
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
        """Return both one after the other within each step."""
        return Ramp(
            self.first_s + other.first_s,
            self.slope_s + other.slope_s,
            min(self.valid_steps, other.valid_steps),
        )

    def scaled(self, factor: float) -> Ramp:
        """Return the steps `factor` times as long."""
        first_s, slope_s, valid_steps = self
        return new_ramp(Ramp, (factor * first_s, factor * slope_s, valid_steps))

    def longer_than(self, other: Ramp) -> Ramp:
        """Return by how much each step is longer than that of `other`."""
        return Ramp(self.first_s - other.first_s, self.slope_s - other.slope_s)

    def delayed(self, wait_s: float) -> Ramp:
        """Return the steps where `wait_s` passes before the first one."""
        return Ramp(self.first_s + wait_s, self.slope_s, self.valid_steps)
