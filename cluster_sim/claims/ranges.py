"""Ranges of a variable in which a reading agrees with its claim, found by bisection."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from itertools import pairwise
from math import exp, log
from typing import NamedTuple

TOLERANCE = 0.01
"""Distance of a bound from the next value that was found outside, as a share of the bound, or of a
tenth of the distance of the ends if that is more; whole numbers are found exactly."""
_SCANNED = 9
"""Number of values of a condition at which a reading is evaluated before bisection."""

Side = int | None
"""Position of a value found: 0 within the claim, -1 below, 1 above, 2 if measurements contradict the
claim; None if no value exists."""
Search = Generator[Sequence[float], Sequence[Side], "Span | None"]
"""Search that yields values of a variable, receives their sides, and returns the range."""


class Variable(NamedTuple):
    """Variable with its value and the ends between which it is varied."""

    value: float
    low: float
    high: float
    whole: bool = False


class Span(NamedTuple):
    """Range of a variable in which a reading agrees, with its ends."""

    low: float
    high: float
    is_open_below: bool
    """Whether the reading agrees down to the lowest value that was tried and exists."""
    is_open_above: bool
    """Whether the reading agrees up to the highest value that was tried and exists."""


def span_of(variable: Variable, scanned: int = _SCANNED) -> Search:
    """Search the range around a variable's value, or nearest to it, in which a reading agrees.

    Values are scanned first, and then bounds are bisected. Of several ranges, that of the value, or
    else the nearest one, is found. Ranges that are narrower than the distance of scanned values are
    found only if the value found crosses the claimed value in them.

    Parameters
    ----------
    variable
        Variable that is varied.
    scanned
        Number of scanned values between the ends, at least 2.

    Returns
    -------
    Span or None
        Range; None if no value agrees.
    """
    points = _points(variable, scanned)
    sides = dict(zip(points, (yield points), strict=True))
    inside = [point for point in points if sides[point] == 0]
    if not inside:
        crossings = [
            (low, high) for low, high in pairwise(points) if {sides[low], sides[high]} == {-1, 1}
        ]
        if not crossings:
            return None
        low, high = min(crossings, key=lambda ends: _distance(variable, ends[0]))
        middle = yield from _between(variable, low, high, sides)
        if middle is None:
            return None
        inside, points = [middle], sorted(sides)
    begin = min(inside, key=lambda point: _distance(variable, point))
    place = points.index(begin)
    low, is_open_below = yield from _end(variable, points[place::-1], sides)
    high, is_open_above = yield from _end(variable, points[place:], sides)
    return Span(low, high, is_open_below, is_open_above)


def _points(variable: Variable, scanned: int) -> list[float]:
    """Return the scanned values, with the value of the variable, in order."""
    value, low, high, whole = variable
    shares = [number / (scanned - 1) for number in range(scanned)]
    points = {_inner(low, high, share) for share in shares[1:-1]}
    points = {float(round(point)) for point in points} if whole else points
    return sorted(points | {low, value, high})


def _inner(low: float, high: float, share: float = 0.5) -> float:
    """Return the value at a share of the way between ends: by ratio, if both are above 0."""
    if low > 0.0 and high > 0.0:
        return exp(log(low) + share * (log(high) - log(low)))
    return low + share * (high - low)


def _distance(variable: Variable, point: float) -> float:
    if variable.low > 0.0:
        return abs(log(point / variable.value))
    return abs(point - variable.value)


def _is_narrow(variable: Variable, one: float, other: float) -> bool:
    if variable.whole:
        return abs(one - other) <= 1.0
    scale = max(abs(one), abs(other), 0.1 * (variable.high - variable.low))
    return abs(one - other) <= TOLERANCE * scale


def _middle(variable: Variable, one: float, other: float) -> float:
    low, high = sorted((one, other))
    middle = _inner(low, high)
    return min(max(float(round(middle)), low + 1.0), high - 1.0) if variable.whole else middle


def _end(
    variable: Variable, points: Sequence[float], sides: Mapping[float, Side]
) -> Generator[Sequence[float], Sequence[Side], tuple[float, bool]]:
    """Search an end of a range from scanned points, of which the first one agrees.

    An end beyond which no values exist, or none were tried, is open.
    """
    inside = points[0]
    for point in points:
        if sides[point] is None:
            break
        if sides[point] != 0:
            return (yield from _bound(variable, inside, point)), False
        inside = point
    return inside, True


def _bound(
    variable: Variable, inside: float, outside: float
) -> Generator[Sequence[float], Sequence[Side], float]:
    """Search the last value that agrees between one that does and one that does not."""
    while not _is_narrow(variable, inside, outside):
        middle = _middle(variable, inside, outside)
        (side,) = yield [middle]
        inside, outside = (middle, outside) if side == 0 else (inside, middle)
    return inside


def _between(
    variable: Variable, low: float, high: float, sides: dict[float, Side]
) -> Generator[Sequence[float], Sequence[Side], float | None]:
    """Search a value that agrees between one that is below the claim and one that is above."""
    while not _is_narrow(variable, low, high):
        middle = _middle(variable, low, high)
        (sides[middle],) = yield [middle]
        if sides[middle] == 0:
            return middle
        if sides[middle] == sides[low]:
            low = middle
        else:
            high = middle
    return None
