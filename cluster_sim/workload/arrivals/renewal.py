"""Arrivals whose gaps are drawn independently, many at a time."""

from collections.abc import Callable, Iterator
from itertools import chain

import numpy as np

Gaps = Callable[[int], np.ndarray]

_AT_A_TIME = 4096


def renewal_times(gaps: Gaps, start_s: float = 0.0) -> Iterator[float]:
    """Ascending times from `start_s` on; `gaps(n)` draws n gaps [s]. Never ends."""

    def pieces() -> Iterator[list[float]]:
        last_s = start_s
        while True:
            times_s = last_s + np.cumsum(gaps(_AT_A_TIME))
            last_s = float(times_s[-1])
            yield times_s.tolist()

    return chain.from_iterable(pieces())
