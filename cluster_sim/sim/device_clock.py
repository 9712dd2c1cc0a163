"""DeviceClock: clock of a replica's devices under a power cap and under clock locks.

The cap is kept by a control loop with a sensor that lags, as on boards. The sensor reports every
`power_sample_period` the mean power over the last `power_window`: 100 ms and 25 ms on A100 and H100
(Yang et al., SC 2024, arXiv 2312.02741). At each report the clock moves to the highest step of its
grid at which the work that was measured meets the cap. It holds from the next engine step on.

Power above the cap therefore lasts at most one period, the window, and the step in progress. A
burst that is shorter passes unseen: prefill spikes below a second pass above the limit (POLCA,
ASPLOS 2024).

The loop has no events of its own. The start of a stretch evaluates the last report, and finds the
first report within the stretch that would change the clock; there the stretch ends. Power over a
stretch is a ratio of two linear functions and therefore monotonic, and so are its means over
windows, so that this report is found by bisection.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, floor, inf

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.deployment.step_draw import StepDraw
from cluster_sim.hardware.operating_point import OperatingPoint
from cluster_sim.hardware.power_and_cooling import GovernorSpec
from cluster_sim.physics.ramp import Ramp, new_ramp
from cluster_sim.physics.step_work import StepWork
from cluster_sim.sim.level_search import LevelSearch
from cluster_sim.sim.power_window import Piece, PowerWindow

_STEP, _FLOOR = 0.01, 0.1  # shares of the clock, for devices whose file has no governor
_PERIOD_S, _WINDOW_S = 0.1, 0.025  # of the sensor, for devices whose file has no governor
_AT_S = 1e-9
"""Difference below which a report counts as due [s]."""


class DeviceClock:
    """Power cap and clock locks of each device of a replica.

    A lock is a share of the highest clock; the lowest lock of all causes holds.
    """

    def __init__(self, deployment: Deployment, cap_w: float | None = None) -> None:
        governor = deployment.device.governor
        self._deployment, self._draw = deployment, StepDraw(deployment)
        self._caps = [(-inf, inf if cap_w is None else cap_w)]  # (from when [s], cap [W])
        self._locks: dict[str, float] = {}
        self._step, floor_share = clock_steps(governor)
        self._levels = max(int((1.0 - floor_share) / self._step + 1e-9), 0)
        self._period_s = governor.power_sample_period_s if governor else _PERIOD_S
        window_s = governor.power_window_s if governor else _WINDOW_S
        self._window_s = min(window_s, self._period_s)
        self._window = PowerWindow(self._draw, self._window_s)
        self._watts_per_level = 1.0
        self._level = 0  # steps of the clock below the highest one
        self._report = 0  # number of the last report that was evaluated
        self._foreseen = 0  # number of the last report that is known to keep the clock
        self.lowered_s = 0.0
        """Length of the steps so far whose clock a cap or lock lowered [s]."""
        self._lowers = False  # whether a cap or lock lowers the clock of the last piece
        self._runs = False  # whether the last piece of the window is in progress

    @property
    def lock(self) -> float:
        """Highest clock that the locks allow, as a share of the highest clock."""
        return min(self._locks.values(), default=1.0)

    def is_capped(self, now_s: float) -> bool:
        """Return whether the power cap lowers the clock, as far as the sensor has reported."""
        piece = self._window.last()
        if piece is None or self._level == 0:
            return False
        report_s = floor((now_s + _AT_S) / self._period_s) * self._period_s
        return piece.end_s > report_s - self._window_s

    def set_cap(self, cap_w: float | None, now_s: float) -> bool:
        """Set the power cap of each device [W], None for no cap; return whether it has changed.

        It holds for the reports of the sensor from now on.
        """
        cap_w = inf if cap_w is None else cap_w
        if cap_w == self._caps[-1][1]:
            return False
        self._caps.append((now_s, cap_w))
        self._foreseen = min(self._foreseen, ceil((now_s - _AT_S) / self._period_s) - 1)
        return True

    def _cap_at(self, report_s: float) -> float:
        """Return the cap for a report [W]; forget older caps."""
        while len(self._caps) > 1 and self._caps[1][0] <= report_s + _AT_S:
            del self._caps[0]
        return self._caps[0][1]

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
        own_clock = point.clock
        if self._locks:
            point = self._locked(point, work)
        report = floor((now_s + _AT_S) / self._period_s)
        if report > self._report:
            self._level, self._report = self._level_at(report * self._period_s), report
        self._foreseen = self._report
        self._lowers = point.clock < own_clock
        piece = Piece(now_s, work, point, swap_s)
        clock = self._clock(self._level)
        if clock < point.clock:
            point = OperatingPoint(clock, point.memory, point.links)
            piece.clock, self._lowers = clock, True
        ramp = self._deployment.times_at(point).ramp(work)
        if swap_s:
            ramp = ramp.delayed(swap_s)
        piece.ramp, piece.steps = ramp, min(steps, ramp.valid_steps)
        self._window.forget((self._report + 1) * self._period_s - self._window_s)
        self._window.add(piece)
        self._runs = True
        if self._level or self._caps[-1][1] < inf:
            piece.steps = self._steady_steps(piece)
        return point, new_ramp(Ramp, (ramp.first_s, ramp.slope_s, piece.steps))

    def ran(self, steps: int) -> None:
        """Record the number of steps of the stretch in progress that were run."""
        if self._runs:
            piece = self._window.last()
            assert piece is not None
            if steps != piece.steps:
                self._window.cut(steps)
            if self._lowers:
                self.lowered_s += piece.ramp.total_s(steps)
            ended = floor((piece.end_s + _AT_S) / self._period_s)
            self._report = max(self._report, min(self._foreseen, ended))
            self._runs = False

    def _clock(self, level: int) -> float:
        return 1.0 - level * self._step

    def _level_at(self, report_s: float) -> int:
        """Return the level to which a report moves the clock: the first one that meets the cap."""
        cap_w = self._cap_at(report_s)
        if cap_w == inf:
            return 0
        search = LevelSearch(cap_w, self._level, self._levels, self._watts_per_level)
        while not search.is_over:
            search.learn(self._window.mean_w(report_s, self._clock(search.level)))
        self._watts_per_level = search.slope_w
        return search.answer

    def _steady_steps(self, piece: Piece) -> int:
        """Return the number of steps until the first report that changes the clock."""
        period_s, level, cap_w = self._period_s, self._level, self._caps[-1][1]
        first = self._report + 1
        # a report within the last step changes nothing before the next stretch
        last = floor((piece.began_s + piece.ramp.total_s(piece.steps - 1) + _AT_S) / period_s)
        if last < first:
            return piece.steps

        def changes(report: int) -> bool:
            report_s, window = report * period_s, self._window
            if level < self._levels and window.mean_w(report_s, self._clock(level)) > cap_w:
                return True
            return level > 0 and window.mean_w(report_s, self._clock(level - 1)) <= cap_w

        report = first
        if not changes(first):
            # the windows of later reports lie within the stretch
            if last == first or not changes(last):
                self._foreseen = last
                return piece.steps
            report = first + 1 + _first(lambda more: changes(first + 1 + more), last - first - 1)
        self._foreseen = report - 1
        return piece.ramp.steps_done(report * period_s - _AT_S - piece.began_s) + 1

    def _locked(self, point: OperatingPoint, work: StepWork) -> OperatingPoint:
        """Return the operating point under the locks.

        A lock is a share of the highest clock, and an operating point has a share of the clock that
        the board's own power limit allows. The first step gives that clock.
        """
        first_s = self._deployment.times_at(point._replace(clock=1.0)).ramp(work).first_s
        own = self._draw.own_clock(work, first_s)
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
