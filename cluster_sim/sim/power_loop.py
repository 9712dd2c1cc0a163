"""PowerLoop: control loop that keeps the power cap of a replica's devices.

Its sensor lags, as on boards. It reports every `power_sample_period` the mean power over the last
`power_window`: 100 ms and 25 ms on A100 and H100 (Yang et al., SC 2024, arXiv 2312.02741). At each
report the clock moves to the highest step of its grid at which the work that was measured meets the
cap. It holds from the next engine step on.

Power above the cap therefore lasts at most one period, the window, and the step in progress. A
burst that is shorter passes unseen: prefill spikes below a second pass above the limit (POLCA,
ASPLOS 2024).

The loop has no events of its own. The start of a stretch evaluates the last report, and finds the
first report within the stretch that would change the clock; there the stretch ends. Power over a
stretch is a ratio of two linear functions and therefore monotonic, and so are its means over
windows, so that this report is found by bisection.
"""

from __future__ import annotations

from bisect import bisect_left
from math import ceil, floor, inf

from cluster_sim.deployment.step_draw import StepDraw
from cluster_sim.hardware.governor import GovernorSpec
from cluster_sim.sim.level_search import LevelSearch
from cluster_sim.sim.power_window import Piece, PowerWindow

_STEP, _FLOOR = 0.01, 0.1  # shares of the clock, for devices whose file has no governor
_PERIOD_S, _WINDOW_S = 0.1, 0.025  # of the sensor, for devices whose file has no governor
_AT_S = 1e-9
"""Difference below which a report counts as due [s]."""


class PowerLoop:
    """Control loop of the power cap of each device of a replica."""

    def __init__(self, draw: StepDraw, cap_w: float | None) -> None:
        governor = draw.deployment.device.governor
        self._caps = [(-inf, inf if cap_w is None else cap_w)]  # (from when [s], cap [W])
        self._step, floor_share = clock_steps(governor)
        self._levels = max(int((1.0 - floor_share) / self._step + 1e-9), 0)
        self._period_s = governor.power_sample_period_s if governor else _PERIOD_S
        window_s = governor.power_window_s if governor else _WINDOW_S
        self._window_s = min(window_s, self._period_s)
        self._window = PowerWindow(draw, self._window_s)
        self._watts_per_level = 1.0
        self._level = 0  # steps of the clock below the highest one
        self._report = 0  # number of the last report that was evaluated
        self._foreseen = 0  # number of the last report that is known to keep the clock
        self._runs = False  # whether the last piece of the window is in progress

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

    def clock_at(self, now_s: float) -> float:
        """Return the highest clock after the last report, as a share of the own clock."""
        report = floor((now_s + _AT_S) / self._period_s)
        if report > self._report:
            self._level, self._report = self._level_at(report * self._period_s), report
        return self._clock(self._level)

    def begin(self, piece: Piece) -> int:
        """Begin steps; return how many of them have the present clock."""
        self._foreseen = self._report
        self._window.forget((self._report + 1) * self._period_s - self._window_s)
        self._window.add(piece)
        self._runs = True
        if self._level or self._caps[-1][1] < inf:
            piece.steps = self._steady_steps(piece)
        return piece.steps

    def ran(self, steps: int) -> None:
        """Record the number of steps that were run of those that began last."""
        piece = self._window.last()
        if not self._runs or piece is None:
            return
        if steps != piece.steps:
            self._window.cut(steps)
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
            report = first + 1 + bisect_left(range(first + 1, last), 1, key=changes)
        self._foreseen = report - 1
        return piece.ramp.steps_done(report * period_s - _AT_S - piece.began_s) + 1


def clock_steps(governor: GovernorSpec | None) -> tuple[float, float]:
    """Return (step, floor) of a device's clock, as shares of the highest clock."""
    if governor is None:
        return _STEP, _FLOOR
    return governor.step_hz / governor.clock_hz, governor.floor_hz / governor.clock_hz
