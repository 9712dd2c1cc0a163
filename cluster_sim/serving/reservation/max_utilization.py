"""Reservation of the next steps only, as in TensorRT-LLM with MAX_UTILIZATION.

The rule is `MaxUtilizationScheduler` (cpp/tensorrt_llm/batch_manager/capacityScheduler.cpp,
`getNeededBlocksOneStep` in kvCacheManager.cpp, release 1.2). Each decoding request needs blocks for
one step. It needs them for two steps if there are pipeline stages (`two_step_lookahead` in
tensorrt_llm/_torch/pyexecutor/_util.py); early previews of the PyTorch backend also did so with the
overlap scheduler. If they are not free, the request that started last is paused: its blocks are
freed, and later it prefills its prompt and its tokens again, before all requests that wait behind
it. No request starts in such a step.

A request starts if the blocks of its whole known sequence are free. It takes them all with its
first chunk, so decoding requests cannot take them. Blocks of a prefix hit that other requests use
need not be free.

Two details are simpler than in TensorRT-LLM. A request in its last step is counted with two steps
as well. If several groups of layers share the blocks, a prompt takes its blocks chunk by chunk, and
decoding requests need blocks for one step.
"""

from __future__ import annotations

from cluster_sim.request import Request
from cluster_sim.serving.kv_cache.manager import KVCacheManager, PrefixHit
from cluster_sim.serving.reservation.full_isl import FullISL


class MaxUtilization(FullISL):
    """Rule that admits a request if its whole known sequence fits beside the next steps."""

    __slots__ = ()

    def __init__(self, kv: KVCacheManager, step_tokens: int, stages: int = 1) -> None:
        super().__init__(kv, step_tokens, stages)
        if not kv.token_share:
            self.takes_whole_prompts = True
            self.steps_ahead = 1 if stages == 1 else 2

    def fits(self, request: Request, hit: PrefixHit | None, spare: int) -> bool:
        """Return whether the free blocks are enough for a request and for the next steps."""
        kv = self._kv
        growth = kv.free_after(1) - kv.free_after(self.steps_ahead) if self.steps_ahead > 1 else 0
        return super().fits(request, hit, spare + growth)
