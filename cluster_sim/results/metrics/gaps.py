"""Gaps between tokens, stored as arithmetic series (ramps) and pooled exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cluster_sim.results.metrics.held_gaps import decode_gaps

if TYPE_CHECKING:
    from cluster_sim.results.run_data import RunData
    from cluster_sim.typing import Array


_BRACKETS = 128
"""Number of limits between which order statistics are searched."""


def itl(run: RunData, pool: str | None = None) -> Gaps:
    """Return the inter-token latencies (ITL) of all requests that count, exactly.

    Each stretch is one ramp, weighted by its batch; its first gap is longer after steps in which
    decoding sequences held still.

    Parameters
    ----------
    run
        Tables of a run.
    pool
        Name of the pool that generates the tokens. Default: all pools.
    """
    table = run.stretches
    replica = table["replica"].to_numpy()
    selected = (
        np.ones(len(replica), dtype=bool)
        if pool is None
        else np.isin(replica, run.fleet.numbers(pool))
    )
    is_counted = run.served["counted"].to_numpy()
    first_s, slope_s, steps, weight = decode_gaps(table, run.events, selected, is_counted)
    events = run.events
    resumed = events["what"].to_numpy() == "resumed"
    if resumed.any():  # the gap around a preemption is longer than a step
        counted = is_counted[events["request"].to_numpy()[resumed]]
        torn_s = events["value"].to_numpy()[resumed]
        if pool is not None:
            counted = counted & np.isin(
                events["replica"].to_numpy()[resumed], run.fleet.numbers(pool)
            )
        torn_s = torn_s[counted]
        ones = np.ones(len(torn_s), dtype=np.int64)
        first_s, slope_s = np.append(first_s, torn_s), np.append(slope_s, 0.0 * torn_s)
        return Gaps(first_s, slope_s, np.append(steps, ones), np.append(weight, ones))
    return Gaps(first_s, slope_s, steps, weight)


@dataclass(frozen=True)
class Gaps:
    """Pooled durations, given as ramps: first_s, first_s + slope_s, … with `steps` terms.

    Examples
    --------
    >>> one = np.array([1])
    >>> gaps = Gaps(0.01 * one, 0.01 * one, 3 * one, one)  # 10, 20 and 30 ms
    >>> round(gaps.mean(), 6), round(gaps.percentiles([50.0])[0], 6), gaps.count
    (0.02, 0.02, 3)
    """

    first_s: Array
    """First duration of each ramp [s]."""
    slope_s: Array
    """Difference between one duration of a ramp and the next [s]; not negative."""
    steps: Array
    """Number of durations of each ramp."""
    weight: Array
    """Number of copies of each ramp."""

    @property
    def count(self) -> int:
        """Number of durations."""
        return int(np.sum(self.steps * self.weight))

    def mean(self) -> float:
        """Return the mean [s], in closed form."""
        n = self.steps.astype(float)
        return float(
            np.sum(self.weight * (n * self.first_s + self.slope_s * n * (n - 1) / 2)) / self.count
        )

    def std(self) -> float:
        """Return the population standard deviation [s], in closed form.

        Squares are taken about the mean, which avoids cancellation.
        """
        n, off_s = self.steps.astype(float), self.first_s - self.mean()
        squares = (
            n * off_s**2
            + off_s * self.slope_s * n * (n - 1)
            + self.slope_s**2 * (n - 1) * n * (2 * n - 1) / 6
        )
        return float(np.sqrt(np.sum(self.weight * squares) / self.count))

    def max(self) -> float:
        """Return the longest duration [s]."""
        return float(np.max(self.first_s + self.slope_s * (self.steps - 1)))

    def up_to(self, limits_s: Array) -> Array:
        """Return the number of durations up to and including each limit.

        The counts are exact, and durations are not expanded. Most ramps lie wholly between two
        limits; a ramp is evaluated only at the limits that it crosses.

        Parameters
        ----------
        limits_s
            Ascending limits [s].
        """
        last_s = self.first_s + self.slope_s * (self.steps - 1)
        low, high = np.searchsorted(limits_s, self.first_s), np.searchsorted(limits_s, last_s)
        of_bin = np.bincount(high, weights=self.steps * self.weight, minlength=len(limits_s) + 1)
        whole = np.cumsum(of_bin)[:-1]  # ramps whose last duration is within each limit
        crosses = np.flatnonzero(high > low)
        times = (high - low)[crosses]
        ramp = np.repeat(crosses, times)
        limit = np.arange(len(ramp)) - np.repeat(np.cumsum(times) - times, times) + low[ramp]
        inside = np.clip(
            np.floor((limits_s[limit] - self.first_s[ramp]) / self.slope_s[ramp]) + 1,
            1,
            self.steps[ramp] - 1,
        )
        return np.round(
            whole + np.bincount(limit, weights=inside * self.weight[ramp], minlength=len(limits_s))
        ).astype(np.int64)

    def percentiles(self, percents: list[float]) -> list[float]:
        """Return linear percentiles of all durations [s].

        Durations are not expanded: order statistics are computed by bisection.

        Parameters
        ----------
        percents
            Percentiles, from 0 to 100.
        """
        positions = [percent / 100 * (self.count - 1) for percent in percents]
        brackets_s = self._brackets_s()
        statistics = {
            rank: self._order_statistic(rank, *self._bracket_s(rank, *brackets_s))
            for position in positions
            for rank in {int(position), min(int(position) + 1, self.count - 1)}
        }
        return [
            statistics[int(position)]
            + (position - int(position))
            * (statistics[min(int(position) + 1, self.count - 1)] - statistics[int(position)])
            for position in positions
        ]

    def _brackets_s(self) -> tuple[Array, Array]:
        """Return limits [s] from the shortest to the longest duration, and the count up to each."""
        low_s, high_s = float(np.min(self.first_s)), self.max()
        limits_s = (
            np.geomspace(low_s, high_s, _BRACKETS)
            if low_s > 0.0
            else np.linspace(low_s, high_s, _BRACKETS)
        )
        return limits_s, self.up_to(limits_s)

    def _bracket_s(self, rank: int, limits_s: Array, so_far: Array) -> tuple[float, float]:
        """Return two limits that enclose the order statistic [s].

        The bracket is one limit wider on either side, since counts at a limit are rounded.
        """
        above = int(np.searchsorted(so_far, rank, side="right"))
        low_s = float(limits_s[above - 2]) if above >= 2 else float(np.min(self.first_s))
        return low_s, float(limits_s[above + 1]) if above + 1 < len(limits_s) else self.max()

    def _order_statistic(self, rank: int, low_s: float, high_s: float) -> float:
        """Return the duration with exactly `rank` durations before it in ascending order [s].

        The value lies between `low_s` and `high_s` and is computed by bisection. Ramps that lie
        wholly on one side are counted once and dropped, so few ramps remain after some steps.
        """
        first_s, slope_s, steps, weight = self.first_s, self.slope_s, self.steps, self.weight
        last_s = first_s + slope_s * (steps - 1)
        below = 0
        while low_s < high_s:
            certain = last_s < low_s
            below += int(np.sum((steps * weight)[certain]))
            kept = ~certain & (first_s <= high_s)
            first_s, slope_s, steps, weight, last_s = (
                column[kept] for column in (first_s, slope_s, steps, weight, last_s)
            )
            if float(np.sum(steps)) <= 4096:
                return self._among(first_s, slope_s, steps, weight, rank - below)
            middle_s = 0.5 * (low_s + high_s)
            if middle_s >= high_s:  # neighbouring floating-point numbers
                middle_s = low_s
            with np.errstate(divide="ignore", invalid="ignore"):
                inside = np.floor((middle_s - first_s) / slope_s) + 1
            # compare the last duration, since the division above may round either way
            inside = np.where(last_s <= middle_s, steps, np.clip(inside, 1, steps - 1))
            reached = np.where(first_s <= middle_s, inside, 0)
            if below + int(np.sum(reached * weight)) > rank:
                high_s = middle_s
            else:
                low_s = float(np.nextafter(middle_s, np.inf))
        return high_s

    @staticmethod
    def _among(first_s: Array, slope_s: Array, steps: Array, weight: Array, rank: int) -> float:
        """Return the order statistic of ramps that are few enough to expand [s]."""
        row = np.repeat(np.arange(len(steps)), steps)
        place = np.arange(len(row)) - np.repeat(np.cumsum(steps) - steps, steps)
        values_s = first_s[row] + slope_s[row] * place
        order = np.argsort(values_s, kind="stable")
        return float(
            values_s[order][np.searchsorted(np.cumsum(weight[row][order]), rank, side="right")]
        )
