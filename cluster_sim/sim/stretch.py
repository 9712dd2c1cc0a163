"""A stretch: the run of like engine steps that a replica has begun."""

from __future__ import annotations

from cluster_sim.hardware.operating_point import FULL_SPEED, OperatingPoint
from cluster_sim.physics.ramp import Ramp
from cluster_sim.sim.alarm import Alarm


class Stretch:
    """The stretch under way of one replica.

    NOTE: each replica has one of these and fills it again for every stretch; a new record for each
    would cost 0.3 us of the 10 us that a stretch takes.
    """

    __slots__ = ("began_s", "own_links", "own_memory", "point", "ramp", "steps", "swap_s")

    def __init__(self) -> None:
        self.steps = 0
        """Number of steps; 0 between stretches and where there is nothing to do."""
        self.began_s = 0.0
        self.ramp = Ramp(0.0)
        """Lengths of the steps."""
        self.point = FULL_SPEED
        """Operating point at which it runs."""
        self.swap_s = 0.0
        """Time for which swapped or fetched blocks delay the first step [s]."""
        self.own_memory: Ramp | None = None
        """Lengths of the steps if no other traffic used the memories; None where none does."""
        self.own_links: Ramp | None = None
        """Lengths of the steps if no other traffic used memories and links."""

    def begin(self, steps: int, now_s: float, ramp: Ramp, point: OperatingPoint) -> float:
        """Begin `steps` steps now, or as many as the ramp holds for; return their length [s].

        NOTE: the length is `ramp.total_s(steps)`, spelled out for 0.06 us.
        """
        first_s, slope_s, valid_steps = ramp
        if valid_steps < steps:
            steps = valid_steps
        self.steps, self.began_s, self.ramp, self.point = steps, now_s, ramp, point
        return steps * first_s + slope_s * (steps * (steps - 1) * 0.5)

    def steps_ended(self, now_s: float) -> int:
        """Return the number of its steps that have ended by now, of those before the last."""
        if self.steps <= 1:
            return 0
        return min(self.ramp.steps_done(now_s - self.began_s), self.steps - 1)

    def last_end_s(self, now_s: float) -> float:
        """Return when the last step ended that has ended by now [s]; now between two stretches."""
        if not self.steps:
            return now_s
        return self.began_s + self.ramp.total_s(self.steps_ended(now_s))

    def end_with_this_step(self, now_s: float, alarm: Alarm) -> None:
        """Let the step under way be the last, as engines do when the next is to be another.

        The alarm on which the replica sleeps is set to the end of the step.
        """
        elapsed_s = now_s - self.began_s
        steps = self.ramp.steps_done(elapsed_s) + 1
        if steps < self.steps:
            self.steps = steps
            alarm.sooner(max(self.ramp.total_s(steps) - elapsed_s, 0.0))

    def lost_s(self, steps: int) -> tuple[float, float]:
        """Return by how much longer `steps` steps take because of other traffic [s].

        The first is for traffic on the memories, the second for traffic on the links.
        """
        if self.own_memory is None or self.own_links is None:
            return 0.0, 0.0
        return (
            self.ramp.longer_than(self.own_memory).total_s(steps),
            self.own_memory.longer_than(self.own_links).total_s(steps),
        )
