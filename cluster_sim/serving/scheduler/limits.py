"""SchedulerLimits: limits of a scheduler's steps."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cluster_sim.physics.limited_view import NO_VIEW, LimitedView


@dataclass(frozen=True, slots=True)
class SchedulerLimits:
    """Limits of the steps of one replica, which follow from its model and its engine."""

    max_sequences: int
    """Maximum number of requests in the batch."""
    max_batched_tokens: int
    """Maximum number of tokens per step: decoding sequences and prefill together."""
    max_context: int
    """Maximum number of tokens per sequence of the model."""
    chunked_prefill: bool = True
    """Whether the prefill of a prompt may be split over several steps."""
    pipeline_stages: int = 1
    """Number of pipeline stages of the replica."""
    data_parallel: int = 1
    """Number of attention data-parallel ranks of the replica."""
    view: LimitedView = NO_VIEW
    """View of queries in layers without full attention."""
    counts_longest: bool = False
    """Whether the longest decoding sequence is counted, for attention back ends that need it."""

    def of_rank(self) -> SchedulerLimits:
        """Return the limits of one attention data-parallel rank: its share of the replica's.

        >>> SchedulerLimits(64, 32_768, 4096, data_parallel=8).of_rank().max_sequences
        8
        """
        return replace(
            self,
            max_sequences=max(self.max_sequences // self.data_parallel, 1),
            max_batched_tokens=max(self.max_batched_tokens // self.data_parallel, 1),
        )
