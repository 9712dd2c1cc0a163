"""Engine steps of one replica, written out from the table of stretches."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from cluster_sim.results.run_data import RunData
from cluster_sim.typing import Array


class ReplicaSteps:
    """Engine steps of one replica, in order of time."""

    def __init__(self, results: RunData, replica: int) -> None:
        """Read the steps from the table of stretches."""
        table = results.stretches
        here = table["replica"].to_numpy() == replica
        self._began_s, self._first_s, self._slope_s, self._count, ended_s = (
            table[name].to_numpy()[here]
            for name in ("began_s", "first_s", "slope_s", "steps", "ended_s")
        )
        # A given time is the end of a stretch, except for rounding: the nearest end is meant.
        self._middles_s = 0.5 * (ended_s[1:] + ended_s[:-1])
        self._done = np.cumsum(self._count)

    def ended_by(self, times_s: Array) -> Array:
        """Return the number of steps that have ended at each of these ends of stretches [s]."""
        ended: Array = self._done[np.searchsorted(self._middles_s, times_s)]
        return ended

    @cached_property
    def lengths_s(self) -> Array:
        """Length of every step [s]."""
        inside = self._inside
        lengths_s: Array = (
            np.repeat(self._first_s, self._count) + np.repeat(self._slope_s, self._count) * inside
        )
        return lengths_s

    @cached_property
    def ends_s(self) -> Array:
        """End of every step [s], after the start of the first step."""
        n = self._inside + 1
        began_s, first_s, slope_s = (
            np.repeat(column, self._count)
            for column in (self._began_s, self._first_s, self._slope_s)
        )
        ended_s: Array = began_s + n * first_s + slope_s * n * (n - 1) / 2
        return np.append(self._began_s[0], ended_s)

    @property
    def _inside(self) -> Array:
        """Number of earlier steps of the same stretch, for every step."""
        inside: Array = np.arange(int(self._done[-1])) - np.repeat(
            self._done - self._count, self._count
        )
        return inside
