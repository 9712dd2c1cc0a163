"""Decode steps of one replica, written out from the table of stretches.

Decoding requests hold still in a step with `batch` 0, as SGLang prefills. Such a step gives no
token to them, and lengthens the gap that ends with the next decode step.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from cluster_sim.results.run_data import RunData
from cluster_sim.typing import Array


class ReplicaSteps:
    """Decode steps of one replica, in order of time."""

    def __init__(self, results: RunData, replica: int, held_s: Array | None = None) -> None:
        """Read the steps from the table of stretches.

        Parameters
        ----------
        results
            Tables of a run.
        replica
            Number of the replica.
        held_s
            Begins of stretches in which the sequences of an attention rank hold still, whose steps
            these are [s]; None for the steps of the replica.
        """
        table = results.stretches
        here = table["replica"].to_numpy() == replica
        names = ("began_s", "first_s", "slope_s", "steps", "ended_s", "batch", "counted")
        began_s, first_s, slope_s, steps, ended_s, batch, counted = (
            table[name].to_numpy()[here] for name in names
        )
        if held_s is not None:
            batch = np.where(np.isin(began_s, held_s), 0, batch)
        self.has_holds = held_s is not None or bool(np.any((batch == 0) & (counted > 0)))
        """Whether decoding requests hold still in some step."""
        # A given time is the end of a stretch, except for rounding: the nearest end is meant.
        self._middles_s = 0.5 * (ended_s[1:] + ended_s[:-1])
        self._done = np.cumsum(np.where(batch > 0, steps, 0))
        decodes = batch > 0
        self._start_s = float(began_s[0])
        self._began_s, self._first_s, self._slope_s, self._count = (
            column[decodes] for column in (began_s, first_s, slope_s, steps)
        )

    def ended_by(self, times_s: Array) -> Array:
        """Return the number of decode steps that have ended at these ends of stretches [s]."""
        ended: Array = self._done[np.searchsorted(self._middles_s, times_s)]
        return ended

    def gaps_s(self, start: int, stop: int, at_s: float) -> Array:
        """Return the gaps between tokens in a span of decode steps [s].

        Parameters
        ----------
        start, stop
            Numbers of decode steps that have ended at the first and at the last token.
        at_s
            Time of the first token [s].
        """
        if self.has_holds:
            gaps_s: Array = np.diff(self.ends_s[start : stop + 1])
            gaps_s[:1] = self.ends_s[start + 1 : stop + 1][:1] - at_s
            return gaps_s
        return self._lengths_s[start:stop]

    @cached_property
    def _lengths_s(self) -> Array:
        """Length of every decode step [s]."""
        lengths_s: Array = (
            np.repeat(self._first_s, self._count)
            + np.repeat(self._slope_s, self._count) * self._inside
        )
        return lengths_s

    @cached_property
    def ends_s(self) -> Array:
        """End of every decode step [s], after the start of the first step."""
        n = self._inside + 1
        began_s, first_s, slope_s = (
            np.repeat(column, self._count)
            for column in (self._began_s, self._first_s, self._slope_s)
        )
        ended_s: Array = began_s + n * first_s + slope_s * n * (n - 1) / 2
        return np.append(self._start_s, ended_s)

    @property
    def _inside(self) -> Array:
        """Number of earlier steps of the same stretch, for every decode step."""
        so_far = np.cumsum(self._count)
        inside: Array = np.arange(int(np.sum(self._count))) - np.repeat(
            so_far - self._count, self._count
        )
        return inside
