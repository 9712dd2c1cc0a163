"""What a replica may have beyond a scheduler and step times."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from cluster_sim.hardware.operating_point import OperatingPoint
from cluster_sim.physics.ramp import Ramp
from cluster_sim.serving.scheduler import Scheduler

ALL_STEPS = 1 << 62
"""Number of steps that stands for "as many as are alike"."""


class PowerCap(Protocol):
    """What keeps a replica's devices below a power limit: sim.power_cap.CappedClock."""

    def slowed(
        self,
        scheduler: Scheduler,
        steps: int,
        point: OperatingPoint,
        ramp_at: Callable[[OperatingPoint], Ramp],
    ) -> tuple[OperatingPoint, Ramp]:
        """Return the operating point of the scheduled steps, and their lengths there."""
        ...


class HostPath(Protocol):
    """The path between a replica's devices and their host: sim.host_path.SharedHostPath."""

    def moved_s(self, alone_s: float) -> float:
        """Return how long blocks move from now on that would take `alone_s` alone [s]."""
        ...


class ReplicaOptions(NamedTuple):
    """What a replica may have beyond a scheduler and step times."""

    max_steps: int = ALL_STEPS
    """Maximum number of steps in one sleep; 1 makes each step an event of its own."""
    ready_s: float = 0.0
    """Time at which the weights are loaded [s]; the replica takes requests before."""
    power_cap: PowerCap | None = None
    """Power cap below the devices' own limit; None where they have none."""
    host_path: HostPath | None = None
    """Path on which swapped and fetched blocks meet other traffic; None where they move alone."""


PLAIN = ReplicaOptions()
"""Options of a replica that has none of these."""
