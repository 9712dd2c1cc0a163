"""PowerWindow: mean power of one device over a sensor's window, at the clocks that it might have."""

from __future__ import annotations

from cluster_sim.deployment.step_draw import DrawLines, StepDraw
from cluster_sim.hardware.operating_point import OperatingPoint
from cluster_sim.physics.ramp import Ramp
from cluster_sim.physics.step_work import StepWork

_NO_TIME_S = 1e-12
"""Length below which a part of the window does not count [s]."""


class Piece:
    """Steps of a replica in a row, with one operating point; they may be in progress."""

    __slots__ = ("_lines", "_ramps", "began_s", "clock", "point", "ramp", "steps", "swap_s", "work")

    def __init__(
        self, began_s: float, work: StepWork, point: OperatingPoint, swap_s: float
    ) -> None:
        self.began_s = began_s
        self.work = work.later(0)
        """Counts of the first step. The scheduler reuses its own object."""
        self.point = point
        """Operating point without the power cap."""
        self.swap_s = swap_s
        """Time for which moved blocks delay the steps [s]."""
        self.clock = point.clock
        """Clock of the steps, under the cap."""
        self.steps, self.ramp = 0, Ramp(0.0)
        self._lines: DrawLines | None = None
        self._ramps: dict[float, tuple[int, Ramp]] = {}

    @property
    def end_s(self) -> float:
        """End of the last step [s]."""
        return self.began_s + self.ramp.total_s(self.steps)

    def energy_j(
        self, draw: StepDraw, since_s: float, until_s: float, clock: float
    ) -> tuple[float, float]:
        """Return the energy of one device within a time [J], and the length of steps in it [s].

        Parameters
        ----------
        draw
            Power of the device in single steps.
        since_s, until_s
            Beginning and end of the time [s].
        clock
            Highest clock that the device might have had. The rest of the operating point, and the
            share of each step in the time, are those of the steps as they ran.
        """
        began_s, (first_s, slope_s, _) = self.began_s, self.ramp
        step = self.ramp.steps_done(since_s - began_s) if since_s > began_s else 0
        if step >= self.steps:
            return 0.0, 0.0
        if self._lines is None:
            self._lines = draw.lines(self.work)
        clock, lines = min(clock, self.point.clock), self._lines
        at_s, energy_j, busy_s = max(began_s + self.ramp.total_s(step), since_s), 0.0, 0.0
        while step < self.steps and at_s < until_s:
            done = step + 1
            end_s = min(began_s + done * first_s + slope_s * (done * step * 0.5), until_s)
            if (length_s := end_s - at_s) > _NO_TIME_S:
                seconds = self._seconds(draw, step, clock)
                energy_j += length_s * draw.watts(lines, step, seconds, clock)
                busy_s += length_s
            at_s, step = end_s, done
        return energy_j, busy_s

    def _seconds(self, draw: StepDraw, step: int, clock: float) -> float:
        """Return the length of a step at a clock [s]."""
        if clock == self.clock:  # as they ran
            return self.ramp.first_s + step * self.ramp.slope_s
        first, ramp = self._ramps.get(clock, (0, None))
        if ramp is None or not 0 <= step - first < ramp.valid_steps:
            times = draw.deployment.times_at(self.point._replace(clock=clock))
            first, ramp = step, times.ramp(self.work.later(step))
            self._ramps[clock] = first, ramp
        return ramp.first_s + (step - first) * ramp.slope_s + self.swap_s


class PowerWindow:
    """Recent steps of a replica, and the mean power of one of its devices over a window."""

    def __init__(self, draw: StepDraw, window_s: float) -> None:
        self._draw, self._window_s = draw, window_s
        self._pieces: list[Piece] = []
        self._known: dict[tuple[float, float], float] = {}

    def add(self, piece: Piece) -> None:
        """Add the steps that begin now."""
        self._pieces.append(piece)
        self._known.clear()

    def last(self) -> Piece | None:
        """Return the steps that began last."""
        return self._pieces[-1] if self._pieces else None

    def cut(self, steps: int) -> None:
        """Let the steps that began last end after the first `steps` of them."""
        self._pieces[-1].steps = steps
        self._known.clear()

    def forget(self, before_s: float) -> None:
        """Forget the steps that ended before a time."""
        if self._pieces and self._pieces[0].end_s < before_s:
            self._pieces = [piece for piece in self._pieces if piece.end_s >= before_s]

    def mean_w(self, until_s: float, clock: float) -> float:
        """Return the mean power of a device over the window that ends at `until_s` [W].

        Parameters
        ----------
        until_s
            End of the window [s].
        clock
            Highest clock that the device might have had. Steps keep the shares of the window that
            they had with their own clocks.
        """
        watts = self._known.get((until_s, clock))
        if watts is None:
            watts = self._known[until_s, clock] = self._computed_w(until_s, clock)
        return watts

    def _computed_w(self, until_s: float, clock: float) -> float:
        since_s, energy_j, idle_s = until_s - self._window_s, 0.0, self._window_s
        for piece in self._pieces:
            piece_j, busy_s = piece.energy_j(self._draw, since_s, until_s, clock)
            energy_j += piece_j
            idle_s -= busy_s
        return (energy_j + max(idle_s, 0.0) * self._draw.idle_w) / self._window_s
