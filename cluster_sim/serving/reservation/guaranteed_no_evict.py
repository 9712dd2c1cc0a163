"""Reservation to completion, as in TensorRT-LLM with GUARANTEED_NO_EVICT, its default.

The rule is `GuaranteedNoEvictScheduler` (cpp/tensorrt_llm/batch_manager/capacityScheduler.cpp,
`getRemainingBlocksToCompletion` in kvCacheManager.cpp, release 1.2). Running requests reserve the
blocks that they still need for prompt and answer. Waiting requests are admitted in order while the
other free blocks are enough for their whole prompt and answer; the first failure stops. Therefore
no running request is ever preempted. Blocks of a prefix hit that other requests use need not be
free; releases before 1.2 counted them as well.

Each running request holds some blocks and reserves the rest, which together are its blocks at
completion. The free blocks that nobody has reserved are therefore the capacity minus the blocks at
completion of all running requests, plus the blocks that they share. This number does not change
while requests decode.

The longest answer is the client's limit (`max_tokens`), up to the KV cache capacity. Without a limit
it is as long as the answer will be.

Two details are simpler than in TensorRT-LLM. The last token of an answer, which is never cached,
takes no block. The blocks of a prompt are in use from the chunk that fills them, not from the first
chunk.
"""

from __future__ import annotations

from cluster_sim.request import Request
from cluster_sim.serving.kv_cache.manager import KVCacheManager, PrefixHit
from cluster_sim.serving.reservation.reservation import Reservation


class GuaranteedNoEvict(Reservation):
    """Rule that admits a request if it can run to its end without a preemption."""

    __slots__ = ("_reserved",)

    def __init__(self, kv: KVCacheManager, step_tokens: int, stages: int = 1) -> None:
        super().__init__(kv, step_tokens, stages)
        self._reserved = 0  # blocks at completion of all running requests

    def fits(self, request: Request, hit: PrefixHit | None, spare: int) -> bool:
        """Return whether blocks for prompt and answer of a request are free and not reserved."""
        shared = 0 if hit is None else self._kv.shared_blocks(hit)
        return self._to_completion(request) - shared + spare <= self._unreserved()

    def can_land(self, request: Request, spare: int) -> bool:
        """Return whether blocks for prompt and answer of a request are free and not reserved."""
        return self._to_completion(request) + spare <= self._unreserved()

    def begin(self, request: Request, promised: int = 0) -> None:
        """Reserve the blocks of a request, except for `promised` blocks that the cache keeps."""
        self._reserved += self._to_completion(request) - promised

    def end(self, request: Request, promised: int = 0) -> None:
        """Undo `begin` with the same arguments."""
        self._reserved -= self._to_completion(request) - promised

    def clear(self) -> None:
        """Forget all requests, since the replica has lost them."""
        self._reserved = 0

    def _unreserved(self) -> int:
        """Return the number of free blocks that no running request has reserved."""
        return self._kv.capacity + self._kv.extra_blocks - self._reserved

    def _to_completion(self, request: Request) -> int:
        return self._kv.blocks_to_completion(request, self._step_tokens)
