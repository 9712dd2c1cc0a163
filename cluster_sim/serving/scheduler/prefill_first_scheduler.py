"""PrefillFirstScheduler: steps that prefill instead of decode, with the rules of SGLang.

If a step can prefill, it does so, and decoding requests hold still. A step prefills the rest of a
partly prefilled prompt first, then waiting requests while chunk budget, `max_prefill_tokens`, batch
slots and KV cache last. Admission reserves the whole answer of a new request and a share of the
remaining answers of running ones. When it has stopped for lack of KV cache or slots, it is tried
again once the batch has shrunk. (SGLang 0.5, srt/managers/scheduler.py: `get_next_batch_to_run`,
`update_running_batch`; schedule_policy.py: `PrefillAdder`.)

The longest answer of a request is the client's limit. The step that the overlap scheduler
runs for requests that have finished is left out.
"""

from __future__ import annotations

from cluster_sim.request import Request
from cluster_sim.serving.kv_cache.manager import KVCacheManager
from cluster_sim.serving.prefill_first import PrefillFirst
from cluster_sim.serving.scheduler.decoding import DecodingSequences
from cluster_sim.serving.scheduler.holding_scheduler import HoldingScheduler
from cluster_sim.serving.scheduler.inbox import Inbox
from cluster_sim.serving.scheduler.limits import SchedulerLimits
from cluster_sim.serving.scheduler.output import SchedulerOutput
from cluster_sim.serving.scheduler.prefix_order import sort_by_prefix
from cluster_sim.serving.scheduler.promised_tokens import CLIP_TOKENS
from cluster_sim.serving.scheduler.request_queue import RequestQueue

_INDEFINITELY = 1 << 62


