"""Extreme number of replicas that the rule has asked for in a window of time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

AT_S = 1e-9
"""Difference below which times count as equal [s]."""


class _Advice(NamedTuple):
    """Number of replicas that the rule has asked for at one time, before all limits."""

    at_s: float
    replicas: int


class AdviceWindow:
    """Lowest or highest advice of a window that ends now.

    Advice that a later one surpasses is forgotten, so that each is looked at once.

    Parameters
    ----------
    length_s
        Length of the window [s].
    extreme
        Function that returns the extreme of two numbers: `min` or `max`.

    Examples
    --------
    >>> window = AdviceWindow(10.0, max)
    >>> window.add(0.0, 4), window.add(5.0, 2), window.extreme_at(9.0, 1), window.extreme_at(12.0, 1)
    (None, None, 4, 2)
    """

    def __init__(self, length_s: float, extreme: Callable[[int, int], int]) -> None:
        self._length_s, self._extreme = length_s, extreme
        self._kept: deque[_Advice] = deque()

    def add(self, at_s: float, replicas: int) -> None:
        """Remember the advice at a time [s], which is not before the former one."""
        kept = self._kept
        while kept and self._extreme(kept[-1].replicas, replicas) == replicas:
            kept.pop()
        kept.append(_Advice(at_s, replicas))

    def extreme_at(self, now_s: float, default: int) -> int:
        """Return the extreme in the window that ends now [s]; `default` if there is no advice."""
        kept, since_s = self._kept, now_s - self._length_s + AT_S
        while kept and kept[0].at_s <= since_s:
            kept.popleft()
        return kept[0].replicas if kept else default
