"""Reservation: interface of the rules for the blocks that an admission reserves."""

from __future__ import annotations

from abc import abstractmethod

from cluster_sim.request import Request
from cluster_sim.serving.kv_cache.manager import KVCacheManager, PrefixHit


class Reservation:
    """Rule for the blocks that must be available before a request is admitted.

    Reserved blocks are promises, not allocations: KV cache usage counts a block from the step in
    which a token is written into it, unless the rule takes whole prompts.

    Parameters
    ----------
    kv
        KV cache of the replica.
    step_tokens
        Maximum number of tokens per step.
    stages
        Number of pipeline stages.
    """

    __slots__ = ("_kv", "_step_tokens", "steps_ahead", "takes_whole_prompts")

    def __init__(self, kv: KVCacheManager, step_tokens: int, stages: int = 1) -> None:
        self._kv, self._step_tokens = kv, step_tokens
        self.takes_whole_prompts = False
        """Whether the first chunk of a prompt takes the blocks of all of it."""
        self.steps_ahead = 1
        """Number of steps for which decoding requests need free blocks."""

    @abstractmethod
    def fits(self, request: Request, hit: PrefixHit | None, spare: int) -> bool:
        """Return whether the rule admits a waiting request in the step being scheduled.

        Parameters
        ----------
        request
            First waiting request.
        hit
            Prefix hit of the request; None without a prefix cache.
        spare
            Number of blocks that the admission must leave free.
        """

    def can_land(self, request: Request, spare: int) -> bool:
        """Return whether the rule accepts a request that was prefilled on another replica."""
        return True

    def begin(self, request: Request, promised: int = 0) -> None:
        """Record that a request runs, or that `promised` blocks are promised to it already."""

    def end(self, request: Request, promised: int = 0) -> None:
        """Undo `begin` with the same arguments."""

    def clear(self) -> None:
        """Forget all requests, since the replica has lost them."""
