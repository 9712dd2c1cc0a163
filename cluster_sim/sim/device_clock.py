"""DeviceClock: clock of a replica's devices under a power cap and under clock locks."""

from __future__ import annotations

from bisect import bisect_left

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.deployment.step_draw import StepDraw
from cluster_sim.hardware.operating_point import OperatingPoint
from cluster_sim.physics.ramp import Ramp
from cluster_sim.physics.step_work import StepWork
from cluster_sim.sim.power_loop import PowerLoop
from cluster_sim.sim.power_window import Piece

_OWN_CLOCKS = 1000
"""Number of values to which the clock at the board's power limit is rounded."""


class DeviceClock:
    """Power cap and clock locks of each device of a replica.

    A lock is a share of the highest clock; the lowest lock of all causes holds.
    """

    def __init__(
        self, deployment: Deployment, cap_w: float | None = None, *, has_loop: bool = True
    ) -> None:
        """Begin with a power cap and without locks.

        Parameters
        ----------
        deployment
            Deployment of the replica.
        cap_w
            Power cap of each device [W]; None for no cap.
        has_loop
            Whether the cap is set or may be set later. Without it only locks can be set, which
            costs less.
        """
        self._deployment, self._draw = deployment, StepDraw(deployment)
        self._locks: dict[str, float] = {}
        self._loop = PowerLoop(self._draw, cap_w) if has_loop else None
        self.lowered_s = 0.0
        """Length of the steps so far whose clock a cap or lock lowered [s]."""
        self._lowered: Ramp | None = None  # steps in progress, if a cap or lock lowers their clock

    @property
    def lock(self) -> float:
        """Highest clock that the locks allow, as a share of the highest clock."""
        return min(self._locks.values(), default=1.0)

    def is_capped(self, now_s: float) -> bool:
        """Return whether the power cap lowers the clock, as far as the sensor has reported."""
        return self._loop is not None and self._loop.is_capped(now_s)

    def set_cap(self, cap_w: float | None, now_s: float) -> bool:
        """Set the power cap of each device [W], None for no cap; return whether it has changed."""
        assert self._loop is not None
        return self._loop.set_cap(cap_w, now_s)

    def set_lock(self, cause: str, share: float) -> bool:
        """Set the lock of one cause, 1 to release it; return whether the lowest lock has changed.

        Parameters
        ----------
        cause
            Name of whoever sets the lock. Locks of several causes hold side by side.
        share
            Highest clock that the lock allows, as a share of the highest clock.
        """
        before = self.lock
        if share < 1.0:
            self._locks[cause] = share
        else:
            self._locks.pop(cause, None)
        return self.lock != before

    def begin(
        self, now_s: float, work: StepWork, steps: int, point: OperatingPoint, swap_s: float
    ) -> tuple[OperatingPoint, Ramp]:
        """Begin a stretch; return its operating point, and the durations of its steps there.

        Parameters
        ----------
        now_s
            Present time [s].
        work
            Counts of the first step.
        steps
            Maximum number of steps. The result holds for as many of them as have one clock.
        point
            Operating point without the cap and the locks.
        swap_s
            Time for which moved blocks delay the steps [s].
        """
        own_clock, loop = point.clock, self._loop
        if self._locks:
            point, steps = self._locked(point, work, steps)
        allowed = point
        if loop is not None and (clock := loop.clock_at(now_s)) < point.clock:
            point = point._replace(clock=clock)
        ramp = self._deployment.times_at(point).ramp(work)
        if ramp.valid_steps > steps:
            ramp = ramp._replace(valid_steps=steps)
        if swap_s:
            ramp = ramp.delayed(swap_s)
        self._lowered = ramp if point.clock < own_clock else None
        if loop is not None:
            piece = Piece(now_s, work, allowed, swap_s)
            piece.clock, piece.ramp, piece.steps = point.clock, ramp, min(steps, ramp.valid_steps)
            ramp = Ramp(ramp.first_s, ramp.slope_s, loop.begin(piece))
        return point, ramp

    def ran(self, steps: int) -> None:
        """Record the number of steps of the stretch in progress that were run."""
        if self._lowered is not None:
            self.lowered_s += self._lowered.total_s(steps)
            self._lowered = None
        if self._loop is not None:
            self._loop.ran(steps)

    def _locked(
        self, point: OperatingPoint, work: StepWork, steps: int
    ) -> tuple[OperatingPoint, int]:
        """Return the operating point under the locks, and how many of the steps have it.

        A lock is a share of the highest clock, and an operating point has a share of the clock that
        the board's own power limit allows. That clock changes from step to step; it is rounded, so
        that many steps have one operating point.
        """
        lines = self._draw.lines(work)
        first_s, slope_s, valid_steps = self._deployment.times_at(point._replace(clock=1.0)).ramp(
            work
        )
        steps = min(steps, valid_steps)

        def own(step: int) -> int:
            share = self._draw.own_clock(lines, step, first_s + step * slope_s)
            return max(round(share * _OWN_CLOCKS), 1)

        first = own(0)
        if steps > 1 and own(steps - 1) != first:
            changed = bisect_left(range(1, steps - 1), 1, key=lambda step: int(own(step) != first))
            steps = changed + 1
        return point._replace(clock=min(point.clock, self.lock * _OWN_CLOCKS / first)), steps