class PrefillFirstScheduler(HoldingScheduler):
    """Scheduler of steps that prefill, or else decode."""

    __slots__ = ("_inbox", "_input_left", "_reserved", "_rules")

    def __init__(
        self,
        limits: SchedulerLimits,
        kv: KVCacheManager,
        decoding: DecodingSequences,
        queue: RequestQueue,
        rules: PrefillFirst,
    ) -> None:
        super().__init__(limits, kv, decoding, queue, rules)
        self._rules = rules
        self._input_left = 0  # prompt tokens until `max_prefill_tokens` in the step
        self._reserved = 0.0  # tokens reserved for answers in the step being scheduled
        # requests between their arrival and a poll; None if there is a poll per step
        self._inbox = Inbox(rules.receive_interval) if rules.receive_interval > 1 else None

    @property
    def queued(self) -> int:
        """Number of requests that wait to be received or admitted."""
        inbox = self._inbox
        return len(self.waiting) + (len(inbox.requests) if inbox is not None else 0)

    @property
    def prefills_apart(self) -> bool:
        """Whether decoding requests hold still in the scheduled steps, which prefill."""
        return self._is_holding and not self._rules.mixed_chunks

    def enqueue(self, request: Request) -> bool:
        """Add a request that has arrived; return whether it may change the steps after this one."""
        inbox = self._inbox
        if inbox is None:
            return super().enqueue(request) and not self._is_full
        inbox.requests.append(request)
        return len(inbox.requests) == 1

    def cancel(self, request: Request) -> bool:
        """Remove a request without its remaining tokens; return whether it was here."""
        if self._inbox is not None and self._inbox.discard(request):
            self.unexpect(request)
            return True
        return super().cancel(request)

    def drain(self, last_token_s: float) -> list[Request]:
        """Remove and return all requests, running requests first; their KV cache is lost."""
        self._receive()
        return super().drain(last_token_s)

    def _receive(self) -> None:
        """Let the requests that have arrived wait to be admitted."""
        if self._inbox is not None:
            for request in self._inbox.take():
                self.waiting.append(request)

    # Decisions

    def schedule(self, now_s: float, max_steps: int) -> SchedulerOutput:
        """Decide on the next step, and on the number of equal steps that may follow."""
        inbox = self._inbox
        if inbox is not None and inbox.requests:
            is_idle = not self.waiting and not self._decoding.blocks.sequences
            if (is_idle and self._partial is None) or not inbox.steps_until_poll:
                self._receive()
            else:
                max_steps = min(max_steps, inbox.steps_until_poll)
        return self._decide(now_s, max_steps)

    def _decide(self, now_s: float, max_steps: int) -> SchedulerOutput:
        """Decide on the next step with the requests that have been received."""
        output, kv, blocks = self.output, self._kv, self._decoding.blocks
        self._clear_output()
        steps = max_steps
        if self._partial is not None or (self.waiting and not self._is_full):
            steps = min(steps, self._form_prefill(now_s))
        if output.chunks and not (self._rules.mixed_chunks and blocks.sequences):
            output.steps = self._hold(steps, now_s)
            return output
        if not output.chunks:
            if not blocks.sequences:
                self._ratio.reset()
                output.steps = 0
                return output
            if kv.is_tight(1):
                self._retract_until_all_fit(now_s)
        is_single = output.preempted or output.swap_s or output.fetches
        output.steps = self._decode(1 if is_single else steps)
        return output

    def _clear_output(self) -> None:
        """Forget the decision on the last step."""
        work = self.work
        if self.output.chunks:
            work.prompt_tokens = work.pairs = work.window_pairs = work.pairs_growth = 0
            self._completing = self._past_tokens = 0
        self.output.clear()
        self._is_holding = False

    def _decode(self, steps: int) -> int:
        """Let decoding requests get a token per step; return the number of equal steps."""
        kv, work = self._kv, self.work
        steps = min(steps, self._decoding.write(work))
        work.sampled = work.batch + self._completing
        if steps > 1 and kv.is_tight(steps):
            steps = kv.steps_within(steps)
        return steps

    def _form_prefill(self, now_s: float) -> int:
        """Fill the budgets of a step with prefill; return the number of equal steps."""
        kv, chunks, limits = self._kv, self.output.chunks, self._limits
        decoding = self._decoding_tokens() if self._rules.mixed_chunks else 0
        kv.begin_exact_step(1 if decoding else 0)
        if self._rules.schedule_policy == "lpm" and kv.caches_prefixes:
            sort_by_prefix(self.waiting, kv)
        budget = self._in_blocks(limits.max_batched_tokens - decoding)
        self._input_left = self._rules.max_prefill_tokens - decoding
        self._reserved = self._ratio.value * self._promised.clipped(self._decoding.now)
        if self._partial is not None:
            if budget <= 0:
                return _INDEFINITELY
            self._go_on_with(self._partial, budget, now_s)
            if self._is_unfinished(*chunks[0]):
                return self._like_chunks(*chunks[0])
            budget -= self._charge(*chunks[0])
        while (
            self.waiting
            and budget > 0
            and self._input_left > 0
            and not self._is_full
            and not self.output.preempted
        ):
            tokens = self._admit_first(budget, now_s)
            if not tokens:
                break
            request = chunks[-1][0]
            if request is self._partial and len(chunks) == 1:
                return self._like_chunks(request, tokens)
            budget -= self._charge(request, tokens)
        if chunks and self._is_full:
            # A batch that decodes for the first time, or has decoded with chunks, is not full.
            self._is_full = bool(self._decoding.blocks.sequences) and not decoding
        return 1 if chunks or self._kv.hits_may_shrink else _INDEFINITELY

    def _in_blocks(self, tokens: int) -> int:
        """Return the part of a budget that whole blocks take.

        It is the whole budget without chunks, and if a step takes less than a block.
        """
        block, limits = self._kv.block_tokens, self._limits
        is_whole = limits.chunked_prefill and limits.max_batched_tokens >= block
        return tokens // block * block if is_whole else tokens

    def _charge(self, request: Request, chunk: int) -> int:
        """Charge a chunk to the limits of the step; return its tokens in whole blocks."""
        block = self._kv.block_tokens
        tokens = -(-chunk // block) * block
        self._input_left -= tokens
        if not self._is_unfinished(request, chunk):
            self._reserved += min(request.longest_answer, CLIP_TOKENS)
        if self._kv.free * self._block_size <= self._reserved:
            self._is_full = True
        return tokens

    @property
    def _block_size(self) -> float:
        """Number of tokens of KV cache capacity per block."""
        return self._kv.token_share or self._kv.block_tokens

    def _go_on_with(self, partial: Request, budget: int, now_s: float) -> None:
        """Continue the prefill of the request with a partly prefilled prompt.

        Blocks can be missing only if decoding requests have grown in steps with chunks; requests
        are retracted then.
        """
        kv = self._kv
        chunk = min(partial.prompt_tokens + partial.generated - partial.prefilled, budget)
        blocks = kv.blocks_during(partial.prefilled + chunk, chunk) - kv.partial_blocks
        while not kv.try_take(blocks, 0):
            self._preempt(self._order.first(), now_s, max(kv.free, 0))
            kv.count_free()
        if self.output.preempted:
            self._has_retracted()
        self._add_chunk(partial, chunk)

    def _admit_first(self, budget: int, now_s: float) -> int:
        """Admit the first waiting request if possible; return the number of its tokens, or 0."""
        kv, request = self._kv, self.waiting.first
        if len(self.running) >= self._limits.max_sequences:
            self._is_full = True
            return 0
        missing, reused = request.prompt_tokens + request.generated, 0
        if kv.caches_prefixes:
            hit = kv.find(request)
            missing -= hit.known * kv.block_tokens
            reused = hit.known - hit.used
        answer = min(request.longest_answer - request.generated, CLIP_TOKENS)
        needed = missing + answer + kv.block_tokens + self._reserved
        if self.running and kv.free * self._block_size - reused * kv.block_tokens < needed:
            self._is_full = True
            return 0
        if (
            self.output.chunks
            and -(-missing // kv.block_tokens) * kv.block_tokens >= self._input_left
        ):
            return 0
        tokens = self._admit(request, budget, now_s)
        if not tokens and (self._limits.chunked_prefill or missing <= budget):
            self._is_full = True
        return tokens

    # Advance in time

    def advance(self, steps: int, now_s: float) -> list[Request]:
        """Advance by `steps` of the scheduled steps; return the requests that finished."""
        if self._is_holding:
            finished = self._advance_prefill(steps, now_s)
        else:
            finished = super().advance(steps, now_s)
            self._held_since_s = None
            if not self.output.chunks and not self.output.preempted:
                self._ratio.decay(steps)
        if self._inbox is not None:
            self._inbox.advance(steps, decodes=not self.output.chunks)
        clock = self._decoding.now
        self._promised.advance(clock)
        if finished:
            self._is_full = False
            for request in finished:
                self._promised.leave(request, clock)
        return finished
