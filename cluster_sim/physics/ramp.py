"""A run of engine steps whose lengths grow by a constant: closed forms for its length and for where
it is.

Along a fixed batch the KV cache grows by one token a sequence and step, and every other term of a
step is constant, so the i-th step lasts `first_s + i * slope_s`.
"""

from __future__ import annotations

from math import floor, sqrt

ALWAYS = 1 << 62  # steps: for as long as the batch stays


def total_s(first_s: float, slope_s: float, steps: int) -> float:
    """Seconds of `steps` steps, the sum of an arithmetic series.

    >>> total_s(2.0, 0.5, 3)  # 2 + 2.5 + 3
    7.5
    """
    return steps * first_s + slope_s * (steps * (steps - 1) * 0.5)


def steps_done(first_s: float, slope_s: float, elapsed_s: float) -> int:
    """Whole steps that have ended after `elapsed_s`: the largest n with `total_s(n) <= elapsed_s`.

    Solves the quadratic in its stable form and corrects the last unit, so rounding cannot leave it
    one off. `first_s` is positive, `slope_s` not negative.

    >>> steps_done(2.0, 0.5, 7.5), steps_done(2.0, 0.5, 7.4), steps_done(1.0, 0.0, 3.9)
    (3, 2, 3)
    """
    b = first_s - 0.5 * slope_s
    steps = int(2.0 * elapsed_s / (b + sqrt(b * b + 2.0 * slope_s * elapsed_s)))
    if steps * first_s + slope_s * (steps * (steps - 1) * 0.5) > elapsed_s:
        return steps - 1
    following = steps + 1
    if following * first_s + slope_s * (following * steps * 0.5) <= elapsed_s:
        return following
    return steps


def larger_line(flat_s: float, first_s: float, slope_s: float) -> tuple[float, float, int]:
    """max(flat, first + i·slope) from i = 0 on as (first_s, slope_s, steps for which that is one
    line).

    >>> larger_line(5.0, 2.0, 1.0), larger_line(5.0, 6.0, 1.0)[:2]  # 5 until i = 3
    ((5.0, 0.0, 4), (6.0, 1.0))
    """
    if first_s >= flat_s:
        return first_s, slope_s, ALWAYS
    # Until the line overtakes: one step at least, and none of those in which it already has.
    return flat_s, 0.0, floor((flat_s - first_s) / slope_s) + 1 if slope_s else ALWAYS


def overlapped(
    one: tuple[float, float], other: tuple[float, float], share: float
) -> tuple[float, float, int]:
    """Two parts of a step, each (first_s, slope_s), of which the shorter hides behind the longer by
    `share` (0 to 1), as `larger_line`.

    one + other - share min(one, other): their sum for a share of 0, the larger of them for 1.

    >>> overlapped((5.0, 0.0), (2.0, 1.0), 1.0), overlapped((5.0, 0.0), (6.0, 1.0), 0.5)[:2]  # 5 until i = 3; 6 and half of 5
    ((5.0, 0.0, 4), (8.5, 1.0))
    """
    (longer_s, longer_slope), (shorter_s, shorter_slope) = (
        (one, other) if one >= other else (other, one)
    )
    lead_s, closing_s, shown = longer_s - shorter_s, shorter_slope - longer_slope, 1.0 - share
    steps = floor(lead_s / closing_s) + 1 if closing_s > 0.0 else ALWAYS
    return longer_s + shown * shorter_s, longer_slope + shown * shorter_slope, steps
