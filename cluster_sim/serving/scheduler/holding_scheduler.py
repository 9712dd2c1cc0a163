"""HoldingScheduler: decoding requests that hold still while others prefill, and are retracted.

In steps that hold, decoding requests get no token and their KV cache does not grow. Before a decode
step without KV cache for every request, those with the fewest outputs are retracted; they go to the
end of the queue, and keep their prompts findable (SGLang 0.5, srt/managers/schedule_batch.py:
`retract_decode`).
"""

from __future__ import annotations

from cluster_sim.request import Request
from cluster_sim.serving.kv_cache.decoding_blocks import SpeculativeBlocks
from cluster_sim.serving.kv_cache.manager import KVCacheManager
from cluster_sim.serving.prefill_first import PrefillFirst
from cluster_sim.serving.scheduler.continuous_scheduler import ContinuousScheduler
from cluster_sim.serving.scheduler.decoding import DecodingSequences
from cluster_sim.serving.scheduler.limits import SchedulerLimits
from cluster_sim.serving.scheduler.promised_tokens import (
    NewTokenRatio,
    PromisedTokens,
    RetractionOrder,
)
from cluster_sim.serving.scheduler.request_queue import RequestQueue


class HoldingScheduler(ContinuousScheduler):
    """Base of schedulers of steps in which decoding requests hold still."""

    __slots__ = ("_held_since_s", "_is_full", "_is_holding", "_order", "_promised", "_ratio")

    def __init__(
        self,
        limits: SchedulerLimits,
        kv: KVCacheManager,
        decoding: DecodingSequences,
        queue: RequestQueue,
        rules: PrefillFirst,
    ) -> None:
        super().__init__(limits, kv, decoding, queue)
        has_drafts = decoding.blocks.step_tokens > 1
        self._ratio = NewTokenRatio(rules.conservativeness, is_full=rules.ignore_eos)
        self._promised = PromisedTokens(SpeculativeBlocks.ONE if has_drafts else 1)
        self._order = RetractionOrder(by_outputs=not has_drafts)
        self._is_full = False  # whether admission waits until the batch has shrunk
        self._is_holding = False  # whether decoding requests hold still in the scheduled steps
        # end of the last step that decoded, if steps that hold have followed it
        self._held_since_s: float | None = None

    def kv_share(self, steps: int) -> float:
        """Return the KV cache usage, promised blocks included, after this number of steps."""
        if self._is_holding:
            return 1.0 - self._kv.free_after(0) / self._kv.capacity
        return super().kv_share(steps)

    def cancel(self, request: Request) -> bool:
        """Remove a request without its remaining tokens; return whether it was here."""
        runs = request in self.running
        if not super().cancel(request):
            return False
        if runs:
            decoding = self._decoding
            self._promised.leave(request, decoding.now)
            self._is_full = False
            if not decoding.blocks.sequences:
                self._held_since_s = None
        return True

    def drain(self, last_token_s: float) -> list[Request]:
        """Remove and return all requests, running requests first; their KV cache is lost."""
        lost = super().drain(last_token_s)
        self._promised, self._held_since_s = self._promised.emptied(), None
        self._is_full = self._is_holding = False
        return lost

    def hold_still(self, now_s: float) -> None:
        """Let decoding requests hold still in the scheduled steps, since other ranks prefill."""
        if not self._is_holding:
            self.output.steps = self._hold(self.output.steps, now_s)

    def _hold(self, steps: int, now_s: float) -> int:
        """Let decoding requests hold still; return the number of equal steps."""
        work = self.work
        work.batch = work.windowed = work.growing = 0
        work.context = work.growth = 0
        work.counted = self._decoding.counted
        work.sampled = self._completing
        self._is_holding = True
        if self._held_since_s is None and self._decoding.blocks.sequences:
            self._held_since_s = now_s
        return 1 if self.output.swap_s or self.output.fetches else steps

    def _advance_prefill(self, steps: int, now_s: float) -> list[Request]:
        """Advance by steps in which decoding requests hold still."""
        kv, chunks = self._kv, self.output.chunks
        finished: list[Request] = []
        self.stalls = []
        if kv.hits_may_shrink:
            kv.forget_before(steps, chunks, growth=0)
        if kv.caches_prefixes:
            kv.forget_taken(request.prefilled + chunk * steps for request, chunk in chunks)
        for request, chunk in chunks:
            self._prefilled(request, chunk * steps, now_s, finished)
        if self._decoding.blocks.step_tokens > 1:
            self._decoding.count_tokens()
        return finished

    def _fill(self, request: Request, tokens: int) -> None:
        """Do nothing: the radix tree gets a prompt when its step has ended."""

    def _prefilled(
        self, request: Request, tokens: int, now_s: float, finished: list[Request]
    ) -> None:
        """Record that `tokens` more tokens of a prompt were prefilled, and when."""
        length = request.prompt_tokens + request.generated
        if self._kv.caches_prefixes and request.prefilled + tokens == length:
            self._kv.fill(request, length)
        super()._prefilled(request, tokens, now_s, finished)
        if request is not self._partial:
            request.stalled_s = now_s

    def _begin_decoding(self, request: Request, length: int) -> None:
        """Let a request with `length` tokens in the cache decode from the next step on."""
        super()._begin_decoding(request, length)
        decoding = self._decoding
        self._promised.join(request, decoding.now)
        self._order.join(request, decoding.now, decoding.blocks.sequences)

    # Retraction

    def _retract_until_all_fit(self, now_s: float) -> None:
        """Retract requests until every other one has a block for its next token."""
        kv, blocks = self._kv, self._decoding.blocks
        while blocks.sequences > 1 and kv.free_after(1) < 0:
            self._preempt(self._order.first(), now_s, 0)
        if self.output.preempted:
            self._has_retracted()

    def _has_retracted(self) -> None:
        """Set the ratio after a retraction, and try to admit again."""
        promised, sequences = self._promised, self._decoding.blocks.sequences
        decoded = promised.answers - promised.left(self._decoding.now)
        self._ratio.retracted(decoded, promised.answers, sequences)
        self._is_full = False

    def _preempt(self, request: Request, now_s: float, free: int) -> None:
        """Retract a decoding request: it waits at the end of the queue and keeps its answer."""
        decoding = self._decoding
        del self.running[request]
        request.preemptions += 1
        self._kv.forget_for_others(free)
        self._promised.leave(request, decoding.now)
        request.generated = decoding.generated(request)
        request.stalled_s = self._last_token_s(request, now_s)
        self.pending_tokens += request.prompt_tokens + request.output_tokens
        self.pending_tokens -= decoding.steps_left(request)
        self.pending_prompt_tokens += request.prompt_tokens + request.generated
        decoding.stop(request)
        # only what was prefilled is findable
        stored = request.prompt_tokens + request.generated - 1
        blocks = decoding.leave(request, stored)
        self._kv.give_back(request, request.prefilled, blocks, again=True)
        request.prefilled = 0
        self.waiting.append(request)
        self.output.preempted.append(request)
        if self._held_since_s is not None:
            self.output.held.append((request, now_s - request.stalled_s))

    def _last_token_s(self, request: Request, now_s: float) -> float:
        """Return the time of the last token of a decoding request if a step ends at `now_s` [s].

        Requests that hold still got it before the steps that prefill.
        """
        if self._held_since_s is None:
            return now_s
        return max(request.stalled_s, self._held_since_s)
