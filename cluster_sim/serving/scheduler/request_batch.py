"""RequestBatch: the requests of one replica that join and leave its batch between steps.

It carries out what a scheduler decides: requests are admitted, prefilled, decode, finish, are
preempted. Which, and when, is up to a scheduler that extends it.
"""

from __future__ import annotations

from cluster_sim.physics.limited_view import causal_pairs
from cluster_sim.physics.step_work import StepWork
from cluster_sim.request import Request
from cluster_sim.serving.kv_cache.manager import KVCacheManager
from cluster_sim.serving.scheduler.batch_wait import BatchWait
from cluster_sim.serving.scheduler.decoding import DecodingSequences
from cluster_sim.serving.scheduler.limits import SchedulerLimits
from cluster_sim.serving.scheduler.output import SchedulerOutput
from cluster_sim.serving.scheduler.request_queue import RequestQueue


class RequestBatch:
    """Requests that wait and run on one replica, with the blocks and tokens that they take.

    Parameters
    ----------
    limits
        Limits of the replica's steps.
    kv
        KV cache of the replica.
    decoding
        Requests that decode, so far none; `kv` counts their blocks.
    queue
        Requests that wait, so far none, in the order of their admission.
    wait
        Rule by which new requests are held back; None: they are not.
    """

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
        held = kv.longest(limits.max_batched_tokens)
        self.longest = min(held, limits.max_context - 1, longest_prompt)
        """Number of tokens of the largest request that could be served alone."""
        self._limits, self._kv, self._decoding, self._wait = limits, kv, decoding, wait
        self._completing = 0  # prompts whose last chunk is in the scheduled step
        self._past_tokens = 0  # in the cache, of the prompts that the scheduled step goes on with
        self._partial: Request | None = None  # runs, and has its prompt partly prefilled
        # decode again in the scheduled step, after a gap
        self._resuming: list[Request] = []

    @property
    def kv_tokens(self) -> float:
        """Number of tokens in the cache as the scheduled steps begin; shared ones count once.

        Where groups of layers share the blocks, it is the part of the capacity that is taken.
        """
        kv = self._kv
        if kv.token_share:
            return kv.taken() * kv.token_share
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

    def _decoding_tokens(self) -> int:
        """Return the tokens of a step that decoding takes."""
        blocks = self._decoding.blocks
        return blocks.sequences * blocks.step_tokens

    def drain(self, last_token_s: float) -> list[Request]:
        """Take out all requests, those that run first; their KV cache is lost.

        A request that was answered tokens keeps them. All blocks are free then.
        """
        prefilling = {request for request, _ in self.output.chunks} | {self._partial}
        for request in self.running:
            if request not in prefilling:
                request.generated = self._decoding.generated(request)
                if request not in self._resuming:
                    request.stalled_s = last_token_s
        lost = list(self.running)
        while self.waiting:
            lost.append(self.waiting.pop_first())
        self.running.clear()
        for request in lost:
            request.prefilled = request.swapped = 0
        self._kv.clear()
        self.pending_tokens = self.pending_prompt_tokens = 0
        return lost

    # What a step does

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
        view = self._limits.view
        if view.tokens:
            work.window_pairs += view.pairs(chunk, past)

    def _resume(self, request: Request, length: int) -> None:
        """Let a request with `length` tokens in the cache decode after a gap.

        It counts for the statistics of steps from the end of the gap on.
        """
        self._begin_decoding(request, length)
        self._decoding.uncount(request)
        self._resuming.append(request)

    # Move on

    def advance(self, steps: int, now_s: float) -> list[Request]:
        """Move on by `steps` of the scheduled steps; return the requests that finished."""
        decoding, chunks = self._decoding, self.output.chunks
        if self.stalls:
            self.stalls = []
        if self._wait is not None:
            self._wait.advance(steps)
        self.pending_tokens -= decoding.blocks.sequences * steps
        kv = self._kv
        some_end = kv.hits_may_shrink and kv.forget_before(steps, chunks)
        due = decoding.advance(steps)
        if kv.caches_prefixes and (chunks or some_end or due is not None):
            kv.forget_taken(request.prefilled + chunk * steps for request, chunk in chunks)
        finished = due or []
        if finished:
            for request in finished:
                stored = request.prompt_tokens + request.output_tokens - 1
                blocks = decoding.leave(request, stored)
                if kv.caches_prefixes:
                    kv.give_back(request, stored, blocks, again=False)
                del self.running[request]
                request.finish_s = now_s
        if chunks:
            for request, chunk in chunks:
                self._prefilled(request, chunk * steps, now_s, finished)
            if decoding.blocks.step_tokens > 1:
                decoding.count_tokens()
        if self._resuming:
            self._end_gaps(now_s)
        return finished

    def _end_gaps(self, now_s: float) -> None:
        """Count requests that have decoded a step after a gap, and note how long it was."""
        for request in self._resuming:
            self.stalls.append((request, now_s - request.stalled_s))
            self._decoding.count(request)
        self._resuming = []

    def _prefilled(
        self, request: Request, tokens: int, now_s: float, finished: list[Request]
    ) -> None:
        """Take note that `tokens` more of a prompt were prefilled.

        With the last of them comes a token, the first of the answer or the next.
        """
        request.prefilled += tokens
        if self._kv.caches_prefixes:
            self._kv.passed(request, request.prefilled - tokens)
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

    # Make room

    def _preempt(self, request: Request, now_s: float, free: int) -> None:
        """Take a running request's blocks; it waits again, and keeps its answer so far.

        free: number of blocks that were free when another was needed.
        """
        del self.running[request]
        request.preemptions += 1
        self._kv.forget_for_others(free)
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
