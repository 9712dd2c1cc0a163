"""Static batching, the baseline: a batch is formed, runs until its last request has finished, and
then comes the next.

Prompts are padded to the longest of the batch and read in one step. A request that has finished is
answered, but its place is computed on and its room stays taken until the batch has ended, as in
engines that schedule whole requests (Yu et al., Orca, OSDI 2022, section 2).
"""

from __future__ import annotations

from collections import deque
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from cluster_sim.physics.step_work import StepWork
from cluster_sim.physics.transformer import causal_pairs, window_pairs
from cluster_sim.request import Request
from cluster_sim.schema import Description


class Static(Description):
    """Requests join when a batch is formed, and leave together."""

    model_config = ConfigDict(
        json_schema_extra={"required": ["policy"]}
    )  # a batching without a policy is continuous, for editors too

    policy: Literal["static"] = "static"
    max_sequences: Annotated[int, Field(gt=0)] | None = None
    """Requests in the batch at once; default: the engine's."""


class StaticBatch:
    """The requests of one replica; the interface of ContinuousBatch. Counts include padding.

    `counted` leaves out those that have finished: they get no tokens.
    """

    __slots__ = (
        "_block_tokens",
        "_blocks",
        "_left",
        "_length",
        "_max_sequences",
        "_padded",
        "_window",
        "clock",
        "counted",
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

    def __init__(
        self,
        kv_tokens: int,
        block_tokens: int,
        max_sequences: int,
        max_context: int,
        window: int = 0,
    ) -> None:
        self.waiting: deque[Request] = deque()
        self.running: dict[Request, None] = {}  # not finished yet
        self.work = StepWork()
        self.counted = 0
        self.clock = 0
        self.pending_tokens = self.pending_prompt = 0
        self.stalls: list[tuple[Request, float]] = []
        self.preempted: list[Request] = []
        self.swap_s = 0.0
        self._block_tokens, self._blocks = block_tokens, kv_tokens // block_tokens
        self._max_sequences, self._window = max_sequences, window
        self.longest = min(self._blocks * block_tokens, max_context - 1)
        self._padded = 0  # tokens that each prompt of the batch is padded to
        self._length = 0  # tokens in the cache of each sequence
        self._left: list[
            Request
        ] = []  # of the batch, those that have not finished; the one that finishes first is the last

    @property
    def done_a_step(self) -> int:
        """By how much each of the scheduled steps, where there is more than one, lowers
        `pending_tokens`.
        """
        return len(self._left)

    @property
    def kv_tokens(self) -> int:
        """Tokens in the cache as the scheduled steps begin, padding included, blocks left out."""
        return self.work.batch * self._length

    def blocks_taken(self) -> int:
        """Blocks in use between two steps."""
        return self.work.batch * -(-self._length // self._block_tokens)

    def enqueue(self, request: Request) -> bool:
        """Put a request at the end of the queue. True where it may be admitted at the next step
        boundary.
        """
        self.waiting.append(request)
        return not self._left

    def schedule(self, now_s: float, at_most: int) -> int:
        """Decide on the next step; how many steps of this composition may follow, `at_most` of
        them. 0 where there is no work.
        """
        if not self._left:
            if not self.waiting:
                return 0
            self._form(now_s)
            return 1
        work, length = self.work, self._length + 1
        batch = work.growth = work.batch
        work.prompt_tokens = work.pairs = work.window_pairs = 0
        work.sampled, work.context = batch, batch * length
        steps = (
            self._left[-1].output_tokens
            - self._left[-1].generated
            - (self.clock - self._left[-1].offset)
        )
        if self._window:
            work.windowed = batch * min(length, self._window)
            work.growing = batch if length < self._window else 0
            if work.growing:
                steps = min(steps, self._window - length)
        return min(steps, at_most)

    def advance(self, steps: int, now_s: float) -> list[Request]:
        """Move on by `steps` of the scheduled steps, which end at `now_s`. Returns the requests
        that finished.
        """
        self.clock += steps
        if self.work.prompt_tokens:
            self._begin(now_s)
        else:
            self._length += steps
            self.pending_tokens -= steps * len(self._left)
        finished: list[Request] = []
        left = self._left
        while left and self.clock - left[-1].offset == left[-1].output_tokens - left[-1].generated:
            request = left.pop()
            request.generated, request.finish_s = request.output_tokens, now_s
            if request.counted:
                self.counted -= 1
            del self.running[request]
            finished.append(request)
        if not left:
            self.work.batch = self._length = 0
        return finished

    def drain(self, now_s: float) -> list[Request]:
        """Everything that is here, its KV lost, those that run first; their answers begin anew
        elsewhere. Nothing is scheduled here any more.
        """
        lost = [*self.running, *self.waiting]
        for request in self.running:
            request.generated, request.stalled_s = 0, now_s
        self.running.clear()
        self.waiting.clear()
        self._left.clear()
        return lost

    def _form(self, now_s: float) -> None:
        """Take waiting requests in order while there are places, and room for all of them as long
        as the longest.
        """
        prompt = output = 0
        while self.waiting and len(self._left) < self._max_sequences:
            request = self.waiting[0]
            longer = max(prompt, request.prompt_tokens), max(output, request.output_tokens)
            if (len(self._left) + 1) * -(
                -(sum(longer) - 1) // self._block_tokens
            ) > self._blocks and self._left:
                break
            prompt, output = longer
            self.waiting.popleft()
            request.admitted_s = now_s
            self._left.append(request)
            self.running[request] = None
        count = len(self._left)
        self._padded = prompt
        work = self.work
        work.batch = work.growth = work.context = work.windowed = work.growing = 0
        work.prompt_tokens, work.sampled = count * prompt, count
        work.pairs = count * causal_pairs(prompt, 0)
        if self._window:
            work.window_pairs = count * window_pairs(prompt, 0, self._window)

    def _begin(self, now_s: float) -> None:
        """The prompts were read, and with them came the first tokens."""
        self.work.batch, self._length = len(self._left), self._padded
        for request in self._left:
            request.generated, request.offset, request.first_token_s = 1, self.clock, now_s
            self.counted += request.counted
            self.pending_tokens -= request.prompt_tokens + 1
            self.pending_prompt -= request.prompt_tokens
        self._left.sort(key=lambda request: -request.output_tokens)
