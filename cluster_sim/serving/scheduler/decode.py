"""DecodeScheduler: decode of requests that were prefilled on other replicas."""

from __future__ import annotations

from cluster_sim.request import Request
from cluster_sim.serving.kv_cache.manager import KVCacheManager
from cluster_sim.serving.scheduler.admission_rules import NO_RULES, AdmissionRules
from cluster_sim.serving.scheduler.continuous_scheduler import ContinuousScheduler
from cluster_sim.serving.scheduler.decoding import DecodingSequences
from cluster_sim.serving.scheduler.limits import SchedulerLimits
from cluster_sim.serving.scheduler.output import SchedulerOutput
from cluster_sim.serving.scheduler.request_queue import RequestQueue


class DecodeScheduler(ContinuousScheduler):
    """Scheduler of a decode replica.

    Blocks and a batch slot are promised to a request before its KV cache is sent here. The request
    decodes from the next step after the arrival of its KV cache. A preempted request is recomputed
    here, as in vLLM's decode instances; while such a request waits, nothing is promised. Arguments
    `steps` are the number of scheduled steps that have ended.
    """

    __slots__ = ("_in_transfer", "_landed")

    def __init__(
        self,
        limits: SchedulerLimits,
        kv: KVCacheManager,
        decoding: DecodingSequences,
        queue: RequestQueue,
        rules: AdmissionRules = NO_RULES,
    ) -> None:
        super().__init__(limits, kv, decoding, queue, rules)
        self._in_transfer = 0  # requests in KV transfer, or arrived since `schedule`
        self._landed: list[Request] = []

    @property
    def only_fills(self) -> bool:
        """Whether free blocks only become fewer while the scheduled steps run."""
        return self._kv.only_fills

    def can_take(self, request: Request, tokens: int, steps: int) -> bool:
        """Return whether there are blocks and a batch slot for a request with `tokens` tokens."""
        in_batch = len(self.running) + self._in_transfer
        if self.waiting or self.output.chunks or in_batch >= self._limits.max_sequences:
            return False
        spare = self._kv.watermark_blocks if in_batch else 0
        if self._reservation is not None and not self._reservation.can_land(request, spare):
            return False
        blocks = self._blocks_for(tokens) + spare
        # Far from the limit no exact count is needed.
        steps += self._steps_ahead
        return not self._kv.is_tight(steps, blocks) or blocks <= self._kv.free_after(steps)

    def promise(self, request: Request, tokens: int) -> None:
        """Reserve blocks and a batch slot for a request, of which `tokens` tokens are prefilled.

        The stretch in progress may become too long by this, see `steps_within`.
        """
        self._in_transfer += 1
        blocks = self._blocks_for(tokens)
        self._kv.promise(blocks)
        if self._reservation is not None:
            self._reservation.begin(request, blocks)
        self.pending_tokens += self._left_to_decode(request, tokens)

    def withdraw(self, request: Request, tokens: int) -> bool:
        """Cancel a promise: the KV cache of the request will not arrive.

        Returns False: if steps are scheduled, no request can be admitted before they have ended.
        """
        self._in_transfer -= 1
        blocks = self._blocks_for(tokens)
        self._kv.keep_promise(blocks)
        if self._reservation is not None:
            self._reservation.end(request, blocks)
        self.pending_tokens -= self._left_to_decode(request, tokens)
        return False

    def _left_to_decode(self, request: Request, tokens: int) -> int:
        """Return the tokens that a request gets here; the prefill replica generates the first."""
        return request.footprint - tokens

    def steps_within(self, steps: int) -> int:
        """Return how many of `steps` steps, from the next step on, the free blocks allow."""
        is_tight = self._kv.is_tight(steps + self._steps_ahead - 1)
        return self._steps_within(steps) if is_tight else steps

    def land(self, request: Request) -> None:
        """Record that the KV cache of a request has arrived."""
        self._landed.append(request)

    def cancel(self, request: Request) -> bool:
        """Remove a request without its remaining tokens; return whether it was here."""
        if request not in self._landed:
            return super().cancel(request)
        self._landed.remove(request)
        self.withdraw(request, request.known_tokens - 1)
        return True

    def drain(self, last_token_s: float) -> list[Request]:
        """Remove and return all requests, newly arrived requests last; their KV cache is lost."""
        landed, self._landed, self._in_transfer = self._landed, [], 0
        for request in landed:
            request.begin_anew(request.read_s)
        return super().drain(last_token_s) + landed

    def schedule(self, now_s: float, max_steps: int) -> SchedulerOutput:
        """Decide on the next step; it is a single step if requests have arrived."""
        if not self._landed:
            return super().schedule(now_s, max_steps)
        for request in self._landed:
            self._take_over(request)
        self._decoding.count_tokens()
        self._landed = []
        return super().schedule(now_s, 1)

    def _take_over(self, request: Request) -> None:
        """Let a request whose KV cache has arrived decode."""
        tokens = request.known_tokens - 1  # the last token is not cached yet
        self._kv.restore(request, tokens, self._kv.free_after(0))
        self._in_transfer -= 1
        blocks = self._blocks_for(tokens)
        self._kv.keep_promise(blocks)
        if self._reservation is not None:
            self._reservation.end(request, blocks)
            self._reservation.begin(request)
        self.running[request] = None
        self.waiting.passed_by(request)
        request.stalled_s = request.read_s
        self._resume(request, tokens)

    def _preempt(self, request: Request, now_s: float, free: int) -> None:
        """Take the blocks of a running request.

        A request that has just arrived has waited for its next token since its prefill.
        """
        is_fresh = request in self._resuming
        if is_fresh:
            self._resuming.remove(request)
            self._decoding.count(request)
        super()._preempt(request, now_s, free)
        if is_fresh:
            request.stalled_s = request.read_s

    def _blocks_for(self, tokens: int) -> int:
        """Return the number of blocks of `tokens` tokens and the token that the first step adds."""
        return self._kv.blocks_during(tokens + 1, 1)
