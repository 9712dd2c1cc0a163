"""Effects of one uncertain input on the value of a reading."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cluster_sim.claims.judged import Effect
from cluster_sim.claims.ranges import Span
from cluster_sim.claims.readings import ReadValues
from cluster_sim.studies.uncertain_figures import Uncertain
from cluster_sim.units import number_and_unit

_SMALLEST_EFFECT = 1e-3
"""Effect of an input over its range that is listed, as a share of the value found."""
_LISTED = 5
"""Maximum number of inputs that are listed beside those that flip the reading."""


def share_of(figure: Uncertain) -> float:
    """Return the position of the catalog's value in the range of a figure, from 0 to 1."""
    value, low, high = _numbers(figure)
    return min(max((value - low) / (high - low), 0.0), 1.0) if high > low else 0.0


def _numbers(figure: Uncertain) -> tuple[float, float, float]:
    """Return the value of a figure and the ends of its range, in one unit."""
    value, low, high = (
        number_and_unit(str(each))[0] for each in (figure.value, figure.low, figure.high)
    )
    return value, low, high


def effect_of(
    figure: Uncertain,
    base: ReadValues,
    ends: tuple[ReadValues | None, ReadValues | None],
    span: Span | None,
) -> Effect | None:
    """Return the effect of an input; None if it is too small to be listed.

    Parameters
    ----------
    figure
        Input.
    base
        Values of the reading with the catalog's value of the input.
    ends
        Values with the input at the low and at the high end of its range; None if they do not exist.
    span
        Part of the input's range, from 0 to 1, in which the reading agrees; None if it agrees nowhere.
    """
    low, high = ends
    found = [end.found for end in ends if end is not None]
    share = share_of(figure)
    flips = _flip(share, span, is_inside=base.side == 0)
    swing = max((abs(end - base.found) for end in found), default=0.0)
    if swing <= _SMALLEST_EFFECT * abs(base.found) and flips is None:
        return None
    return Effect(
        input=figure.name,
        value=figure.value,
        low=str(figure.low),
        high=str(figure.high),
        confidence=figure.confidence,
        at_low=None if low is None else low.found,
        at_high=None if high is None else high.found,
        per_10_percent=_per_10_percent(figure, found, base.found),
        swing=swing,
        flips_at=None if flips is None else _short(figure.at(flips)),
        flips_after=None if flips is None else abs(flips - share),
    )


def _short(value: str | float) -> str:
    """Return a value with four digits."""
    number, unit = number_and_unit(str(value))
    return f"{number:.4g} {unit}".rstrip()


def _flip(share: float, span: Span | None, *, is_inside: bool) -> float | None:
    """Return the share of the range, nearest to the catalog's, at which the reading changes."""
    if span is None:
        return None
    bounds = [span.low, span.high]
    if is_inside:
        is_open = (span.is_open_below, span.is_open_above)
        bounds = [bound for bound, open_ in zip(bounds, is_open, strict=True) if not open_]
    return min(bounds, key=lambda bound: abs(bound - share), default=None)


def _per_10_percent(figure: Uncertain, ends: Sequence[float], base: float) -> float | None:
    """Return the change of the value found, as a share of it, per 10 % more of an input."""
    value, low, high = _numbers(figure)
    if len(ends) < 2 or value == 0.0 or base == 0.0 or low == high:
        return None
    return 0.1 * (ends[1] - ends[0]) / base / ((high - low) / value)


def listed(effects: Iterable[Effect | None]) -> tuple[Effect, ...]:
    """Return the largest effects, and all that flip the reading, the largest first."""
    ordered = sorted((each for each in effects if each is not None), key=lambda each: -each.swing)
    return tuple(
        each for place, each in enumerate(ordered) if place < _LISTED or each.flips_at is not None
    )
