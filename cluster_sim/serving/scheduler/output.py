"""SchedulerOutput: decision of a scheduler on the next steps."""

from __future__ import annotations

from dataclasses import dataclass, field

from cluster_sim.request import Request


@dataclass(slots=True)
class SchedulerOutput:
    """Decision on the scheduled steps; `StepWork` holds their counts.

    NOTE: a scheduler owns one object and changes it in place, like its StepWork: a new object per
    stretch of steps would cost 0.4 us.
    """

    steps: int = 0
    """Number of equal steps that may follow each other; 0 if there is no work."""
    chunks: list[tuple[Request, int]] = field(default_factory=list)
    """Requests that each step prefills, with the number of tokens."""
    preempted: list[Request] = field(default_factory=list)
    """Requests that were preempted to free blocks for these steps."""
    held: list[tuple[Request, float]] = field(default_factory=list)
    """Preempted requests that had held still before, with the time since their last token [s]."""
    swap_s: float = 0.0
    """Time for which a single step waits for blocks that are swapped, or fetched from the replica's
    own tiers [s]."""
    store_s: float = 0.0
    """Time for which a single step waits for blocks of a shared tier, without other traffic [s]."""
    on_rank: list[tuple[Request, int]] = field(default_factory=list)
    """Requests that a rank prefills apart from its decoding sequences, with the number of the
    rank."""
    rank_holds: list[tuple[Request, int]] = field(default_factory=list)
    """First of these requests of each rank, with the number of sequences of the rank that hold
    still and count for the statistics."""
    fetches: list[tuple[Request, int]] = field(default_factory=list)
    """Requests whose blocks are fetched from a shared tier, with the number of blocks."""

    def clear(self) -> None:
        """Forget the decision."""
        self.chunks.clear()
        if self.preempted:
            self.preempted, self.held = [], []
        if self.on_rank:
            self.on_rank, self.rank_holds = [], []
        self.swap_s = 0.0

    def take_fetches(self) -> tuple[list[tuple[Request, int]], float]:
        """Return the fetches from a shared tier and their time [s], and forget them."""
        taken = self.fetches, self.store_s
        self.fetches, self.store_s = [], 0.0
        return taken
