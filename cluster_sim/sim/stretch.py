"""A stretch: the run of like engine steps that a replica has begun."""

from __future__ import annotations

from cluster_sim.hardware.operating_point import FULL_SPEED, OperatingPoint
from cluster_sim.physics.ramp import Ramp


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

    def begin(self, steps: int, now_s: float, ramp: Ramp, point: OperatingPoint) -> None:
        """Begin `steps` steps now."""
        self.steps, self.began_s, self.ramp, self.point = steps, now_s, ramp, point

    def steps_ended(self, now_s: float) -> int:
        """Return the number of its steps that have ended by now, of those before the last."""
        if self.steps <= 1:
            return 0
        return min(self.ramp.steps_done(now_s - self.began_s), self.steps - 1)

    def end_with_this_step(self, now_s: float) -> float | None:
        """Let the step under way be the last; return the time until its end [s].

        None means that it is the last already.
        """
        elapsed_s = now_s - self.began_s
        steps = self.ramp.steps_done(elapsed_s) + 1
        if steps >= self.steps:
            return None
        self.steps = steps
        return max(self.ramp.total_s(steps) - elapsed_s, 0.0)

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
