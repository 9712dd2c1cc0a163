"""StepTimes: what a replica needs to know of how long its steps take."""

from __future__ import annotations

from typing import Protocol

from cluster_sim.physics.ramp import Ramp
from cluster_sim.physics.step_work import StepWork


class StepTimes(Protocol):
    """How long the steps of one replica take: GpuSteps, WaferSteps or SpeculativeSteps."""

    def ramp(self, work: StepWork) -> Ramp:
        """Return the lengths of the steps that begin with `work` and grow as it says."""
        ...


class VerifyingSteps(StepTimes, Protocol):
    """Step times of a model that can also check several tokens of each sequence in a step."""

    def verify(self, work: StepWork, tokens_per_sequence: int) -> Ramp:
        """Return the lengths of steps that check `tokens_per_sequence` tokens of each sequence."""
        ...
