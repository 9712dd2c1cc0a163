"""Progress of a sweep."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SweepCount:
    """Counts of the points of a sweep."""

    known: int = 0
    """Number of points that were done or had failed before the start."""
    done: int = 0
    """Number of points that were simulated since the start."""
    failed: int = 0
    """Number of points that failed, with or without simulation."""
    total: int | None = None
    """Number of all points; None until all points have been resolved."""

    @property
    def ended(self) -> int:
        """Number of points that were simulated or failed since the start."""
        return self.done + self.failed

    def per_s(self, passed_s: float) -> float:
        """Return the rate at which points end [1/s], `passed_s` [s] after the start."""
        return self.ended / max(passed_s, 1e-9)

    def left_s(self, passed_s: float) -> float | None:
        """Return the remaining time [s], `passed_s` [s] after the start.

        The result is None if it cannot be estimated yet.
        """
        if self.total is None or not self.ended:
            return None
        return passed_s / self.ended * (self.total - self.known - self.ended)
