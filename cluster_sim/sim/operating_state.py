"""Operating point of a replica, and its causes."""

from __future__ import annotations

from collections.abc import Callable

from cluster_sim.hardware.operating_point import FULL_SPEED, OperatingPoint
from cluster_sim.physics.step_times import StepTimes


class OperatingState:
    """Operating point of a replica's devices, with the step times at this point."""

    __slots__ = (
        "_kept",
        "_kept_rails",
        "_refresh",
        "_shares",
        "_throttle",
        "_times_at",
        "point",
        "times",
    )

    def __init__(self, times_at: Callable[[OperatingPoint], StepTimes]) -> None:
        self._times_at = times_at
        self.point = FULL_SPEED
        """Operating point from the next step on."""
        self.times = times_at(FULL_SPEED)
        """Step times at the operating point."""
        self._shares, self._throttle, self._refresh = (1.0, 1.0, 1.0), 1.0, 1.0
        # shares that degraded links keep, inside nodes and between them
        self._kept, self._kept_rails = 1.0, 1.0

    def set_shares(self, memory: float, links: float, rails: float) -> bool:
        """Set the shares of bandwidth that other traffic leaves; see `Tenant.set_shares`.

        Returns whether the operating point has changed.
        """
        self._shares = memory, links, rails
        return self._follow()

    def set_throttle(self, clock: float, refresh: float) -> bool:
        """Set the shares of the clock and the memory bandwidth that throttling leaves.

        Returns whether the operating point has changed.
        """
        self._throttle, self._refresh = clock, refresh
        return self._follow()

    def keep_links(self, inside: float, rails: float) -> bool:
        """Set the shares of bandwidth that degraded links keep, inside nodes and between them.

        Returns whether the operating point has changed.
        """
        self._kept, self._kept_rails = inside, rails
        return self._follow()

    def _follow(self) -> bool:
        memory, links, rails = self._shares
        return self.move_to(
            OperatingPoint(
                self._throttle,
                memory * self._refresh,
                links * self._kept,
                rails * self._kept_rails,
            )
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
        return point._replace(memory=self._refresh)

    def with_own_links(self, point: OperatingPoint) -> OperatingPoint:
        """Return `point` without the effect of other traffic on the links."""
        return point._replace(links=self._kept, rails=self._kept_rails)
