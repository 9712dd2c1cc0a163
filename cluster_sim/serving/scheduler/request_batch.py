"""RequestBatch: requests of one replica, which join and leave its batch between steps.

The class executes the decisions of a scheduler: requests are admitted, are prefilled, decode and
finish. InterruptibleBatch adds preemption, cancellation and loss, and schedulers the decisions.
"""

from __future__ import annotations

from cluster_sim.physics.limited_view import causal_pairs
from cluster_sim.physics.step_work import StepWork
from cluster_sim.request import Request
from cluster_sim.serving.frequency import Remaining
from cluster_sim.serving.kv_cache.manager import KVCacheManager
from cluster_sim.serving.scheduler.admission_rules import NO_RULES, AdmissionRules
from cluster_sim.serving.scheduler.batch_wait import InDecode
from cluster_sim.serving.scheduler.decoding import DecodingSequences
from cluster_sim.serving.scheduler.limits import SchedulerLimits
from cluster_sim.serving.scheduler.output import SchedulerOutput
from cluster_sim.serving.scheduler.request_queue import RequestQueue


class RequestBatch:
    """Waiting and running requests of one replica, with their blocks and tokens.

    Parameters
    ----------
    limits
        Limits of the replica's steps.
    kv
        KV cache of the replica.
    decoding
        Decoding requests, initially empty; `kv` counts their blocks.
    queue
        Waiting requests in order of admission, initially empty.
    rules
        Rules that hold waiting requests back.
    """

    __slots__ = (
        "_completing",
        "_decoding",
        "_kv",
        "_limits",
        "_partial",
        "_past_tokens",
        "_reservation",
        "_resuming",
        "_steps_ahead",
        "_takes_whole_prompts",
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
        rules: AdmissionRules = NO_RULES,
    ) -> None:
        self.work = StepWork()
        self.output = SchedulerOutput()
        self.waiting = queue
        self.running: dict[Request, None] = {}  # in order of admission
        self.stalls: list[tuple[Request, float]] = []
        self.pending_tokens = self.pending_prompt_tokens = 0
        # Without chunked prefill, a preempted request is prefilled again in one step.
        longest_prompt = limits.max_context if limits.chunked_prefill else limits.max_batched_tokens
        held = kv.longest(limits.max_batched_tokens)
        self.longest = min(held, limits.max_context - 1, longest_prompt)
        """Number of tokens of the longest request that can be served alone."""
        self._limits, self._kv, self._decoding = limits, kv, decoding
        self._wait, self._reservation = rules
        rule = self._reservation
        self._steps_ahead = 1 if rule is None else rule.steps_ahead
        self._takes_whole_prompts = rule is not None and rule.takes_whole_prompts
        self._completing = 0  # number of prompts whose last chunk is in the scheduled step
        self._past_tokens = 0  # cached tokens of the prompts that the scheduled step continues
        self._partial: Request | None = None  # running request with a partly prefilled prompt
        # requests that decode again in the scheduled step, after a gap
        self._resuming: list[Request] = []

    @property
    def kv_tokens(self) -> float:
        """Number of tokens in the cache when the scheduled steps begin; shared tokens count once.

        If groups of layers share the blocks, it is the KV cache usage times the capacity.
        """
        kv = self._kv
        if kv.token_share:
            return kv.taken() * kv.token_share
        shared = kv.extra_blocks * kv.block_tokens
        return self._decoding.blocks.tokens + self._past_tokens - shared

    @property
    def queued(self) -> int:
        """Number of requests that wait."""
        return len(self.waiting)

    @property
    def decoding(self) -> int:
        """Number of decoding requests."""
        return self._decoding.blocks.sequences

    @property
    def has_drafts(self) -> bool:
        """Whether a step verifies drafts of decoding requests."""
        return self._decoding.blocks.step_tokens > 1

    @property
    def kv_line(self) -> tuple[float, float]:
        """Blocks taken or promised now, and further ones per step, without rounding to blocks.

        Groups of layers and drafts are not supported.
        """
        blocks, kv, size = self._decoding.blocks, self._kv, self._kv.block_tokens
        taken = blocks.tokens / size + kv.partial_blocks - kv.extra_blocks
        return taken, 0.0 if self.prefills_apart else blocks.sequences / size

    @property
    def prefills_apart(self) -> bool:
        """Whether decoding requests hold still in the scheduled steps, which prefill."""
        return False

    @property
    def kv_blocks(self) -> int:
        """Number of blocks of the KV cache; 0 if groups of layers share them."""
        return 0 if self._kv.token_share else self._kv.capacity

    @property
    def has_prompt(self) -> bool:
        """Whether a prompt could be prefilled in the next step: a batch slot is free for it."""
        has_slot = len(self.running) < self._limits.max_sequences
        return self._partial is not None or (bool(self.waiting) and has_slot)

    @property
    def tokens_per_step(self) -> int:
        """Number of tokens by which each scheduled step reduces `pending_tokens`."""
        return self.work.batch + self.work.prompt_tokens

    def blocks_taken(self) -> int:
        """Return the number of blocks taken or promised between two steps."""
        return self._kv.taken()

    def kv_share(self, steps: int) -> float:
        """Return the KV cache usage, promised blocks included, after this number of steps."""
        return 1.0 - self._kv.free_after(steps + 1) / self._kv.capacity

    def remaining(self, steps: int) -> list[Remaining]:
        """Return the rest of the answer of each request that decodes, after scheduled steps.

        Requests must generate one token per step.

        Parameters
        ----------
        steps
            Number of scheduled steps that have ended and that `advance` does not know of yet.
        """
        prefilling = {request for request, _ in self.output.chunks} | {self._partial}
        clock, ended = self._decoding.now, steps if self.work.batch else 0
        return [
            Remaining(request, request.finish_clock - clock - ended, request.offset + clock + ended)
            for request in self.running
            if request not in prefilling
        ]

    # Arrival and departure of requests

    def expect(self, request: Request) -> None:
        """Record that a request is on its way here."""
        self.pending_tokens += request.prompt_tokens + request.output_tokens
        self.pending_prompt_tokens += request.prompt_tokens + request.generated

    def unexpect(self, request: Request) -> None:
        """Undo `expect`: a request that was on its way here will not arrive."""
        self.pending_tokens -= request.prompt_tokens + request.output_tokens
        self.pending_prompt_tokens -= request.prompt_tokens + request.generated

    def enqueue(self, request: Request) -> bool:
        """Add a request that has arrived; return whether it may be admitted in the next step.

        False is certain: nothing can change before the scheduled steps have ended if other requests
        wait, if no batch slot is free, or while a prompt takes the whole token budget.
        """
        self.waiting.append(request)
        has_slot = self._partial is None and len(self.running) < self._limits.max_sequences
        if self._wait is None:
            return has_slot and (len(self.waiting) == 1 or self.waiting.first is request)
        changes = self._wait.changes_with(request, self._in_decode())
        return has_slot and (changes or self.waiting.first is request)

    def _in_decode(self) -> InDecode:
        """Return the counts of a decode step."""
        return InDecode(self._decoding.blocks.sequences, self._decoding_tokens())

    def _decoding_tokens(self) -> int:
        """Return the number of tokens per step of decoding requests."""
        blocks = self._decoding.blocks
        return blocks.sequences * blocks.step_tokens

    # Content of a step

    def _take_first(self) -> None:
        """Move the first waiting request to the running requests."""
        request = self.waiting.pop_first()
        self.running[request] = None
        if self._wait is not None:
            self._wait.remove(request)
        if self._reservation is not None:
            self._reservation.begin(request)

    def _add_chunk(self, request: Request, chunk: int) -> None:
        """Let the step prefill the next `chunk` tokens of a request."""
        work, past = self.work, request.prefilled
        self.output.chunks.append((request, chunk))
        work.prompt_tokens += chunk
        work.pairs += causal_pairs(chunk, past)
        self._past_tokens += past
        if past + chunk == request.prompt_tokens + request.generated:
            self._completing += 1
            if self._kv.caches_prefixes:
                self._fill(request, past + chunk)
        view = self._limits.view
        if view.tokens:
            work.window_pairs += view.pairs(chunk, past)

    def _fill(self, request: Request, tokens: int) -> None:
        """Let later requests of the same step find a prompt: every layer writes before it reads."""
        self._kv.fill(request, tokens)

    def _held_tokens(self, request: Request, prefilled: int) -> int:
        """Return the number of tokens for which a request in prefill holds blocks."""
        return request.known_tokens if self._takes_whole_prompts else prefilled

    def _resume(self, request: Request, length: int) -> None:
        """Let a request with `length` tokens in the cache decode after a gap.

        It is included in the statistics of steps again from the end of the gap on.
        """
        self._begin_decoding(request, length)
        self._decoding.uncount(request)
        self._resuming.append(request)

    # Advance in time

    def advance(self, steps: int, now_s: float) -> list[Request]:
        """Advance by `steps` of the scheduled steps; return the requests that finished."""
        decoding, chunks = self._decoding, self.output.chunks
        if self.stalls:
            self.stalls = []
        if self._wait is not None:
            self._wait.advance(steps)
        self.pending_tokens -= decoding.blocks.sequences * steps
        kv = self._kv
        some_end = kv.hits_may_shrink and kv.forget_before(steps, chunks)
        due = decoding.advance(steps)
        if kv.caches_prefixes and (chunks or some_end or due is not None or kv.reports_blocks):
            kv.forget_taken(
                self._held_tokens(request, request.prefilled + chunk * steps)
                for request, chunk in chunks
            )
        finished = due or []
        if finished:
            for request in finished:
                stored = request.prompt_tokens + request.output_tokens - 1
                blocks = decoding.leave(request, stored)
                if kv.caches_prefixes:
                    kv.give_back(request, stored, blocks, again=False)
                self._finish(request, now_s)
        if chunks:
            for request, chunk in chunks:
                self._prefilled(request, chunk * steps, now_s, finished)
            if decoding.blocks.step_tokens > 1:
                decoding.count_tokens()
        if self._resuming:
            self._end_gaps(now_s)
        return finished

    def _finish(self, request: Request, now_s: float) -> None:
        """Let a request leave with its last token; its blocks are free already."""
        del self.running[request]
        request.finish_s = now_s
        if self._reservation is not None:
            self._reservation.end(request)

    def _end_gaps(self, now_s: float) -> None:
        """Include requests that have decoded one step after a gap, and record the gap."""
        for request in self._resuming:
            self.stalls.append((request, now_s - request.stalled_s))
            self._decoding.count(request)
        self._resuming = []

    def _prefilled(
        self, request: Request, tokens: int, now_s: float, finished: list[Request]
    ) -> None:
        """Record that `tokens` more tokens of a prompt were prefilled.

        The last prompt token gives an output token: the first of the answer, or the next one.
        """
        request.prefilled += tokens
        if self._kv.caches_prefixes:
            self._kv.passed(request, request.prefilled - tokens)
        self.pending_tokens -= tokens
        self.pending_prompt_tokens -= tokens
        length = request.prompt_tokens + request.generated
        if request.prefilled < length:
            self._kv.hold_partial(self._held_tokens(request, request.prefilled))
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
            self._finish(request, now_s)
            finished.append(request)
        else:
            self._begin_decoding(request, length)

    def _begin_decoding(self, request: Request, length: int) -> None:
        """Let a request with `length` tokens in the cache decode from the next step on."""
        # For a decoding request, the remaining steps are pending.
        self.pending_tokens += self._decoding.join(request, length)
