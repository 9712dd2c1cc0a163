"""Order of waiting requests by their cached prefixes, as SGLang's policy `lpm` has it.

The request with the longest cached prefix is admitted first. Above MAX_SORTED waiting requests the
order stays, because matching them takes time. A request that finds hardly anything and whose prompt
begins as that of a request before it goes to the end, so that it can find that prefix later. (SGLang
0.5, srt/managers/schedule_policy.py: `calc_priority`, `_compute_prefix_matches`.)
"""

from __future__ import annotations

from cluster_sim.request import Request
from cluster_sim.serving.kv_cache.manager import KVCacheManager
from cluster_sim.serving.scheduler.request_queue import RequestQueue

MAX_SORTED = 128
"""Number of waiting requests above which they keep their order."""
SHORT_TOKENS = 32
"""Number of tokens up to which a cached prefix is short, and from which a shared one is long."""


def sort_by_prefix(waiting: RequestQueue, kv: KVCacheManager) -> None:
    """Sort waiting requests in place, by cached prefixes; equal ones keep their order.

    Parameters
    ----------
    waiting
        Requests in order of admission.
    kv
        KV cache; its free blocks must be exact.
    """
    if not 1 < len(waiting) <= MAX_SORTED:
        return
    ahead: set[int] = set()  # pieces of prompts before the present one
    keys: dict[Request, float] = {}
    requests = list(waiting)
    for request in requests:
        known = kv.find(request).known * kv.block_tokens
        keys[request] = -known
        if known > SHORT_TOKENS:
            continue
        if _shared_tokens(request, ahead) >= SHORT_TOKENS:
            keys[request] = 1.0
        else:
            ahead.update(identity for identity, _ in request.pieces)
    for _ in requests:
        waiting.pop_first()
    for request in sorted(requests, key=keys.__getitem__):
        waiting.append(request)


def _shared_tokens(request: Request, ahead: set[int]) -> int:
    """Return the number of leading tokens of a prompt that consist of pieces in `ahead`."""
    shared = 0
    for identity, tokens in request.pieces:
        if identity not in ahead:
            break
        shared += tokens
    return shared
