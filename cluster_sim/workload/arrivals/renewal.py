"""Arrivals whose gaps are drawn independently, in arrays."""

from collections.abc import Callable, Iterator
from math import exp, lgamma

import numpy as np

Gaps = Callable[[int], np.ndarray]

_AT_A_TIME = 4096


def renewal_pieces(gaps: Gaps, start_s: float = 0.0) -> Iterator[np.ndarray]:
    """Yield arrays of ascending times [s] after `start_s`, indefinitely; `gaps(n)` draws n gaps [s].

    >>> next(renewal_pieces(np.ones))[:3].tolist()
    [1.0, 2.0, 3.0]
    """
    last_s = start_s
    while True:
        times_s = last_s + np.cumsum(gaps(_AT_A_TIME))
        last_s = float(times_s[-1])
        yield times_s


def weibull_shape(cv: float) -> float:
    """Return the shape of a Weibull distribution with this coefficient of variation.

    cv² = Γ(1 + 2/k) / Γ(1 + 1/k)² − 1 falls with the shape k and is inverted by bisection (Johnson,
    Kotz, Balakrishnan, Continuous Univariate Distributions, vol. 1, 1994, ch. 21).

    >>> round(weibull_shape(1.0), 9), round(weibull_shape(5.0 ** 0.5), 9)
    (1.0, 0.5)
    """
    low, high = 0.05, 1000.0
    for _ in range(100):
        middle = (low * high) ** 0.5
        squared = exp(lgamma(1 + 2 / middle) - 2 * lgamma(1 + 1 / middle)) - 1
        low, high = (middle, high) if squared > cv * cv else (low, middle)
    return low
