"""SchedulerOutput: what a scheduler has decided for the next steps."""

from __future__ import annotations

from dataclasses import dataclass, field

from cluster_sim.request import Request


@dataclass(slots=True)
class SchedulerOutput:
    """What the scheduled steps do; `StepWork` holds their counts.

    NOTE: a scheduler owns one and fills it in place, as its StepWork: a new one per stretch of
    steps would cost 0.4 us.
    """

    steps: int = 0
    """Number of like steps that may follow each other; 0: there is no work."""
    chunks: list[tuple[Request, int]] = field(default_factory=list)
    """Requests that each of the steps prefills, with the number of tokens."""
    preempted: list[Request] = field(default_factory=list)
    """Requests that were preempted to make room for these steps."""
    swap_s: float = 0.0
    """Time for which the step, then one alone, waits for blocks that are swapped or fetched [s]."""
