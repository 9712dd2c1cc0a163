"""Reservation of the whole known sequence, as in vLLM since 0.19.

The rule is `scheduler_reserve_full_isl` (vllm/v1/core/sched/scheduler.py, `full_sequence_must_fit`
in `allocate_slots` of vllm/v1/core/kv_cache_manager.py, release 0.19.1). A waiting request is
admitted only if the free blocks are enough for its prompt and the tokens that it generated before a
preemption. Cached blocks that other requests use need not be free. The watermark is added. Layers
with a window need the blocks of their peak (`apply_admission_cap`, since 0.20).

The blocks are tested, not taken: chunks take them step by step, and decoding requests may take them
first. Later tokens of the answer are not included, so requests may be preempted.
"""

from __future__ import annotations

from cluster_sim.request import Request
from cluster_sim.serving.kv_cache.manager import PrefixHit
from cluster_sim.serving.reservation.reservation import Reservation


class FullISL(Reservation):
    """Rule that admits a request if its whole known sequence fits."""

    __slots__ = ()

    def fits(self, request: Request, hit: PrefixHit | None, spare: int) -> bool:
        """Return whether the free blocks are enough for all known tokens of a request."""
        kv = self._kv
        known = 0 if hit is None else hit.known
        missing = request.known_tokens - known * kv.block_tokens
        reused, _ = kv.blocks_behind(hit, missing)
        blocks = kv.most_behind(known, missing, self._step_tokens)
        return kv.has_free(reused + blocks + spare)
