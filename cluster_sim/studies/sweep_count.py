"""How far a sweep is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SweepCount:
    """How many points of a sweep are done."""

    known: int = 0
    """Number of points that were done or had failed before it was started."""
    done: int = 0
    """Number of points that it has simulated."""
    failed: int = 0
    """Number of points that failed, simulated or not."""
    total: int | None = None
    """Number of all points; None until all have been looked at."""

    @property
    def ended(self) -> int:
        """Number of points that it has simulated, or that failed."""
        return self.done + self.failed

    def per_s(self, passed_s: float) -> float:
        """Return the points that ended per second, `passed_s` [s] after the start [1/s]."""
        return self.ended / max(passed_s, 1e-9)

    def left_s(self, passed_s: float) -> float | None:
        """Return the time until the end [s], `passed_s` [s] after the start.

        None where it cannot be told yet.
        """
        if self.total is None or not self.ended:
            return None
        return passed_s / self.ended * (self.total - self.known - self.ended)
