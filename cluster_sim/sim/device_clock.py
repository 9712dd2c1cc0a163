"""DeviceClock: clock of a replica's devices under a power cap and under clock locks.

Each stretch runs at the highest clock at which no step exceeds the cap, and at most at the lock.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.deployment.stretch_work import StretchWork, work_of
from cluster_sim.hardware.operating_point import OperatingPoint
from cluster_sim.hardware.power_and_cooling import GovernorSpec
from cluster_sim.physics.ramp import Ramp
from cluster_sim.physics.step_power import own_clock, step_w
from cluster_sim.serving.scheduler import Scheduler

_STEP, _FLOOR = 0.01, 0.1  # shares of the clock, for devices whose file has no governor


class DeviceClock:
    """Power cap and clock locks of each device of a replica.

    A lock is a share of the highest clock; the lowest lock of all causes holds. The power control loop settles within milliseconds, so the clock is computed as a steady state
    (quasi-steady), on the grid of clock steps of the board. Power over a stretch is a ratio of two
    linear functions and therefore monotonic; the step at which the clock must change is computed by
    bisection.
    """

    def __init__(self, deployment: Deployment, cap_w: float | None = None) -> None:
        assert deployment.device.power is not None
        self._deployment, self._power = deployment, deployment.device.power
        self._cap_w = inf if cap_w is None else cap_w
        self._locks: dict[str, float] = {}
        self._step, self._floor = clock_steps(deployment.device.governor)

    @property
    def lock(self) -> float:
        """Highest clock that the locks allow, as a share of the highest clock."""
        return min(self._locks.values(), default=1.0)

    def set_cap(self, cap_w: float | None) -> bool:
        """Set the power cap of each device [W], None for no cap; return whether it has changed."""
        before, self._cap_w = self._cap_w, inf if cap_w is None else cap_w
        return self._cap_w != before

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

    def slowed(
        self,
        scheduler: Scheduler,
        steps: int,
        point: OperatingPoint,
        ramp_at: Callable[[OperatingPoint], Ramp],
    ) -> tuple[OperatingPoint, Ramp]:
        """Return the operating point of the scheduled steps, and their durations at this point.

        Parameters
        ----------
        point
            Operating point without the cap.
        ramp_at
            Function that returns the durations of the scheduled steps at an operating point. The
            result holds for as many of `steps` as meet the cap at one clock.
        """
        work = work_of(self._deployment, scheduler.work, 1)
        if self._locks:
            point = self._locked(point, work, ramp_at)
        if self._cap_w == inf:
            ramp = ramp_at(point)
            return point, ramp._replace(valid_steps=min(steps, ramp.valid_steps))
        levels = max(int((point.clock - self._floor) / self._step + 1e-9), 0)
        ramps: dict[int, Ramp] = {}

        def at(level: int) -> tuple[OperatingPoint, Ramp]:
            slower = point._replace(clock=point.clock - level * self._step)
            if level not in ramps:
                ramps[level] = ramp_at(slower)
            return slower, ramps[level]

        def fits(level: int, step: int) -> bool:
            slower, (first_s, slope_s, _) = at(level)
            seconds = first_s + step * slope_s
            moved, arithmetic_j = (
                first + step * slope for first, slope in (work.moved, work.arithmetic_j)
            )
            return bool(
                step_w(self._power, seconds, moved, arithmetic_j, slower.clock) <= self._cap_w
            )

        level = _first(lambda level: fits(level, 0), levels)

        def stays(step: int) -> bool:
            return (level == levels or fits(level, step)) and (
                level == 0 or not fits(level - 1, step)
            )

        slower, ramp = at(level)
        many = min(steps, ramp.valid_steps, at(max(level - 1, 0))[1].valid_steps)
        if many > 1 and not stays(many - 1):
            many = _first(lambda step: not stays(step), many - 1)
        return slower, ramp._replace(valid_steps=many)

    def _locked(
        self, point: OperatingPoint, work: StretchWork, ramp_at: Callable[[OperatingPoint], Ramp]
    ) -> OperatingPoint:
        """Return the operating point under the locks.

        A lock is a share of the highest clock, and an operating point has a share of the clock that
        the board's own power limit allows. The first step gives that clock.
        """
        first_s = ramp_at(point._replace(clock=1.0)).first_s
        moving_w = self._power.memory_j_per_byte * work.moved[0] / first_s
        own = float(own_clock(self._power, moving_w, work.arithmetic_j[0] / first_s))
        return point._replace(clock=min(point.clock, self.lock / own))


def clock_steps(governor: GovernorSpec | None) -> tuple[float, float]:
    """Return (step, floor) of a device's clock, as shares of the highest clock."""
    if governor is None:
        return _STEP, _FLOOR
    return governor.step_hz / governor.clock_hz, governor.floor_hz / governor.clock_hz


def _first(holds: Callable[[int], bool], last: int) -> int:
    """Return the first number from 0 on for which `holds`; `last` if there is none before it.

    `holds` must be true for all numbers after the first.
    """
    low, high = 0, last
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low
