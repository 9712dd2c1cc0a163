"""PrefillFirst: description of steps that prefill instead of decode, as SGLang schedules them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field

from cluster_sim.schema import Description
from cluster_sim.typing import Count

_WITH_RANKS = 0.3
"""Factor of conservativeness with attention data parallelism."""


class PrefillFirst(Description):
    """Rules of a scheduler whose steps prefill instead of decode, as in SGLang."""

    schedule_policy: Literal["fcfs", "lpm"] = "fcfs"
    """Order of waiting requests. fcfs: order of arrival. lpm: the longest cached prefix is first,
    with up to 128 waiting requests; a prompt that begins as one before it in the queue comes last.
    Without a prefix cache lpm is fcfs."""
    max_prefill_tokens: Count = 16_384
    """Number of prompt tokens per step of one attention data-parallel rank from which a further
    prompt must wait. The first prompt of a step may be longer."""
    mixed_chunks: bool = False
    """Whether decoding sequences join the steps that prefill (`enable_mixed_chunk`). Otherwise
    they hold still in such steps."""
    conservativeness: Annotated[float, Field(gt=0.0)] = 1.0
    """Factor of the share of their remaining answers that admission reserves for running requests
    (`schedule_conservativeness`). With attention data parallelism it is multiplied by 0.3, as in
    SGLang."""
    ignore_eos: bool = False
    """Whether admission reserves the whole remaining answers of running requests. It is a safe
    bound of the rule of SGLang for requests with `ignore_eos` if the prefix cache is off."""
    receive_interval: Count = 1
    """Number of decode steps between two polls for new requests (`scheduler_recv_interval`). There
    is a poll after each step with prefill, and at once if the engine is idle."""

    def over(self, ranks: int) -> Self:
        """Return the rules of one of so many attention data-parallel ranks.

        Each rank of SGLang has a scheduler with limits of its own (0.5, srt/server_args.py
        _handle_data_parallelism).

        >>> PrefillFirst().over(8).conservativeness
        0.3
        """
        if ranks == 1:
            return self
        return self.model_copy(update={"conservativeness": self.conservativeness * _WITH_RANKS})
