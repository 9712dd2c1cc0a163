"""Continuous batching with chunked prefill, as vLLM V1 schedules.

Before each step: running requests come first, one token each for those that decode, as much of its prompt as the token
budget leaves for the one that is being prefilled; where KV room runs out the request that was admitted last is preempted and
recomputed later; then waiting requests are admitted in order while budget, places and room last, and none in a step that
preempted. (vLLM, vllm/v1/core/sched/scheduler.py.)
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from typing import Annotated, Literal

from pydantic import Field

from cluster_sim.physics.transformer import causal_pairs, windowed_pairs
from cluster_sim.reading import Description
from cluster_sim.request import Request
from cluster_sim.serving.kv_cache import KvRoom


class Continuous(Description):
    """Requests join and leave between any two steps."""

    policy: Literal["continuous"] = "continuous"
    max_sequences: Annotated[int, Field(gt=0)] | None = None
    """Requests in the batch at once; default: the engine's."""
    max_batched_tokens: Annotated[int, Field(gt=0)] | None = None
    """Tokens of one step, decoding and prompts together; default: the engine's."""
    chunked_prefill: bool | None = None
    """Whether a prompt may be spread over steps; default: the engine's."""


class ContinuousBatch:
    """The requests of one replica, and what its next step works on.

    `schedule` decides, the caller finds out how long that lasts, `advance` moves on by as many steps as were run. Between
    the two, the public counts describe the first of those steps (see physics/transformer.py): batch, context, windowed,
    growing, prompt, sampled, pairs, pairs_windowed, pairs_growth. Nothing here costs time that grows with the batch.
    """

    __slots__ = (
        "_block_tokens",
        "_blocks",
        "_chunked",
        "_chunks",
        "_completing",
        "_filling",
        "_finishing",
        "_held",
        "_max_sequences",
        "_max_tokens",
        "_partial",
        "_room",
        "_tickets",
        "_window",
        "batch",
        "cached",
        "clock",
        "context",
        "counted",
        "growing",
        "longest",
        "pairs",
        "pairs_growth",
        "pairs_windowed",
        "pending_prompt",
        "pending_tokens",
        "preempted",
        "prompt",
        "running",
        "sampled",
        "stalls",
        "waiting",
        "windowed",
    )  # fmt: skip

    def __init__(
        self, kv_tokens: int, block_tokens: int, max_sequences: int, max_batched_tokens: int, chunked_prefill: bool, max_context: int, window: int = 0
    ) -> None:
        self.waiting: deque[Request] = deque()
        self.running: dict[Request, None] = {}  # in order of admission; the last is the first to be preempted
        self.batch = self.context = self.windowed = self.growing = 0
        self.prompt = self.sampled = self.pairs = self.pairs_windowed = self.pairs_growth = 0
        self.counted = 0  # of `batch`, those that count for the statistics
        self.cached = 0  # tokens in the cache of decoding requests
        self.clock = 0  # steps so far
        self.pending_tokens = 0  # prompt tokens not yet read and output tokens not yet written, of all that are here
        self.pending_prompt = 0  # of them, tokens to be read
        self.stalls: list[tuple[Request, float]] = []  # gaps between tokens that a preemption tore, of the last `advance`
        self.preempted: list[Request] = []  # by the last `schedule`
        self._room = KvRoom(kv_tokens, block_tokens)
        self._blocks, self._block_tokens = self._room.blocks, block_tokens
        self._max_sequences, self._max_tokens, self._chunked = max_sequences, max_batched_tokens, chunked_prefill
        self._window = window
        # The largest footprint that could be served alone. Without chunks a preempted request is read again in one step.
        self.longest = min(self._blocks * block_tokens, max_context - 1, self._max_tokens if not chunked_prefill else max_context)
        self._finishing: list[tuple[int, int, Request]] = []  # heap by step clock; an entry whose ticket is old is void
        self._filling: list[tuple[int, int, Request]] = []  # the same for sequences that have yet to fill the window
        self._chunks: list[tuple[Request, int]] = []  # prompt tokens of this step
        self._completing = 0  # of them, those that are the last of their prompt
        self._partial: Request | None = None  # the running request whose prompt is not read yet
        self._held = 0  # its blocks
        self._tickets = 0

    @property
    def kv_tokens(self) -> int:
        """Tokens in the cache now, blocks left out."""
        return self.cached + (self._partial.prefilled if self._partial is not None else 0)

    def blocks_taken(self) -> int:
        """Blocks in use now; with what is free they make up the room."""
        return self._room.taken(self.clock) + self._held

    def enqueue(self, request: Request) -> bool:
        """Put a request at the end of the queue. True where it may be admitted at the next step boundary.

        False is certain: behind others, without a place, or while a prompt takes the whole budget, nothing can change before
        the steps that were scheduled have ended.
        """
        self.waiting.append(request)
        return len(self.waiting) == 1 and self._partial is None and len(self.running) < self._max_sequences

    def schedule(self, now_s: float, at_most: int) -> int:
        """Decide on the next step; how many steps of this composition may follow, `at_most` of them. 0 where there is no work."""
        if self._chunks:
            self._chunks.clear()
            self.prompt = self.pairs = self.pairs_windowed = self.pairs_growth = self._completing = 0
        if self.preempted:
            self.preempted = []
        batch = self.batch
        # A step needs no more than cached/block + batch (+1 for rounding) blocks for decoding: far from the limit, no counting.
        if batch and self.cached // self._block_tokens + batch + self._held >= self._blocks:
            self._preempt_until_it_fits(now_s)
            batch = self.batch
        if self._partial is not None or (self.waiting and len(self.running) < self._max_sequences and not self.preempted):
            steps = self._read_prompts(now_s)
            batch = self.batch
            if not batch and not self._chunks:
                return 0
        elif batch:
            steps = at_most
        else:
            return 0
        if self.preempted and self.waiting:
            steps = 1  # none was admitted in this step; the next one tries again
        self.context = self.cached + batch
        self.sampled = batch + self._completing
        if batch:
            until = self._finishing[0][0] - self.clock
            while until <= 0 or self._finishing[0][2].ticket != self._finishing[0][1]:
                heappop(self._finishing)
                until = self._finishing[0][0] - self.clock
            if until < steps:
                steps = until
            if at_most < steps:
                steps = at_most
            if self._window:
                steps = min(steps, self._until_window_is_full())
            # The bound of above for `steps` steps; only where it fails are blocks counted.
            if steps > 1 and (self.cached + batch * steps) // self._block_tokens + batch + self._held >= self._blocks:
                steps = self._steps_with_room(steps)
            return steps
        return min(steps, at_most)

    def advance(self, steps: int, now_s: float) -> list[Request]:
        """Move on by `steps` of the scheduled steps, which end at `now_s`. Returns the requests that finished."""
        batch = self.batch
        clock = self.clock = self.clock + steps
        self.cached += batch * steps
        self.pending_tokens -= batch * steps
        finished: list[Request] = []
        if self._window:
            self._fill_windows(steps)
        finishing = self._finishing
        while finishing and finishing[0][0] <= clock:
            _, ticket, request = heappop(finishing)
            if request.ticket == ticket:
                self._leave(request)
                del self.running[request]
                request.finish_s = now_s
                finished.append(request)
        if self._chunks:
            if self.stalls:
                self.stalls = []
            for request, chunk in self._chunks:
                self._prefill(request, chunk * steps, now_s, finished)
        return finished

    def _prefill(self, request: Request, tokens: int, now_s: float, finished: list[Request]) -> None:
        """`tokens` more of a prompt were read; with the last of them comes a token, the first of the answer or the next."""
        request.prefilled += tokens
        self.pending_tokens -= tokens
        self.pending_prompt -= tokens
        length = request.prompt_tokens + request.generated
        if request.prefilled < length:
            self._held = self._room.blocks_for(request.prefilled)
            return
        if request is self._partial:
            self._partial, self._held = None, 0
        if request.generated == 0:
            request.first_token_s = now_s
        else:
            self.stalls.append((request, now_s - request.stalled_s))
        request.generated += 1
        self.pending_tokens -= 1
        if request.generated == request.output_tokens:
            del self.running[request]
            request.finish_s = now_s
            finished.append(request)
            return
        ticket = self._tickets = self._tickets + 1
        request.ticket, request.offset = ticket, length - self.clock
        request.finish_clock = self.clock + request.output_tokens - request.generated
        heappush(self._finishing, (request.finish_clock, ticket, request))
        self.batch += 1
        self.cached += length
        if request.counted:
            self.counted += 1
        self._room.join(request.offset)
        if self._window:
            self.windowed += min(length + 1, self._window)
            if length + 1 < self._window:
                self.growing += 1
                heappush(self._filling, (self._window - 1 - request.offset, ticket, request))

    def _leave(self, request: Request) -> None:
        """A decoding request gives its place in the batch and its blocks back."""
        length = request.offset + self.clock
        request.ticket = -1
        self.batch -= 1
        self.cached -= length
        if request.counted:
            self.counted -= 1
        self._room.leave(request.offset)
        if self._window:
            self.windowed -= min(length + 1, self._window)
            if length + 1 < self._window:
                self.growing -= 1

    def _read_prompts(self, now_s: float) -> int:
        """Fill what decoding leaves of the token budget with prompts; how many steps may follow like this one."""
        batch, waiting, block = self.batch, self.waiting, self._block_tokens
        budget = self._max_tokens - batch
        # Blocks that are surely free in this step; counted exactly, once, where that is not enough.
        free, counted, taken = self._blocks - (self.cached // block + batch + 1 + self._held), False, 0
        partial = self._partial
        if partial is not None:
            missing = partial.prompt_tokens + partial.generated - partial.prefilled
            chunk = missing if missing < budget else budget
            blocks = self._room.blocks_for(partial.prefilled + chunk) - self._held
            if blocks > free:
                free, counted = self._free_blocks(), True
                if blocks > free:
                    self._preempt(partial, now_s)
                    return 1
            free, taken = free - blocks, blocks
            self._add_chunk(partial, chunk)
            budget -= chunk
            if missing > chunk:
                return self._like_chunks(partial, chunk, missing)
        while waiting and budget > 0 and len(self.running) < self._max_sequences:
            request = waiting[0]
            length = request.prompt_tokens + request.generated
            chunk = length if length <= budget else budget
            if chunk < length and not self._chunked:
                break
            blocks = -(-chunk // block)
            if blocks > free:
                if not counted:
                    free, counted = self._free_blocks() - taken, True
                if blocks > free:
                    break
            free, taken = free - blocks, taken + blocks
            waiting.popleft()
            self.running[request] = None
            request.prefilled = 0
            if request.admitted_s != request.admitted_s:  # NaN: for the first time
                request.admitted_s = now_s
            self._add_chunk(request, chunk)
            budget -= chunk
            if chunk < length:
                self._partial = request
                if len(self._chunks) == 1:
                    return self._like_chunks(request, chunk, length)
        return 1 if self._chunks or not waiting else _MANY

    def _free_blocks(self) -> int:
        """Blocks that are free in the step being scheduled, counted."""
        return self._blocks - self._room.taken(self.clock + 1) - self._held

    def _add_chunk(self, request: Request, chunk: int) -> None:
        self._chunks.append((request, chunk))
        self.prompt += chunk
        past = request.prefilled
        self.pairs += causal_pairs(chunk, past)
        if past + chunk == request.prompt_tokens + request.generated:
            self._completing += 1
        if self._window:
            self.pairs_windowed += windowed_pairs(chunk, past, self._window)

    def _like_chunks(self, request: Request, chunk: int, missing: int) -> int:
        """How many whole chunks of a long prompt may be read step by step in the same way, the last part left out.

        One where they would come near the end of KV room, or while they still fill the window.
        """
        steps = (missing - 1) // chunk
        blocks = (self.cached + self.batch * steps) // self._block_tokens + self.batch
        if blocks + self._room.blocks_for(request.prefilled + chunk * steps) >= self._blocks or request.prefilled < self._window:
            return 1
        self.pairs_growth = chunk * chunk
        return steps

    def _preempt_until_it_fits(self, now_s: float) -> None:
        """Take away what was admitted last until every decoding request finds a block for its next token."""
        while self._room.taken(self.clock + 1) + self._held > self._blocks:
            self._preempt(next(reversed(self.running)), now_s)

    def _preempt(self, request: Request, now_s: float) -> None:
        """Give up a running request's KV; it goes to the front of the queue and is read again, its answer so far included."""
        del self.running[request]
        if request is self._partial:
            self._partial, self._held = None, 0
            self.pending_tokens += request.prefilled
            self.pending_prompt += request.prefilled
        else:
            request.generated = request.output_tokens - (request.finish_clock - self.clock)
            request.stalled_s = now_s
            self._leave(request)
            self.pending_tokens += request.prompt_tokens + request.generated
            self.pending_prompt += request.prompt_tokens + request.generated
        request.prefilled = 0
        request.preemptions += 1
        self.waiting.appendleft(request)
        self.preempted.append(request)

    def _steps_with_room(self, steps: int) -> int:
        """The most of `steps` decode steps that KV room allows; one always, that much was made sure of."""
        free = self._blocks - self._held
        least, most = 1, steps
        while least < most:
            middle = (least + most + 1) // 2
            if self._room.taken(self.clock + middle) <= free:
                least = middle
            else:
                most = middle - 1
        return least

    def _until_window_is_full(self) -> int:
        while self._filling and self._filling[0][2].ticket != self._filling[0][1]:
            heappop(self._filling)
        return self._filling[0][0] - self.clock if self._filling else _MANY

    def _fill_windows(self, steps: int) -> None:
        self.windowed += self.growing * steps
        while self._filling and self._filling[0][0] <= self.clock:
            _, ticket, request = heappop(self._filling)
            if request.ticket == ticket:
                self.growing -= 1


_MANY = 1 << 62
