"""StaticScheduler: a batch runs until its last request has finished; then the next batch is formed.

Prompts are padded to the longest prompt of the batch and prefilled in one step. A request that has
finished is answered, but its batch slot is still computed and its blocks stay taken until the batch
has ended, as in engines that schedule whole requests (Yu et al., Orca, OSDI 2022, section 2). The
same holds for a request that is cancelled.
"""

from __future__ import annotations

from cluster_sim.physics.limited_view import causal_pairs
from cluster_sim.physics.step_work import StepWork
from cluster_sim.request import Request
from cluster_sim.serving.kv_cache.spec import KVCacheSpec
from cluster_sim.serving.scheduler.limits import SchedulerLimits
from cluster_sim.serving.scheduler.output import SchedulerOutput
from cluster_sim.serving.scheduler.queue_orders.first_come import FirstComeQueue


class StaticScheduler:
    """Requests of one replica, served batch by batch.

    Counts include padding, except `work.counted`: requests that have finished get no tokens.
    """

    __slots__ = (
        "_blocks",
        "_clock",
        "_kv_cache",
        "_left",
        "_length",
        "_limits",
        "_prompt_tokens",
        "longest",
        "output",
        "pending_prompt_tokens",
        "pending_tokens",
        "running",
        "stalls",
        "waiting",
        "work",
    )

    def __init__(self, limits: SchedulerLimits, kv_cache: KVCacheSpec) -> None:
        self.work = StepWork()
        self.output = SchedulerOutput()
        self.waiting = FirstComeQueue()
        self.running: dict[Request, None] = {}  # requests of the batch that have not finished
        self.stalls: list[tuple[Request, float]] = []
        self.pending_tokens = self.pending_prompt_tokens = 0
        self._limits, self._kv_cache = limits, kv_cache
        self._blocks = kv_cache.blocks
        held = kv_cache.longest(limits.max_context)
        self.longest = min(held, limits.max_context - 1)
        """Number of tokens of the longest request that can be served."""
        self._clock = 0  # number of steps so far
        self._prompt_tokens = 0  # length to which each prompt of the batch is padded
        self._length = 0  # cached tokens per sequence
        # requests of the batch that have not finished; the first to finish is at the end
        self._left: list[Request] = []

    @property
    def queued(self) -> int:
        """Number of requests that wait."""
        return len(self.waiting)

    @property
    def kv_tokens(self) -> float:
        """Number of tokens in the cache when the scheduled steps begin, padding included."""
        if self._kv_cache.groups:
            return self.blocks_taken() * self._kv_cache.kv_tokens / self._kv_cache.pages
        return self.work.batch * self._length

    @property
    def tokens_per_step(self) -> int:
        """Number of tokens by which each of several scheduled steps reduces `pending_tokens`."""
        return len(self._left)

    def blocks_taken(self) -> int:
        """Return the number of blocks taken between two steps."""
        return self.work.batch * self._kv_cache.blocks_during(self._length, 0)

    def kv_share(self, steps: int) -> float:
        """Return the KV cache usage after this number of steps."""
        held = self._kv_cache.blocks_during(self._length + steps, 1)
        return self.work.batch * held / self._blocks

    def expect(self, request: Request) -> None:
        """Record that a request is on its way here."""
        self.pending_tokens += request.prompt_tokens + request.output_tokens
        self.pending_prompt_tokens += request.prompt_tokens + request.generated

    def enqueue(self, request: Request) -> bool:
        """Add a request that has arrived; return whether it may be admitted in the next step."""
        self.waiting.append(request)
        return not self._left

    def unexpect(self, request: Request) -> None:
        """Undo `expect`: a request that was on its way here will not arrive."""
        self.pending_tokens -= request.prompt_tokens + request.output_tokens
        self.pending_prompt_tokens -= request.prompt_tokens + request.generated

    def cancel(self, request: Request) -> bool:
        """Remove a request without its remaining tokens; return whether it was here.

        A running request keeps its batch slot and its blocks until the batch has ended, like one
        that has finished. The batch ends with the last request that still wants tokens.
        """
        if request in self.running:
            del self.running[request]
            self._left.remove(request)
            self.pending_tokens -= self._steps_left(request)
            request.generated += self._clock - request.offset
            self.work.counted -= request.counted
            if not self._left:
                self.work.batch = self._length = 0
        elif self.waiting.discard(request):
            self.unexpect(request)
        else:
            return False
        return True

    def schedule(self, now_s: float, max_steps: int) -> SchedulerOutput:
        """Decide on the next step, and on the number of equal steps that may follow."""
        self.output.chunks.clear()
        if self._left:
            self.output.steps = min(self._steps_alike(), max_steps)
        elif self.waiting:
            self._form(now_s)
            self.output.steps = 1
        else:
            self.output.steps = 0
        return self.output

    def advance(self, steps: int, now_s: float) -> list[Request]:
        """Advance by `steps` of the scheduled steps; return the requests that finished."""
        self._clock += steps
        if self.stalls:
            self.stalls = []
        if self.work.prompt_tokens:
            self._begin(now_s)
        else:
            self._length += steps
            self.pending_tokens -= steps * len(self._left)
        finished: list[Request] = []
        left = self._left
        while left and not self._steps_left(left[-1]):
            request = left.pop()
            request.generated, request.finish_s = request.output_tokens, now_s
            self.work.counted -= request.counted
            del self.running[request]
            finished.append(request)
        if not left:
            self.work.batch = self._length = 0
        return finished

    def drain(self, last_token_s: float) -> list[Request]:
        """Remove and return all requests, running requests first; their KV cache is lost.

        A request keeps the tokens that it has received.
        """
        lost = [*self.running, *self.waiting]
        if self.work.batch:  # the batch decodes
            for request in self.running:
                request.generated += self._clock - request.offset
                request.stalled_s = last_token_s
        self.running.clear()
        self.waiting.clear()
        self._left.clear()
        self.work.batch = self._length = 0
        self.pending_tokens = self.pending_prompt_tokens = 0
        return lost

    def _steps_alike(self) -> int:
        """Write the counts of the next step; return the number of equal steps."""
        work, view = self.work, self._limits.view
        length, batch = self._length + 1, work.batch
        work.prompt_tokens = work.pairs = work.window_pairs = 0
        work.growth = work.sampled = batch
        work.context, work.longest = batch * length, length
        steps = self._steps_left(self._left[-1])
        if view.tokens:
            keys = view.keys(length)
            work.windowed = batch * keys
            work.growing = batch if view.is_chunked or length < view.tokens else 0
            if work.growing:
                steps = min(steps, view.tokens - keys + view.is_chunked)
        return steps

    def _steps_left(self, request: Request) -> int:
        """Return the number of steps until a request of the batch finishes."""
        return request.output_tokens - request.generated - (self._clock - request.offset)

    def _form(self, now_s: float) -> None:
        """Form a batch of waiting requests in order, up to the number of batch slots.

        The KV cache must hold the batch with each request padded to the longest prompt and answer.
        """
        prompt = output = 0
        while self.waiting and len(self._left) < self._limits.max_sequences:
            request = self.waiting.first
            left = request.output_tokens - request.generated
            longer = max(prompt, request.known_tokens), max(output, left)
            held = self._kv_cache.most_blocks(sum(longer) - 1, longer[0])
            blocks = (len(self._left) + 1) * held
            if blocks > self._blocks and self._left:
                break
            prompt, output = longer
            self.waiting.pop_first()
            if request.admitted_s != request.admitted_s:  # NaN: the first admission
                request.admitted_s = now_s
            self._left.append(request)
            self.running[request] = None
            self.output.chunks.append((request, request.known_tokens))
        self._prompt_tokens = prompt
        self._prefill(len(self._left))

    def _prefill(self, count: int) -> None:
        """Write the counts of the step that prefills `count` prompts."""
        work, tokens, view = self.work, self._prompt_tokens, self._limits.view
        work.batch = work.growth = work.context = work.windowed = work.growing = work.longest = 0
        work.prompt_tokens, work.sampled = count * tokens, count
        work.pairs = count * causal_pairs(tokens, 0)
        if view.tokens:
            work.window_pairs = count * view.pairs(tokens, 0)

    def _begin(self, now_s: float) -> None:
        """Record that the prompts were prefilled and first tokens generated."""
        self.work.batch, self._length = len(self._left), self._prompt_tokens
        for request in self._left:
            self.pending_tokens -= request.known_tokens + 1
            self.pending_prompt_tokens -= request.known_tokens
            if request.generated:  # the request was lost on another replica, with its answer so far
                self.stalls.append((request, now_s - request.stalled_s))
            else:
                request.first_token_s = now_s
            request.generated += 1
            request.offset = self._clock
            self.work.counted += request.counted
        self._left.sort(key=lambda request: request.generated - request.output_tokens)
