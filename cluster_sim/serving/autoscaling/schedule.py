"""Scheduled scaling: a minimum number of replicas at certain times of the day."""

from __future__ import annotations

from pydantic import model_validator

from cluster_sim.schema import Description
from cluster_sim.typing import ClusterCount
from cluster_sim.units import PositiveSeconds, Seconds, duration_text


class ScheduledMinimum(Description):
    """Minimum number of replicas in a part of every day, as KEDA's cron scaler sets it.

    Days begin with the run. A part that ends before it begins goes on over the end of the day.
    """

    from_s: Seconds
    """Time of the day at which the minimum begins to hold [s], such as `8 h`."""
    to_s: Seconds
    """Time of the day at which the minimum ceases to hold [s], such as `20 h`."""
    min: ClusterCount
    """Minimum number of replicas in that part of the day."""
    every_s: PositiveSeconds = 86_400.0
    """Length of the day [s]. Default: 24 h."""

    @model_validator(mode="after")
    def _lies_within_the_day(self) -> ScheduledMinimum:
        day = duration_text(self.every_s)
        if self.from_s >= self.every_s or self.to_s > self.every_s:
            raise ValueError(f"expected 'from' and 'to' within a day of {day}")
        if self.from_s == self.to_s:
            raise ValueError(
                f"got the same time for 'from' and 'to'; for the whole day, expected from: 0 s and to: {day}"
            )
        return self

    def holds(self, time_s: float) -> bool:
        """Return whether the minimum holds at `time_s`."""
        of_day_s = time_s % self.every_s
        if self.from_s <= self.to_s:
            return self.from_s <= of_day_s < self.to_s
        return of_day_s >= self.from_s or of_day_s < self.to_s
