"""StepTimes: interface between a replica and the physics of its step times."""

from __future__ import annotations

from typing import Protocol

from cluster_sim.physics.ramp import Ramp
from cluster_sim.physics.step_work import StepWork


class StepTimes(Protocol):
    """Step times of one replica: GpuSteps, WaferSteps or SpeculativeSteps."""

    def ramp(self, work: StepWork) -> Ramp:
        """Return the lengths of steps that begin with `work` and grow as it says [s]."""
        ...


class VerifyingSteps(StepTimes, Protocol):
    """Step times of a model that can also verify several tokens of each sequence per step."""

    def verify(self, work: StepWork, tokens_per_sequence: int) -> Ramp:
        """Return the lengths of steps that verify `tokens_per_sequence` tokens per sequence [s]."""
        ...

    def draft(self, work: StepWork, tokens_per_sequence: int) -> Ramp:
        """Return the lengths of passes that draft one token per sequence [s].

        A pass reads `tokens_per_sequence` tokens of each sequence and the prompts of the step.
        """
        ...
