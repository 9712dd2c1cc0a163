"""PrefillScheduler: prefill and first tokens of requests that decode on other replicas."""

from __future__ import annotations

from cluster_sim.request import Request
from cluster_sim.serving.kv_cache.manager import KVCacheManager
from cluster_sim.serving.reservation.full_isl import FullISL
from cluster_sim.serving.scheduler.admission_rules import NO_RULES, AdmissionRules
from cluster_sim.serving.scheduler.continuous_scheduler import ContinuousScheduler
from cluster_sim.serving.scheduler.decoding import DecodingSequences
from cluster_sim.serving.scheduler.limits import SchedulerLimits
from cluster_sim.serving.scheduler.request_queue import RequestQueue


class PrefillScheduler(ContinuousScheduler):
    """Scheduler of a prefill replica.

    A request leaves with its first token, and its KV cache stays until `release`. Prompts therefore
    wait if no decode replica accepts requests. A prompt is admitted when there are blocks for the
    whole prompt (`FullISL`), whatever the engine does elsewhere: chunks of a prompt that cannot be
    completed would waste blocks. Therefore no request is ever preempted.
    """

    __slots__ = ("_kept", "_prefilled_requests")

    def __init__(
        self,
        limits: SchedulerLimits,
        kv: KVCacheManager,
        decoding: DecodingSequences,
        queue: RequestQueue,
        rules: AdmissionRules = NO_RULES,
    ) -> None:
        whole_prompts = FullISL(kv, limits.max_batched_tokens)
        super().__init__(limits, kv, decoding, queue, rules._replace(reservation=whole_prompts))
        self._prefilled_requests: list[Request] = []
        self._kept: dict[Request, int] = {}
        """Number of tokens in the cache per prefilled request, until `release`."""

    def expect(self, request: Request) -> None:
        """Record that a request is on its way here; it gets the first token of its answer here."""
        super().expect(request)
        self.pending_tokens -= request.output_tokens - request.generated - 1

    def unexpect(self, request: Request) -> None:
        """Undo `expect`: a request that was on its way here will not arrive."""
        super().unexpect(request)
        self.pending_tokens += request.output_tokens - request.generated - 1

    @property
    def kept(self) -> int:
        """Number of prefilled requests whose KV cache is still here."""
        return len(self._kept)

    def take_prefilled(self) -> list[Request]:
        """Return the requests that have been prefilled since the last call, to decode elsewhere."""
        prefilled, self._prefilled_requests = self._prefilled_requests, []
        return prefilled

    def release(self, request: Request) -> bool:
        """Free the blocks of a request whose KV cache has arrived at its decode replica.

        Returns False: if steps are scheduled, no request can be admitted before they have ended.
        """
        tokens = self._kept.pop(request)
        blocks = self._kv.blocks_for(tokens)
        self._kv.keep_promise(blocks)
        self._kv.give_back(request, tokens, blocks, again=False)
        return False

    def cancel(self, request: Request) -> bool:
        """Remove a request without its remaining tokens; return whether it was here.

        It may have been prefilled in the step that has just ended.
        """
        if request not in self._kept:
            return super().cancel(request)
        if request in self._prefilled_requests:
            self._prefilled_requests.remove(request)
        self.release(request)
        return True

    def drain(self, last_token_s: float) -> list[Request]:
        """Remove and return all requests, prefilled requests first; their KV cache is lost."""
        kept, self._kept = list(self._kept), {}
        self._prefilled_requests = []
        for request in kept:
            request.begin_anew(request.read_s)
        return kept + super().drain(last_token_s)

    def _begin_decoding(self, request: Request, length: int) -> None:
        """Let a request leave to decode elsewhere; its blocks are kept."""
        del self.running[request]
        self._kept[request] = length
        self._kv.promise(self._kv.blocks_for(length))
        self._prefilled_requests.append(request)
