"""Zeros of sums of exponentials."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp, log


def roots(amplitudes: Sequence[float], rates: Sequence[float], horizon: float) -> list[float]:
    """Return the t in [0, horizon] at which the sum of amplitudes·exp(rates·t) is zero, ascending.

    The method is recursive. Dividing the sum by one of its exponentials and differentiating it
    gives a sum with one term fewer. Between two zeros of the sum lies a zero of that smaller sum
    (Rolle), so the zeros of the smaller sum divide the interval into pieces with at most one zero
    each. Bisection finds it. A sum of n terms has at most n - 1 zeros.

    Source: Polya and Szego, Problems and Theorems in Analysis II, part V, 75.

    Parameters
    ----------
    amplitudes
        Amplitude of each term.
    rates
        Rate of each term, all distinct [1/t].
    horizon
        End of the interval [t].

    Returns
    -------
    list of float
        Zeros, ascending [t].

    Examples
    --------
    (1 - x)(1 - 2x) with x = exp(-t):

    >>> [round(t, 9) for t in roots([1.0, -3.0, 2.0], [0.0, -1.0, -2.0], 10.0)]
    [0.0, 0.693147181]
    """
    terms = sorted(
        ((a, r) for a, r in zip(amplitudes, rates, strict=True) if a != 0.0),
        key=lambda term: -term[1],
    )  # the slowest decay first, so that no exponential grows
    if len(terms) < 2:
        return []
    (first, slowest), rest = terms[0], terms[1:]
    relative = [(a, r - slowest) for a, r in rest]
    if len(terms) == 2:
        amplitude, rate = relative[0]
        ratio = -first / amplitude
        root = log(ratio) / rate if ratio > 0.0 else -1.0
        return [root] if 0.0 <= root <= horizon else []

    def value(t: float) -> float:
        return first + sum(a * exp(r * t) for a, r in relative)

    turns = roots([a * r for a, r in relative], [r for _, r in relative], horizon)
    ends = [0.0, *(turn for turn in turns if 0.0 < turn < horizon), horizon]
    zeros = []
    low, at_low = 0.0, value(0.0)
    for high in ends[1:]:
        at_high = value(high)
        if at_low == 0.0:
            zeros.append(low)
        elif (at_low < 0.0) != (at_high < 0.0) and at_high != 0.0:
            zeros.append(_bisected(value, low, high, rises=at_low < 0.0))
        low, at_low = high, at_high
    return zeros


def _bisected(value: Callable[[float], float], low: float, high: float, *, rises: bool) -> float:
    """Return the t in [`low`, `high`] at which `value` changes its sign, to the last digit."""
    while True:
        middle = 0.5 * (low + high)
        if not low < middle < high:
            return middle
        if (value(middle) < 0.0) == rises:
            low = middle
        else:
            high = middle
