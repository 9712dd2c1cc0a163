"""Continuous batching with chunked prefill, as vLLM V1 schedules.

Before each step: running requests come first, one token each for those that decode, as much of its
prompt as the token budget leaves for the one that is being prefilled; where KV room runs out the
request that was admitted last, or the least urgent one, is preempted and recomputed later; then
waiting requests are admitted in order while budget, places and room last, and none in a step that
preempted. (vLLM, vllm/v1/core/sched/scheduler.py.)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Annotated, Literal

from pydantic import Field

from cluster_sim.physics.step_work import StepWork
from cluster_sim.physics.transformer import causal_pairs, window_pairs
from cluster_sim.request import Request
from cluster_sim.schema import Description
from cluster_sim.serving.kv_cache.allocator import GrowingRoom, KvRoom
from cluster_sim.serving.kv_cache.offload import Level, Store
from cluster_sim.serving.kv_cache.prefix_cache import PrefixCache
from cluster_sim.serving.scheduler.priority import ByPriority, Victims


class Continuous(Description):
    """Requests join and leave between any two steps."""

    policy: Literal["continuous"] = "continuous"
    max_sequences: Annotated[int, Field(gt=0)] | None = None
    """Requests in the batch at once; default: the engine's."""
    max_batched_tokens: Annotated[int, Field(gt=0)] | None = None
    """Tokens of one step, decoding and prompts together; default: the engine's."""
    chunked_prefill: bool | None = None
    """Whether a prompt may be spread over steps; default: the engine's."""
    order: Literal["fcfs", "priority"] = "fcfs"
    """Who is admitted first: who came first, or the most urgent; and who is preempted first: who
    came last, or the least urgent."""
    batch_wait_timeout_iterations: Annotated[int, Field(ge=0)] | None = None
    """Steps at most for which new requests are held back while others decode, for more to come, as
    TensorRT-LLM does; default: the engine's."""
    batch_wait_max_tokens_ratio: Annotated[float, Field(ge=0.0, le=1.0)] | None = None
    """Share of max_batched_tokens that a step must have for them not to be held back; default: the
    engine's."""


