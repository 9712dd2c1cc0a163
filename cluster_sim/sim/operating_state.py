"""Operating point of a replica, and its causes."""

from __future__ import annotations

from collections.abc import Callable

from cluster_sim.hardware.operating_point import FULL_SPEED, OperatingPoint
from cluster_sim.physics.step_times import StepTimes


class OperatingState:
    """Operating point of a replica's devices, with the step times at this point."""

    __slots__ = ("_kept", "_refresh", "_shares", "_throttle", "_times_at", "point", "times")

    def __init__(self, times_at: Callable[[OperatingPoint], StepTimes]) -> None:
        self._times_at = times_at
        self.point = FULL_SPEED
        """Operating point from the next step on."""
        self.times = times_at(FULL_SPEED)
        """Step times at the operating point."""
        self._shares, self._throttle, self._refresh = (1.0, 1.0), 1.0, 1.0
        self._kept = 1.0  # share of the link bandwidth that degraded links keep

    def set_shares(self, memory: float, links: float) -> bool:
        """Set the shares of the memory and link bandwidth that other traffic leaves.

        Returns whether the operating point has changed.
        """
        self._shares = memory, links
        return self._follow()

    def set_throttle(self, clock: float, refresh: float) -> bool:
        """Set the shares of the clock and the memory bandwidth that throttling leaves.

        Returns whether the operating point has changed.
        """
        self._throttle, self._refresh = clock, refresh
        return self._follow()

    def keep_links(self, share: float) -> bool:
        """Set the share of the link bandwidth that degraded links keep.

        Returns whether the operating point has changed.
        """
        self._kept = share
        return self._follow()

    def _follow(self) -> bool:
        memory, links = self._shares
        return self.move_to(
            OperatingPoint(self._throttle, memory * self._refresh, links * self._kept)
        )

    def move_to(self, point: OperatingPoint) -> bool:
        """Move to an operating point; return whether it differs from the present one."""
        if point == self.point:
            return False
        self.point, self.times = point, self._times_at(point)
        return True

    def times_at(self, point: OperatingPoint) -> StepTimes:
        """Return the step times at another operating point."""
        return self._times_at(point)

    def with_own_memory(self, point: OperatingPoint) -> OperatingPoint:
        """Return `point` without the effect of other traffic on the memories."""
        return OperatingPoint(point.clock, self._refresh, point.links)

    def with_own_links(self, point: OperatingPoint) -> OperatingPoint:
        """Return `point` without the effect of other traffic on the links."""
        return point._replace(links=self._kept)
