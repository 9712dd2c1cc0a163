"""RankedScheduler: attention data-parallel ranks of one replica, which run their steps together.

In engines each rank has a scheduler with a queue, batch slots, a token budget and a KV cache of its
own, and a request stays on the rank that it was sent to (`rank_rules`). Ranks meet at the experts
of each layer, so all of them run a step together, and ranks without work wait. Here the schedulers
of the ranks decide in turn, the sums of their counts are the work of the step, and the number of
equal steps is the smallest of any rank.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Generic, TypeVar

from cluster_sim.physics.step_work import StepWork
from cluster_sim.request import Request
from cluster_sim.serving.frequency import Remaining
from cluster_sim.serving.rank_rules import RankLoads, RankRule
from cluster_sim.serving.scheduler.continuous_scheduler import ContinuousScheduler
from cluster_sim.serving.scheduler.output import SchedulerOutput
from cluster_sim.serving.scheduler.rank_balance import RankBalance
from cluster_sim.serving.scheduler.rank_sums import add_work, take_decision
from cluster_sim.serving.scheduler.request_queue import RequestQueue

OneRank = TypeVar("OneRank", bound=ContinuousScheduler)


class RankedScheduler(Generic[OneRank]):
    """Scheduler of a replica with several attention data-parallel ranks; see Scheduler.

    Parameters
    ----------
    ranks
        Schedulers of the ranks, without requests.
    loads
        Loads of the ranks, initially none.
    rule
        Rule by which requests are sent to ranks.
    queue
        Requests that wait for a rank, in order, initially empty.
    balance
        Rule that holds new requests back until every rank has one; None without one.
    """

    def __init__(
        self,
        ranks: Sequence[OneRank],
        loads: RankLoads,
        rule: RankRule,
        queue: RequestQueue,
        balance: RankBalance | None = None,
    ) -> None:
        self.work = StepWork()
        self.output = SchedulerOutput()
        self.stalls: list[tuple[Request, float]] = []
        self.longest = ranks[0].longest
        """Number of tokens of the longest request that can be served."""
        self._ranks, self._loads, self._rule = ranks, loads, rule
        self._unsent, self._balance = queue, balance
        # SGLang runs no decode with drafts beside prefill (srt/managers/scheduler.py, 0.5)
        self._hold_together = ranks[0].has_drafts
        blocks = 0 if ranks[0].has_drafts else ranks[0].kv_blocks
        self._kv_blocks = blocks * len(ranks)  # 0 if the usage is no line over the steps
        self._kv_line: tuple[float, float] | None = None  # blocks now and per step
        self._rank_of: dict[Request, int] = {}
        self._awake = [False] * len(ranks)  # whether a rank may have something to do
        self._active: list[OneRank] = []  # ranks with work in the scheduled steps
        self.running: Collection[Request] = _Requests(ranks, lambda rank: rank.running)
        self.waiting: Collection[Request] = _Requests(ranks, lambda rank: rank.waiting, queue)

    @property
    def queued(self) -> int:
        """Number of requests that have arrived and are not in the batch."""
        return len(self._unsent) + sum(rank.queued for rank in self._ranks)

    @property
    def pending_tokens(self) -> int:
        """Number of tokens to be prefilled or generated, of all requests here or expected."""
        return sum([rank.pending_tokens for rank in self._ranks])

    @property
    def pending_prompt_tokens(self) -> int:
        """Number of tokens to be prefilled, of all requests here or expected."""
        return sum([rank.pending_prompt_tokens for rank in self._ranks])

    @property
    def kv_tokens(self) -> float:
        """Number of tokens in the caches when the scheduled steps begin."""
        return sum([rank.kv_tokens for rank in self._ranks])

    @property
    def tokens_per_step(self) -> int:
        """Number of tokens by which each scheduled step reduces `pending_tokens`."""
        return self.work.batch + self.work.prompt_tokens

    def kv_share(self, steps: int) -> float:
        """Return the KV cache usage, promised blocks included, after this number of steps.

        NOTE: routers ask for it with every request. Half-filled blocks are ignored, so that the
        usage is a line over the steps, which is added up once per change.
        """
        ranks = self._ranks
        if not self._kv_blocks:
            return sum([rank.kv_share(steps) for rank in ranks]) / len(ranks)
        line = self._kv_line
        if line is None:
            taken, growth = zip(*[rank.kv_line for rank in ranks], strict=True)
            line = self._kv_line = sum(taken), sum(growth)
        return (line[0] + line[1] * (steps + 1)) / self._kv_blocks

    def blocks_taken(self) -> int:
        """Return the number of blocks taken or promised between two steps."""
        return sum([rank.blocks_taken() for rank in self._ranks])

    def remaining(self, steps: int) -> list[Remaining]:
        """Return the rest of the answer of each request that decodes, after scheduled steps."""
        return [each for rank in self._ranks for each in rank.remaining(steps)]

    # Arrival and departure of requests

    def expect(self, request: Request) -> None:
        """Record that a request is on its way here; the first rank counts its tokens until then."""
        self._ranks[0].expect(request)

    def unexpect(self, request: Request) -> None:
        """Undo `expect`: a request that was on its way here will not arrive."""
        self._ranks[0].unexpect(request)

    def enqueue(self, request: Request) -> bool:
        """Add a request that has arrived; return whether it may be admitted in the next step."""
        if self._rule.waits_for_slot and (self._unsent or not self._has_slot()):
            self._unsent.append(request)
            return False
        return self._send(request)

    def _has_slot(self) -> bool:
        """Return whether a rank has a batch slot for which no request is there."""
        return min(self._loads.requests) < self._loads.max_sequences

    def _send(self, request: Request) -> bool:
        """Send a request to a rank; return whether it may be admitted in the next step."""
        number = self._rule.first(self._loads)
        self._join(request, number)
        rank = self._ranks[number]
        if number:
            self._ranks[0].unexpect(request)
            rank.expect(request)
        was_asleep, self._awake[number] = not self._awake[number], True
        return rank.enqueue(request) or was_asleep

    def _join(self, request: Request, number: int) -> None:
        """Count a request of a rank."""
        self._kv_line = None
        self._rule.chose(number)
        self._loads.add(number, request.prompt_tokens)
        self._rank_of[request] = request.rank = number

    def _leave(self, request: Request) -> None:
        """Count a request of a rank no longer."""
        self._kv_line = None
        self._loads.remove(self._rank_of.pop(request), request.prompt_tokens)

    def cancel(self, request: Request) -> bool:
        """Remove a request without its remaining tokens; return whether it was here."""
        number = self._rank_of.get(request)
        if number is None:
            if not self._unsent.discard(request):
                return False
            self.unexpect(request)
            return True
        if not self._ranks[number].cancel(request):
            return False
        self._leave(request)
        self._awake[number] = True
        return True

    def drain(self, last_token_s: float) -> list[Request]:
        """Remove and return all requests; their KV cache is lost."""
        lost = [request for rank in self._ranks for request in rank.drain(last_token_s)]
        while self._unsent:
            lost.append(self._unsent.pop_first())
        self._rank_of.clear()
        return lost

    # Steps

    def schedule(self, now_s: float, max_steps: int) -> SchedulerOutput:
        """Decide on the next step, and on the number of equal steps that may follow."""
        output, awake = self.output, self._awake
        self._kv_line = None
        while self._unsent and self._has_slot():
            self._send(self._unsent.pop_first())
        if self._balance is not None:
            self._balance.decide()
        output.clear()
        self._active = active = []
        steps, does_hold = max_steps, False
        for number, rank in enumerate(self._ranks):
            if not awake[number]:
                continue
            decided = rank.schedule(now_s, max_steps)
            take_decision(output, decided)
            if decided.steps:
                active.append(rank)
                steps = min(steps, decided.steps)
                if rank.prefills_apart:
                    does_hold = self._hold_together
                    self._note_hold(rank, number)
            elif not rank.running and not rank.queued:
                awake[number] = False
        self._loads.running = [len(rank.running) for rank in self._ranks]
        if not active:
            output.steps = 0
            return output
        if does_hold:
            for rank in active:
                rank.hold_still(now_s)
        output.steps = self._add_up(active, steps)
        return output

    def _add_up(self, active: list[OneRank], steps: int) -> int:
        """Write the work of all ranks; return how many of `steps` steps may follow each other."""
        work, output = self.work, self.output
        add_work(work, [rank.work for rank in active])
        if output.on_rank and work.batch:  # sequences that hold still get no token
            work.counted -= sum(counted for _, counted in output.rank_holds)
        # the table of stretches knows the growth of the pairs of one chunk alone
        prompting = sum([rank.work.prompt_tokens > 0 for rank in active])
        return steps if prompting <= 1 else 1

    def _note_hold(self, rank: OneRank, number: int) -> None:
        """Note what a rank prefills, and how many of its sequences hold still.

        Nothing is noted if the sequences of all ranks hold still together.
        """
        if self._hold_together:
            return
        output, chunks = self.output, rank.output.chunks
        output.on_rank += [(request, number) for request, _ in chunks]
        if rank.work.counted:
            output.rank_holds.append((chunks[0][0], rank.work.counted))

    def advance(self, steps: int, now_s: float) -> list[Request]:
        """Advance by scheduled steps; return the requests that finished."""
        finished: list[Request] = []
        self._kv_line = None
        self.stalls = stalls = []
        for rank in self._active:
            if done := rank.advance(steps, now_s):
                finished += done
            if rank.stalls:
                stalls += rank.stalls
        for request in finished:
            self._leave(request)
        if self._balance is not None:
            self._balance.advance(steps)
        return finished


class _Requests(Collection[Request]):
    """Requests of all ranks in one state, and those that wait for a rank."""

    def __init__(
        self,
        ranks: Sequence[OneRank],
        of_rank: Callable[[OneRank], Collection[Request] | RequestQueue],
        more: RequestQueue | tuple[()] = (),
    ) -> None:
        self._ranks, self._of_rank, self._more = ranks, of_rank, more

    def __len__(self) -> int:
        of_rank = self._of_rank
        return sum([len(of_rank(rank)) for rank in self._ranks]) + len(self._more)

    def __iter__(self) -> Iterator[Request]:
        for rank in self._ranks:
            yield from self._of_rank(rank)
        yield from self._more

    def __contains__(self, request: object) -> bool:
        return any(request in self._of_rank(rank) for rank in self._ranks) or request in self._more