class ContinuousBatch:
    """The requests of one replica, and what its next step works on.

    `schedule` decides, the caller finds out how long that lasts, `advance` moves on by as many
    steps as were run. Between the two, `work` holds the counts of the first of those steps. Nothing
    here costs time that grows with the batch.
    """

    __slots__ = (
        "_ahead",
        "_block_tokens",
        "_blocks",
        "_chunked",
        "_chunks",
        "_completing",
        "_filling",
        "_finishing",
        "_held",
        "_holding",
        "_max_sequences",
        "_max_tokens",
        "_partial",
        "_past",
        "_prefix",
        "_returned",
        "_room",
        "_slack",
        "_swap_block_s",
        "_swap_blocks",
        "_tickets",
        "_victims",
        "_wait_steps",
        "_wait_tokens",
        "_waited",
        "_waiting_tokens",
        "_window",
        "cached",
        "clock",
        "counted",
        "drafts",
        "longest",
        "pending_prompt",
        "pending_tokens",
        "preempted",
        "running",
        "stalls",
        "swap_s",
        "waiting",
        "work",
    )  # fmt: skip

    whole_prompts = False
    """Whether a prompt is admitted only where there is room for all of it, not just for its first
    chunk."""

    def __init__(
        self,
        kv_tokens: int,
        block_tokens: int,
        max_sequences: int,
        max_batched_tokens: int,
        chunked_prefill: bool,
        max_context: int,
        window: int = 0,
        prefix_caching: bool = False,
        drafts: int = 0,
        room: KvRoom | GrowingRoom | None = None,
        policy: Continuous | None = None,
        watermark: float = 0.0,
        swap_blocks: int = 0,
        swap_block_s: float = 0.0,
        offload: tuple[Level, ...] = (),
    ) -> None:
        by_priority = policy is not None and policy.order == "priority"
        self.waiting: deque[Request] | ByPriority = ByPriority() if by_priority else deque()
        self.running: dict[
            Request, None
        ] = {}  # in order of admission; the last is the first to be preempted
        self.work = StepWork()
        self.counted = 0  # of `work.batch`, those that count for the statistics
        self.cached: float = 0  # tokens in the cache of decoding requests
        self.drafts = drafts  # tokens that each of them has in a step beside its next one
        self.clock = 0  # steps so far
        self.pending_tokens = (
            0  # prompt tokens not yet read and output tokens not yet written, of all that are here
        )
        self.pending_prompt = 0  # of them, tokens to be read
        self.stalls: list[
            tuple[Request, float]
        ] = []  # gaps between tokens that a preemption tore, of the last `advance`
        self.preempted: list[Request] = []  # by the last `schedule`
        self._room = room or KvRoom(kv_tokens, block_tokens)
        # A block that several requests share is counted for each of them; `_blocks` is so many more
        # than there are.
        self._blocks, self._block_tokens = self._room.blocks, block_tokens
        self._prefix = (
            PrefixCache(self._blocks, block_tokens, Store(offload) if offload else None)
            if prefix_caching
            else None
        )
        self._max_sequences, self._max_tokens, self._chunked = (
            max_sequences,
            max_batched_tokens,
            chunked_prefill,
        )
        self._window = window
        # Blocks that a decoding request may need in a step beyond its whole ones, and that must be
        # free beyond a new one's prompt.
        self._ahead = -(-self._room.ahead // block_tokens) + int(watermark * self._blocks)
        self._slack = 1 if not self._room.ahead else 3 + (drafts + self._room.ahead) // block_tokens
        # The largest footprint that could be served alone. Without chunks a preempted request is
        # read again in one step.
        most = self._blocks * block_tokens - (
            self._room.ahead + block_tokens if self._room.ahead else 0
        )
        self.longest = min(
            most, max_context - 1, self._max_tokens if not chunked_prefill else max_context
        )
        self._finishing: list[
            tuple[int, int, Request]
        ] = []  # heap by step clock; an entry whose ticket is old is void
        self._filling: list[
            tuple[int, int, Request]
        ] = []  # the same for sequences that have yet to fill the window
        self._chunks: list[tuple[Request, int]] = []  # prompt tokens of this step
        self._completing = 0  # of them, those that are the last of their prompt
        self._past = 0  # tokens in the cache of the requests whose prompts these are
        self._swap_blocks, self._swap_block_s = (
            swap_blocks,
            swap_block_s,
        )  # free ones of the host, and what moving one takes
        self._returned: list[
            Request
        ] = []  # who came back from the host and decodes again in the scheduled step
        # for which the scheduled step, one alone, waits for blocks on their way to the host and
        # back, or from tiers
        self.swap_s = 0.0
        self._victims = Victims() if by_priority else None
        # New requests are held back for `_wait_steps` steps at most while fewer than `_wait_tokens`
        # tokens would be in a step.
        self._wait_steps = (policy.batch_wait_timeout_iterations or 0) if policy else 0
        self._wait_tokens = (
            (policy.batch_wait_max_tokens_ratio or 0.0) * max_batched_tokens if policy else 0.0
        )
        self._waited = 0  # steps for which they were
        self._holding = False  # in the steps that were scheduled
        self._waiting_tokens = (
            0  # to be read, of all that wait; counted only where requests may be held back
        )
        self._partial: Request | None = None  # the running request whose prompt is not read yet
        self._held = 0  # its blocks
        self._tickets = 0

    @property
    def done_a_step(self) -> int:
        """By how much each of the scheduled steps lowers `pending_tokens`."""
        return self.work.batch + self.work.prompt_tokens

    @property
    def kv_tokens(self) -> float:
        """Tokens in the cache as the scheduled steps begin, blocks left out; what requests share
        counts once.
        """
        return self.cached + self._past - (self._blocks - self._room.blocks) * self._block_tokens

    def blocks_taken(self) -> int:
        """Blocks in use between two steps; with what is free they make up the room."""
        return self._room.taken(self.clock) + self._held - (self._blocks - self._room.blocks)

    def enqueue(self, request: Request) -> bool:
        """Put a request at the end of the queue. True where it may be admitted at the next step
        boundary.

        False is certain: behind others, without a place, or while a prompt takes the whole budget,
        nothing can change before the steps that were scheduled have ended.
        """
        waiting = self.waiting
        waiting.append(request)
        free = self._partial is None and len(self.running) < self._max_sequences
        if self._wait_steps:
            held = self._is_held(self._waiting_tokens)
            self._waiting_tokens += request.prompt_tokens + request.generated
            return free and (waiting[0] is request or held != self._is_held(self._waiting_tokens))
        return waiting[0] is request and free

    def schedule(self, now_s: float, at_most: int) -> int:
        """Decide on the next step; how many steps of this composition may follow, `at_most` of
        them. 0 where there is no work.
        """
        work = self.work
        if self._chunks:
            self._chunks.clear()
            work.prompt_tokens = work.pairs = work.window_pairs = work.pairs_growth = 0
            self._completing = self._past = 0
        if self.preempted:
            self.preempted = []
        if self.swap_s:
            self.swap_s = 0.0
        batch = work.batch
        # A step needs no more than cached/block + batch (+1 for rounding) blocks for decoding: far
        # from the limit, no counting.
        if (
            batch
            and self.cached // self._block_tokens + batch * self._slack + self._held >= self._blocks
        ):
            self._preempt_until_it_fits(now_s)
            batch = work.batch
        if self._partial is not None or (
            self.waiting and len(self.running) < self._max_sequences and not self.preempted
        ):
            self._holding = self._wait_steps > 0 and self._holds_back()
            steps = self._wait_steps - self._waited if self._holding else self._read_prompts(now_s)
            if self._chunks:
                self._waited = 0
            batch = work.batch
            if not batch and not self._chunks:
                return 0
        elif batch:
            steps, self._holding = at_most, False
        else:
            return 0
        if (self.preempted and self.waiting) or self.swap_s:
            steps = 1  # none was admitted in this step; the next one tries again
        work.context = self.cached + batch * (1 + self.drafts)
        work.growth = self._growth()
        work.sampled = batch + self._completing
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
            if steps > 1 and self._most_blocks(steps) + self._held >= self._blocks:
                steps = self._steps_with_room(steps)
            return steps
        return min(steps, at_most)

    def advance(self, steps: int, now_s: float) -> list[Request]:
        """Move on by `steps` of the scheduled steps, which end at `now_s`. Returns the requests
        that finished.
        """
        work = self.work
        batch = work.batch
        if self._holding:
            self._waited += steps
        clock = self.clock = self.clock + steps
        self.cached += batch * steps
        self.pending_tokens -= batch * steps
        finished: list[Request] = []
        if self._window:
            self._fill_windows(steps)
        finishing = self._finishing
        if self._prefix is not None and (self._chunks or (finishing and finishing[0][0] <= clock)):
            prompts = sum(
                self._room.blocks_for(request.prefilled + chunk * steps)
                for request, chunk in self._chunks
            )
            self._prefix.take_until(self._blocks - self._room.taken(clock) - prompts)
        while finishing and finishing[0][0] <= clock:
            _, ticket, request = heappop(finishing)
            if request.ticket == ticket:
                self._leave(request, again=False)
                del self.running[request]
                request.finish_s = now_s
                finished.append(request)
        if self._chunks:
            if self.stalls:
                self.stalls = []
            for request, chunk in self._chunks:
                self._prefill(request, chunk * steps, now_s, finished)
        if self._returned:
            self.stalls += [(request, now_s - request.stalled_s) for request in self._returned]
            self.counted += sum(request.counted for request in self._returned)
            self._returned = []
        return finished

    def drain(self, now_s: float) -> list[Request]:
        """Everything that is here, its KV lost, those that run first; who was answered tokens takes
        them along. Nothing is scheduled here any more.
        """
        reading = {request for request, _ in self._chunks} | {self._partial}
        for request in self.running:
            if request not in reading:
                request.generated = self._generated(request)
                if request not in self._returned:
                    request.stalled_s = now_s
        lost = list(self.running)
        while self.waiting:
            lost.append(self.waiting.popleft())
        self.running.clear()
        for request in lost:
            request.prefilled = request.swapped = 0
        return lost

    def _prefill(
        self, request: Request, tokens: int, now_s: float, finished: list[Request]
    ) -> None:
        """`tokens` more of a prompt were read; with the last of them comes a token, the first of
        the answer or the next.
        """
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
            if self._prefix is not None:
                self._give_back(request, length, self._room.blocks_for(length), again=False)
            del self.running[request]
            request.finish_s = now_s
            finished.append(request)
            return
        self._join(request, length)

    def _join(self, request: Request, length: int) -> None:
        """A request with `length` tokens in the cache begins to decode."""
        ticket = self._tickets = self._tickets + 1
        request.ticket, request.offset, request.rate = ticket, length - self.clock, 1
        request.finish_clock = self.clock + request.output_tokens - request.generated
        heappush(self._finishing, (request.finish_clock, ticket, request))
        self.work.batch += 1
        self.cached += length
        if request.counted:
            self.counted += 1
        self._room.join(request.offset, 1)
        if self._window:
            self.work.windowed += min(length + 1, self._window)
            if length + 1 < self._window:
                self.work.growing += 1
                heappush(self._filling, (self._window - 1 - request.offset, ticket, request))

    def _leave(self, request: Request, again: bool) -> None:
        """A decoding request gives its place in the batch and its blocks back."""
        length = request.offset + self.clock
        request.ticket = -1
        self.work.batch -= 1
        self.cached -= length
        if request.counted:
            self.counted -= 1
        self._room.leave(request.offset, 1)
        if self._prefix is not None:
            self._give_back(request, length, self._room.blocks_for(length), again)
        if self._window:
            self.work.windowed -= min(length + 1, self._window)
            if length + 1 < self._window:
                self.work.growing -= 1

    def _give_back(self, request: Request, tokens: int, blocks: int, again: bool) -> None:
        """The blocks of a request's `tokens` join the free ones, whole ones to be found again, but
        for those that others use.
        """
        assert self._prefix is not None
        self._prefix.hold(request, tokens // self._block_tokens, computed=True)
        self._blocks -= blocks - self._prefix.release(request, blocks, again)

    def _read_prompts(self, now_s: float) -> int:
        """Fill what decoding leaves of the token budget with prompts; how many steps may follow
        like this one.
        """
        waiting, block, prefix = self.waiting, self._block_tokens, self._prefix
        budget = self._max_tokens - self.work.batch * (1 + self.drafts)
        # Blocks that are surely free in this step; counted exactly, once, where that is not enough.
        free, counted, taken = (
            self._blocks
            - int(self.cached // block + self.work.batch * self._slack + 1 + self._held),
            False,
            0,
        )
        partial = self._partial
        if partial is not None:
            missing = partial.prompt_tokens + partial.generated - partial.prefilled
            chunk = missing if missing < budget else budget
            blocks = self._room.blocks_for(partial.prefilled + chunk) - self._held
            if blocks > free:
                free, counted = self._free_blocks(), True
                while blocks > free:
                    victim = self._victim()
                    self._preempt(victim, now_s, free)
                    if victim is partial:
                        return 1
                    free = self._free_blocks()
                budget = self._max_tokens - self.work.batch * (1 + self.drafts)
            free, taken = free - blocks, blocks
            self._add_chunk(partial, chunk)
            budget -= chunk
            if missing > chunk:
                return self._like_chunks(partial, chunk, missing)
        while (
            waiting
            and budget > 0
            and len(self.running) < self._max_sequences
            and not self.preempted
        ):
            request = waiting[0]
            if request.swapped:
                if not counted:
                    free, counted = self._free_blocks() - taken, True
                blocks = self._room.blocks_for(request.prefilled + 1 + self.drafts)
                if blocks + (self._ahead if self.running else 0) > free:
                    break
                free, budget = free - blocks, budget - 1 - self.drafts
                self._bring_back(request, free + blocks)
                continue
            missing, found, used, fetched, fetch_s = (
                request.prompt_tokens + request.generated,
                0,
                0,
                0,
                0.0,
            )
            if prefix is not None:
                if not counted:
                    free, counted = self._free_blocks() - taken, True
                prefix.take_until(free)
                found, used = prefix.find(request)
                fetched, fetch_s = prefix.find_stored(request, found)
                missing -= (found + fetched) * block
            chunk = missing if missing <= budget else budget
            if chunk < missing and not self._chunked:
                break
            blocks, ahead = (
                found + fetched - used - (-chunk // block),
                self._ahead if self.running else 0,
            )
            if self.whole_prompts:
                ahead -= -missing // block - -chunk // block
            if blocks + ahead > free:
                if not counted:
                    free, counted = self._free_blocks() - taken, True
                if blocks + ahead > free:
                    break
            free, taken = free - blocks, taken + blocks
            self._take_first()
            request.prefilled = (found + fetched) * block
            if prefix is not None:
                self._blocks += used
                self.pending_tokens -= request.prefilled
                self.pending_prompt -= request.prefilled
                request.holds = []
                prefix.hold(request, found, computed=False)
                if fetched:
                    prefix.fetch(request, found + fetched)
                    self.swap_s += fetch_s
            if request.admitted_s != request.admitted_s:  # NaN: for the first time
                request.admitted_s = now_s
                request.prefix_hit_tokens, request.fetched_tokens = (
                    request.prefilled,
                    fetched * block,
                )
            self._add_chunk(request, chunk)
            budget -= chunk
            if chunk < missing:
                self._partial = request
                if len(self._chunks) == 1:
                    return self._like_chunks(request, chunk, missing)
        return 1 if self._chunks or not waiting else _MANY

    def _take_first(self) -> None:
        """The first of those that wait runs."""
        request = self.waiting.popleft()
        self.running[request] = None
        if self._victims is not None:
            self._victims.add(request)
        if self._wait_steps:
            self._waiting_tokens -= request.prompt_tokens + request.generated

    def _bring_back(self, request: Request, free: int) -> None:
        """The first of those that wait has its blocks fetched from the host, and goes on in the
        scheduled step.

        free: blocks before that.
        """
        self._take_first()
        if self._prefix is not None:
            self._prefix.take_until(free)
            request.holds = []
            self._prefix.hold(request, request.prefilled // self._block_tokens, computed=True)
        self.swap_s += request.swapped * self._swap_block_s
        self._swap_blocks += request.swapped
        request.swapped = 0
        self._join(request, request.prefilled)
        self.counted -= (
            request.counted
        )  # its next gap is a longer one, and is added when it has ended
        self._returned.append(request)

    def _free_blocks(self) -> int:
        """Blocks that are free in the step being scheduled, counted."""
        return self._blocks - self._room.taken(self.clock + 1) - self._held

    @property
    def chunks(self) -> Sequence[tuple[Request, int]]:
        """Of which requests the scheduled step reads prompts, and how many tokens of each."""
        return self._chunks

    def _add_chunk(self, request: Request, chunk: int) -> None:
        work, past = self.work, request.prefilled
        self._chunks.append((request, chunk))
        work.prompt_tokens += chunk
        self._past += past
        work.pairs += causal_pairs(chunk, past)
        if past + chunk == request.prompt_tokens + request.generated:
            self._completing += 1
            if (
                self._prefix is not None
            ):  # who follows in the same step may use them: every layer writes before it reads
                self._prefix.hold(request, (past + chunk) // self._block_tokens, computed=True)
        if self._window:
            work.window_pairs += window_pairs(chunk, past, self._window)

    def _like_chunks(self, request: Request, chunk: int, missing: int) -> int:
        """How many whole chunks of a long prompt may be read step by step in the same way, the last
        part left out.

        One where they would come near the end of KV room, or while they still fill the window.
        """
        steps = (missing - 1) // chunk
        if (
            self._most_blocks(steps) + self._room.blocks_for(request.prefilled + chunk * steps)
            >= self._blocks
            or request.prefilled < self._window
        ):
            return 1
        self.work.pairs_growth = chunk * chunk
        return steps

    def _most_blocks(self, steps: int) -> float:
        """No fewer than decoding requests need in `steps` steps, rounding left out."""
        return (
            self.cached + self.work.batch * (1 + self.drafts) * steps
        ) // self._block_tokens + self.work.batch * self._slack

    def _preempt_until_it_fits(self, now_s: float) -> None:
        """Take away what was admitted last until every decoding request finds a block for its next
        token.
        """
        while self._room.taken(self.clock + 1) + self._held > self._blocks:
            self._preempt(self._victim(), now_s, 0)

    def _victim(self) -> Request:
        """Who is preempted next."""
        return (
            next(reversed(self.running))
            if self._victims is None
            else self._victims.first(self.running)
        )

    def _is_held(self, waiting_tokens: int) -> bool:
        """Whether a step with these tokens of new requests, beside those that decode, would be too
        small.
        """
        return (
            self.work.batch > 0
            and self.work.batch * (1 + self.drafts) + waiting_tokens < self._wait_tokens
        )

    def _holds_back(self) -> bool:
        """Whether new requests are held back in this step, for more to come."""
        return (
            self._waited < self._wait_steps
            and self._partial is None
            and self._is_held(self._waiting_tokens)
        )

    def _preempt(self, request: Request, now_s: float, free: int) -> None:
        """Give up a running request's KV; it goes to the front of the queue and is read again, its
        answer so far included.

        One that decodes is brought to the host instead, where that has room for it, and back when
        there is room here: both make the step that follows wait, as in vLLM V0
        (vllm/core/scheduler.py, vllm/worker/worker.py).

        free: blocks that were free when another was wanted.
        """
        del self.running[request]
        request.preemptions += 1
        if self._prefix is not None:
            self._prefix.take_until(free)
        if request is self._partial:
            self._partial, self._held = None, 0
            self.pending_tokens += request.prefilled
            self.pending_prompt += request.prefilled
            if self._prefix is not None:
                self._give_back(
                    request, request.prefilled, self._room.blocks_for(request.prefilled), again=True
                )
        else:
            request.generated = self._generated(request)
            request.stalled_s = now_s
            self._leave(request, again=True)
            stored = request.prompt_tokens + request.generated - 1
            if (blocks := self._room.blocks_for(stored)) <= self._swap_blocks:
                request.swapped, request.prefilled = blocks, stored
                self._swap_blocks -= blocks
                self.swap_s += blocks * self._swap_block_s
            else:
                self.pending_tokens += request.prompt_tokens + request.generated
                self.pending_prompt += request.prompt_tokens + request.generated
        if not request.swapped:
            request.prefilled = 0
        self.waiting.appendleft(request)
        if self._wait_steps:
            self._waiting_tokens += request.prompt_tokens + request.generated
        self.preempted.append(request)

    def _generated(self, request: Request) -> int:
        """Tokens that a decoding request has been answered."""
        return request.output_tokens - (request.finish_clock - self.clock)

    def _steps_with_room(self, steps: int) -> int:
        """The most of `steps` decode steps that KV room allows; one always, that much was made sure
        of.
        """
        free = self._blocks - self._held
        least, most = 1, steps
        while least < most:
            middle = (least + most + 1) // 2
            if self._room.taken(self.clock + middle) <= free:
                least = middle
            else:
                most = middle - 1
        return least

    def _growth(self) -> float:
        """Return the tokens that a step adds to the cache of decoding requests."""
        return self.work.batch

    def _until_window_is_full(self) -> int:
        while self._filling and self._filling[0][2].ticket != self._filling[0][1]:
            heappop(self._filling)
        return self._filling[0][0] - self.clock if self._filling else _MANY

    def _fill_windows(self, steps: int) -> None:
        self.work.windowed += self.work.growing * steps
        while self._filling and self._filling[0][0] <= self.clock:
            _, ticket, request = heappop(self._filling)
            if request.ticket == ticket:
                self.work.growing -= 1


_MANY = 1 << 62
