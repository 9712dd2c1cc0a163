"""ContinuousScheduler: continuous batching with chunked prefill, as vLLM V1 schedules.

Before each step: running requests come first, one token each for those that decode, as much of its
prompt as the token budget leaves for the one that is being prefilled; where the KV cache runs out
the request that was admitted last, or the last in the queue's order, is preempted and recomputed
later; then waiting requests are admitted in order while budget, batch slots and blocks last, and
none in a step that preempted. (vLLM, vllm/v1/core/sched/scheduler.py.)
"""

from __future__ import annotations

from cluster_sim.physics.step_work import StepWork
from cluster_sim.physics.transformer import causal_pairs, window_pairs
from cluster_sim.request import Request
from cluster_sim.serving.kv_cache.manager import NO_HIT, KVCacheManager, PrefixHit
from cluster_sim.serving.scheduler.batch_wait import BatchWait
from cluster_sim.serving.scheduler.decoding import DecodingSequences
from cluster_sim.serving.scheduler.limits import SchedulerLimits
from cluster_sim.serving.scheduler.output import SchedulerOutput
from cluster_sim.serving.scheduler.request_queue import RequestQueue

_MANY = 1 << 62


class ContinuousScheduler:
    """Requests of one replica that join and leave its batch between any two steps."""

    __slots__ = (
        "_completing",
        "_decoding",
        "_kv",
        "_limits",
        "_partial",
        "_past_tokens",
        "_resuming",
        "_wait",
        "longest",
        "output",
        "pending_prompt_tokens",
        "pending_tokens",
        "running",
        "stalls",
        "waiting",
        "work",
    )

    admits_whole_prompts = False
    """Whether a prompt is admitted only where the KV cache holds all of it, not just a chunk."""

    def __init__(
        self,
        limits: SchedulerLimits,
        kv: KVCacheManager,
        decoding: DecodingSequences,
        queue: RequestQueue,
        wait: BatchWait | None = None,
    ) -> None:
        self.work = StepWork()
        self.output = SchedulerOutput()
        self.waiting = queue
        self.running: dict[Request, None] = {}  # in order of admission
        self.stalls: list[tuple[Request, float]] = []
        self.pending_tokens = self.pending_prompt_tokens = 0
        # Without chunks a preempted request is prefilled again in one step.
        longest_prompt = limits.max_context if limits.chunked_prefill else limits.max_batched_tokens
        self.longest = min(kv.longest, limits.max_context - 1, longest_prompt)
        """Number of tokens of the largest request that could be served alone."""
        self._limits, self._kv, self._decoding, self._wait = limits, kv, decoding, wait
        self._completing = 0  # prompts whose last chunk is in the scheduled step
        self._past_tokens = 0  # in the cache, of the prompts that the scheduled step goes on with
        self._partial: Request | None = None  # runs, and has its prompt partly prefilled
        # decode again in the scheduled step, after a gap
        self._resuming: list[Request] = []

    @property
    def counted(self) -> int:
        """Number of decoding requests that count for the statistics."""
        return self._decoding.counted

    @property
    def kv_tokens(self) -> float:
        """Number of tokens in the cache as the scheduled steps begin; shared ones count once."""
        kv = self._kv
        shared = kv.extra_blocks * kv.block_tokens
        return self._decoding.blocks.tokens + self._past_tokens - shared

    @property
    def tokens_per_step(self) -> int:
        """Number by which each of the scheduled steps lowers `pending_tokens`."""
        return self.work.batch + self.work.prompt_tokens

    def blocks_taken(self) -> int:
        """Return the blocks that are taken or promised between two steps."""
        return self._kv.taken()

    def kv_share(self, steps: int) -> float:
        """Return the share of the KV cache that is taken or promised after so many steps."""
        return 1.0 - self._kv.free_after(steps + 1) / self._kv.capacity

    # Requests come and go

    def expect(self, request: Request) -> None:
        """Take note that a request is on its way here."""
        self.pending_tokens += request.prompt_tokens + request.output_tokens
        self.pending_prompt_tokens += request.prompt_tokens + request.generated

    def enqueue(self, request: Request) -> bool:
        """Add a request that has arrived; return whether it may be admitted in the next step.

        False is certain: behind others, without a batch slot, or while a prompt takes the whole
        budget, nothing can change before the scheduled steps have ended.
        """
        self.waiting.append(request)
        has_slot = self._partial is None and len(self.running) < self._limits.max_sequences
        if self._wait is None:
            return has_slot and (len(self.waiting) == 1 or self.waiting.first is request)
        changes = self._wait.changes_with(request, self._decoding_tokens())
        return has_slot and (changes or self.waiting.first is request)

    def drain(self, now_s: float) -> list[Request]:
        """Take out all requests, those that run first; their KV cache is lost.

        A request that was answered tokens keeps them.
        """
        prefilling = {request for request, _ in self.output.chunks} | {self._partial}
        for request in self.running:
            if request not in prefilling:
                request.generated = self._decoding.generated(request)
                if request not in self._resuming:
                    request.stalled_s = now_s
        lost = list(self.running)
        while self.waiting:
            lost.append(self.waiting.pop_first())
        self.running.clear()
        for request in lost:
            request.prefilled = request.swapped = 0
        return lost

    # Decide on steps

    def schedule(self, now_s: float, max_steps: int) -> SchedulerOutput:
        """Decide on the next step, and on how many steps like it may follow."""
        output, decoding, kv = self.output, self._decoding, self._kv
        if output.chunks:
            self._clear_chunks()
        if output.preempted:
            output.preempted = []
        output.swap_s = 0.0
        blocks, work = decoding.blocks, self.work
        # NOTE: `kv.is_tight`, spelled out here and below: 0.2 us of the 14 us of a request.
        most = blocks.tokens // blocks.block_tokens + blocks.sequences * blocks.slack_blocks
        if blocks.sequences and most + kv.partial_blocks >= kv.capacity + kv.extra_blocks:
            self._preempt_until_all_fit(now_s)
        if self._partial is not None or (
            self.waiting and len(self.running) < self._limits.max_sequences and not output.preempted
        ):
            steps = self._prefill_unless_held(now_s)
        else:
            if self._wait is not None:
                self._wait.stop_holding()
            steps = max_steps if blocks.sequences else 0
        if steps:
            # Nobody was admitted in a step that preempted; the next one tries again.
            if (output.preempted and self.waiting) or output.swap_s:
                steps = 1
            alike = decoding.write(work)
            work.sampled = work.batch + self._completing
            if alike < steps:
                steps = alike
            if max_steps < steps:
                steps = max_steps
            # Only where blocks may run out are they counted.
            if steps > 1 and work.batch:
                grown = blocks.tokens + work.batch * blocks.step_tokens * steps
                most = grown // blocks.block_tokens + work.batch * blocks.slack_blocks
                if most + kv.partial_blocks >= kv.capacity + kv.extra_blocks:
                    steps = kv.steps_within(steps)
        output.steps = steps
        return output

    def _clear_chunks(self) -> None:
        """Let the next step prefill nothing."""
        work = self.work
        self.output.chunks.clear()
        work.prompt_tokens = work.pairs = work.window_pairs = work.pairs_growth = 0
        self._completing = self._past_tokens = 0

    def _preempt_until_all_fit(self, now_s: float) -> None:
        """Preempt requests until every decoding one finds a block for its next token."""
        while self._kv.free_after(1) < 0:
            self._preempt(self.waiting.victim(self.running), now_s, 0)

    def _prefill_unless_held(self, now_s: float) -> int:
        """Prefill, unless new requests are held back; return how many like steps may follow.

        That is 0 where the step would do nothing.
        """
        wait = self._wait
        if wait is not None and self._partial is not None:
            wait.stop_holding()
        elif wait is not None and (steps := wait.steps_to_hold(self._decoding_tokens())):
            return steps
        steps = self._prefill_chunks(now_s)
        if self.output.chunks:
            if wait is not None:
                wait.prefilled()
            return steps
        return steps if self._decoding.blocks.sequences else 0

    def _decoding_tokens(self) -> int:
        """Return the tokens of a step that decoding takes."""
        blocks = self._decoding.blocks
        return blocks.sequences * blocks.step_tokens

    def _prefill_chunks(self, now_s: float) -> int:
        """Fill what decoding leaves of the token budget with prompts.

        Returns how many steps may follow like this one.
        """
        waiting, output, limits = self.waiting, self.output, self._limits
        chunks = output.chunks
        self._kv.begin_step()
        if (partial := self._partial) is not None:
            self._go_on(partial, now_s)
            if self._partial is None:  # it was preempted itself
                return 1
            if self._is_unfinished(*chunks[0]):
                return self._like_chunks(*chunks[0])
        blocks = self._decoding.blocks
        budget = limits.max_batched_tokens - blocks.sequences * blocks.step_tokens
        budget -= self.work.prompt_tokens
        while (
            waiting
            and budget > 0
            and len(self.running) < limits.max_sequences
            and not output.preempted
        ):
            request = waiting.first
            if request.swapped:
                tokens = self._admit_swapped(request)
            else:
                tokens = self._admit(request, budget, now_s)
            if not tokens:
                break
            budget -= tokens
            if request is self._partial and len(chunks) == 1:
                return self._like_chunks(request, tokens)
        return 1 if chunks or not waiting else _MANY

    def _go_on(self, partial: Request, now_s: float) -> None:
        """Prefill more of the request whose prompt is partly prefilled.

        Others are preempted where the blocks for it are not free, and in the end it itself.
        """
        kv = self._kv
        missing = partial.prompt_tokens + partial.generated - partial.prefilled
        chunk = min(missing, self._limits.max_batched_tokens - self._decoding_tokens())
        blocks = kv.blocks_for(partial.prefilled + chunk) - kv.partial_blocks
        while not kv.try_take(blocks, 0):
            victim = self.waiting.victim(self.running)
            self._preempt(victim, now_s, kv.free)
            if victim is partial:
                return
            kv.count_free()
        self._add_chunk(partial, chunk)

    def _admit(self, request: Request, budget: int, now_s: float) -> int:
        """Admit the first waiting request if it may be.

        Returns the number of its tokens in the step, 0 where it has to wait.
        """
        kv, hit = self._kv, NO_HIT
        if kv.caches_prefixes:
            kv.make_exact()
            hit = kv.find(request)
        found, used, fetched, _ = hit
        known, block_tokens = found + fetched, kv.block_tokens
        missing = request.prompt_tokens + request.generated - known * block_tokens
        chunk = missing if missing < budget else budget
        if chunk < missing and not self._limits.chunked_prefill:
            return 0
        blocks = -(-chunk // block_tokens)
        spare = kv.watermark_blocks if self.running else 0
        if self.admits_whole_prompts:
            spare += kv.blocks_for(missing) - blocks
        if not kv.try_take(known - used + blocks, spare):
            return 0
        self._take_first()
        request.prefilled = known * block_tokens
        if kv.caches_prefixes:
            self._use(request, hit)
        if request.admitted_s != request.admitted_s:  # NaN: for the first time
            request.admitted_s = now_s
            request.prefix_hit_tokens = request.prefilled
            request.fetched_tokens = fetched * block_tokens
        self._add_chunk(request, chunk)
        if chunk < missing:
            self._partial = request
        return chunk

    def _use(self, request: Request, hit: PrefixHit) -> None:
        """Let a request that is being admitted begin behind what is known of its text."""
        self.pending_tokens -= request.prefilled
        self.pending_prompt_tokens -= request.prefilled
        self._kv.use(request, hit)
        self.output.swap_s += hit.fetch_s

    def _admit_swapped(self, request: Request) -> int:
        """Let the first waiting request, whose blocks lie on the host, decode on if it may.

        Returns the number of its tokens in the step, 0 where it has to wait.
        """
        kv, step_tokens = self._kv, self._decoding.blocks.step_tokens
        kv.make_exact()
        free, blocks = kv.free, kv.blocks_for(request.prefilled + step_tokens)
        if blocks + (kv.watermark_blocks if self.running else 0) > free:
            return 0
        kv.take_for_decoding(blocks)
        self._take_first()
        kv.restore(request, request.prefilled, free)
        self.output.swap_s += kv.swap.fetch(request.swapped)
        request.swapped = 0
        self._resume(request, request.prefilled)
        return step_tokens

    def _resume(self, request: Request, length: int) -> None:
        """Let a request with `length` tokens in the cache decode after a gap.

        It counts for the statistics of steps from the end of the gap on.
        """
        self._begin_decoding(request, length)
        self._decoding.uncount(request)
        self._resuming.append(request)

    def _take_first(self) -> None:
        """Move the first waiting request to those that run."""
        request = self.waiting.pop_first()
        self.running[request] = None
        if self._wait is not None:
            self._wait.remove(request)

    def _add_chunk(self, request: Request, chunk: int) -> None:
        """Let the step prefill the next `chunk` tokens of a request."""
        work, past = self.work, request.prefilled
        self.output.chunks.append((request, chunk))
        work.prompt_tokens += chunk
        work.pairs += causal_pairs(chunk, past)
        self._past_tokens += past
        if past + chunk == request.prompt_tokens + request.generated:
            self._completing += 1
            # Who follows in the same step may use its blocks: every layer writes before it reads.
            if self._kv.caches_prefixes:
                self._kv.fill(request, past + chunk)
        if window := self._limits.window_tokens:
            work.window_pairs += window_pairs(chunk, past, window)

    def _is_unfinished(self, request: Request, chunk: int) -> bool:
        """Return whether `chunk` more tokens leave a part of a prompt out."""
        return request.prefilled + chunk < request.prompt_tokens + request.generated

    def _like_chunks(self, request: Request, chunk: int) -> int:
        """Return how many chunks of a long prompt may follow each other in like steps.

        The last part is left out. It is one where they would come near the end of the KV cache, or
        while they still fill the window.
        """
        kv = self._kv
        missing = request.prompt_tokens + request.generated - request.prefilled
        steps = (missing - 1) // chunk
        blocks = kv.blocks_for(request.prefilled + chunk * steps) - kv.partial_blocks
        if kv.is_tight(steps, blocks) or request.prefilled < self._limits.window_tokens:
            return 1
        self.work.pairs_growth = chunk * chunk
        return steps

    # Move on

    def advance(self, steps: int, now_s: float) -> list[Request]:
        """Move on by `steps` of the scheduled steps; return the requests that finished."""
        decoding, chunks = self._decoding, self.output.chunks
        finished: list[Request] = []
        if self.stalls:
            self.stalls = []
        if self._wait is not None:
            self._wait.advance(steps)
        self.pending_tokens -= decoding.blocks.sequences * steps
        kv, due = self._kv, decoding.advance(steps)
        if kv.caches_prefixes and (chunks or due is not None):
            kv.forget_taken(request.prefilled + chunk * steps for request, chunk in chunks)
        if due:
            for request in due:
                stored = request.prompt_tokens + request.output_tokens - 1
                blocks = decoding.leave(request, stored)
                if kv.caches_prefixes:
                    kv.give_back(request, stored, blocks, again=False)
                del self.running[request]
                request.finish_s = now_s
            finished += due
        if chunks:
            for request, chunk in chunks:
                self._prefilled(request, chunk * steps, now_s, finished)
            decoding.count_tokens()
        if self._resuming:
            for request in self._resuming:
                self.stalls.append((request, now_s - request.stalled_s))
                decoding.count(request)
            self._resuming = []
        return finished

    def _prefilled(
        self, request: Request, tokens: int, now_s: float, finished: list[Request]
    ) -> None:
        """Take note that `tokens` more of a prompt were prefilled.

        With the last of them comes a token, the first of the answer or the next.
        """
        request.prefilled += tokens
        self.pending_tokens -= tokens
        self.pending_prompt_tokens -= tokens
        length = request.prompt_tokens + request.generated
        if request.prefilled < length:
            self._kv.hold_partial(request.prefilled)
            return
        if request is self._partial:
            self._partial = None
            self._kv.drop_partial()
        if request.generated == 0:
            request.first_token_s = now_s
        else:
            self.stalls.append((request, now_s - request.stalled_s))
        request.generated += 1
        self.pending_tokens -= 1
        if request.generated == request.output_tokens:
            self._kv.give_back(request, length, self._kv.blocks_for(length), again=False)
            del self.running[request]
            request.finish_s = now_s
            finished.append(request)
        else:
            self._begin_decoding(request, length)

    def _begin_decoding(self, request: Request, length: int) -> None:
        """Let a request with `length` tokens in the cache decode from the next step on."""
        # Of a request that decodes, the steps that it has left are pending.
        self.pending_tokens += self._decoding.join(request, length)

    def _preempt(self, request: Request, now_s: float, free: int) -> None:
        """Take a running request's blocks; it waits again, and keeps its answer so far.

        free: number of blocks that were free when another was needed.
        """
        del self.running[request]
        request.preemptions += 1
        self._kv.forget_until(free)
        if request is self._partial:
            self._partial = None
            self._preempt_partial(request)
        else:
            self._preempt_decoding(request, now_s)
        if not request.swapped:
            request.prefilled = 0
        self.waiting.put_back(request)
        if self._wait is not None:
            self._wait.add(request)
        self.output.preempted.append(request)

    def _preempt_partial(self, request: Request) -> None:
        """Take the blocks of the request whose prompt is partly prefilled."""
        kv, tokens = self._kv, request.prefilled
        kv.drop_partial()
        self.pending_tokens += tokens
        self.pending_prompt_tokens += tokens
        kv.give_back(request, tokens, kv.blocks_for(tokens), again=True)

    def _preempt_decoding(self, request: Request, now_s: float) -> None:
        """Take the blocks of a decoding request: to the host if it has space, else for good."""
        decoding, kv = self._decoding, self._kv
        request.generated = decoding.generated(request)
        request.stalled_s = now_s
        self.pending_tokens += request.output_tokens - request.generated
        self.pending_tokens -= decoding.steps_left(request)
        decoding.stop(request)
        stored = request.prompt_tokens + request.generated - 1  # the last token is not cached yet
        kv.give_back(request, stored, decoding.leave(request, stored), again=True)
        blocks = kv.blocks_for(stored)
        if kv.swap.has_space(blocks):
            request.swapped, request.prefilled = blocks, stored
            self.output.swap_s += kv.swap.store(blocks)
        else:
            self.pending_tokens += request.prompt_tokens + request.generated
            self.pending_prompt_tokens += request.prompt_tokens + request.generated
