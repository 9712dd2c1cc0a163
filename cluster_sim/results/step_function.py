"""StepFunction: a number that changes at some times of a run and is constant between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from cluster_sim.typing import Array


class StepFunction(NamedTuple):
    """Piecewise constant number, `values[i]` from `from_s[i]` until `from_s[i + 1]`.

    The first piece begins at 0. The last piece lasts until the end of the run.
    """

    from_s: Array
    """Beginnings of the pieces in ascending order [s]."""
    values: Array

    def at(self, times_s: Array) -> Array:
        """Return the values at some times [s]; at a change, the value after it."""
        places = np.searchsorted(self.from_s, times_s, side="right") - 1
        values: Array = self.values[np.maximum(places, 0)]
        return values

    def lengths_s(self, end_s: float) -> Array:
        """Return the lengths of the pieces of a run that ends at `end_s` [s]."""
        lengths_s: Array = np.diff(np.minimum(np.append(self.from_s, end_s), end_s))
        return lengths_s

    def integral(self, end_s: float) -> float:
        """Return the integral from 0 until `end_s` [s].

        >>> StepFunction(np.array([0.0, 3.0]), np.array([2.0, 1.0])).integral(5.0)  # 2·3 + 1·2
        8.0
        """
        return float(np.sum(self.values * self.lengths_s(end_s)))

    def so_far(self, times_s: Array) -> Array:
        """Return the integral from 0 until some times [s]; the last piece has no end."""
        before = np.append(0.0, np.cumsum(self.values[:-1] * np.diff(self.from_s)))
        places = np.maximum(np.searchsorted(self.from_s, times_s, side="right") - 1, 0)
        integrals: Array = before[places] + self.values[places] * (times_s - self.from_s[places])
        return integrals

    def means(self, edges_s: Array) -> Array:
        """Return the exact mean in each bin between some edges [s].

        >>> StepFunction(np.array([0.0, 3.0]), np.array([2.0, 1.0])).means(np.array([0.0, 2.0, 4.0]))
        array([2. , 1.5])
        """
        means: Array = np.diff(self.so_far(edges_s)) / np.diff(edges_s)
        return means


def constant(value: float) -> StepFunction:
    """Return a number that never changes."""
    return StepFunction(np.zeros(1), np.array([value], dtype=float))


def total(parts: Sequence[StepFunction]) -> StepFunction:
    """Return the sum of several numbers.

    >>> one = StepFunction(np.array([0.0, 3.0]), np.array([1.0, 0.0]))
    >>> total([one, one]).integral(10.0)
    6.0
    """
    if not parts:
        return constant(0.0)
    return from_changes(
        (at_s, change)
        for part in parts
        for at_s, change in zip(
            part.from_s.tolist(), np.diff(part.values, prepend=0.0).tolist(), strict=True
        )
    )


def from_changes(changes: Iterable[tuple[float, float]]) -> StepFunction:
    """Return the number that begins at 0 and changes by some amounts at some times [s].

    Changes at one time are one change.

    >>> from_changes([(2.0, 1.0), (0.0, 3.0), (2.0, -2.0)])
    StepFunction(from_s=array([0., 2.]), values=array([3., 2.]))
    """
    rows = np.array([(0.0, 0.0), *changes])
    times_s, places = np.unique(rows[:, 0], return_inverse=True)
    return StepFunction(times_s, np.cumsum(np.bincount(places.ravel(), weights=rows[:, 1])))
