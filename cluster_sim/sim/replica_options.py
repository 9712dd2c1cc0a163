"""Optional parts of a replica."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from cluster_sim.hardware.operating_point import OperatingPoint
from cluster_sim.physics.ramp import Ramp
from cluster_sim.physics.step_work import StepWork
from cluster_sim.request import Request
from cluster_sim.serving.scheduler import Scheduler

ALL_STEPS = 1 << 62
"""Number of steps that stands for no limit."""


class ClockControl(Protocol):
    """Interface of caps and locks of a replica's devices: sim.device_clock.DeviceClock."""

    @property
    def lock(self) -> float:
        """Highest clock that the locks allow, as a share of the highest clock."""
        ...

    def is_capped(self, now_s: float) -> bool:
        """Return whether the power cap lowers the clock, as far as the sensor has reported."""
        ...

    @property
    def lowered_s(self) -> float:
        """Length of the steps so far whose clock a cap or lock lowered [s]."""
        ...

    def set_cap(self, cap_w: float | None, now_s: float) -> bool:
        """Set the power cap of each device [W], None for no cap; return whether it has changed."""
        ...

    def set_lock(self, cause: str, share: float) -> bool:
        """Set the lock of one cause, 1 to release it; return whether the lowest lock has changed."""
        ...

    def begin(
        self, now_s: float, work: StepWork, steps: int, point: OperatingPoint, swap_s: float
    ) -> tuple[OperatingPoint, Ramp]:
        """Begin a stretch; return its operating point, and the durations of its steps there."""
        ...

    def ran(self, steps: int) -> None:
        """Record the number of steps of the stretch in progress that were run."""
        ...


class HostPath(Protocol):
    """Interface of the path between devices and their host: sim.host_path.SharedHostPath."""

    def moved_s(self, alone_s: float) -> float:
        """Return the time to move blocks now [s]; `alone_s`: time without other traffic [s]."""
        ...


class StorePath(Protocol):
    """Interface of the path to a shared tier: sim.shared_tiers.SharedStorePath."""

    def fetched_s(self, fetches: Sequence[tuple[Request, int]]) -> float:
        """Return the time to fetch blocks now [s]; `fetches`: requests and numbers of blocks."""
        ...


class ReplicaOptions(NamedTuple):
    """Optional parts of a replica."""

    max_steps: int = ALL_STEPS
    """Maximum number of steps in one sleep; with 1, each step is a separate event."""
    ready_s: float = 0.0
    """Time at which the weights are loaded [s]; the replica accepts requests before this time."""
    device_clock: ClockControl | None = None
    """Power cap below the limit of the devices, and locks of their clock; None if neither can
    be."""
    prepares_ahead: bool = False
    """Whether the next step is prepared while a step runs, so that arrivals join one step later."""
    rebuild: Callable[[], Scheduler] | None = None
    """Function that returns a scheduler without requests, for the return of lost devices; None if
    they never return."""
    host_path: HostPath | None = None
    """Path that swapped and fetched blocks share with other traffic; None if they do not share
    it."""
    store_path: StorePath | None = None
    """Path to a shared tier; None if there is none."""


PLAIN = ReplicaOptions()
"""Options of a replica without optional parts."""
