"""Ranked schedulers of prefill replicas and of decode replicas."""

from __future__ import annotations

from cluster_sim.request import Request
from cluster_sim.serving.scheduler.decode import DecodeScheduler
from cluster_sim.serving.scheduler.prefill import PrefillScheduler
from cluster_sim.serving.scheduler.ranked_scheduler import RankedScheduler


class RankedPrefillScheduler(RankedScheduler[PrefillScheduler]):
    """Scheduler of a prefill replica with several attention data-parallel ranks."""

    @property
    def kept(self) -> int:
        """Number of prefilled requests whose KV cache is still here."""
        return sum(rank.kept for rank in self._ranks)

    def take_prefilled(self) -> list[Request]:
        """Return the requests that have been prefilled since the last call, to decode elsewhere."""
        return [request for rank in self._active for request in rank.take_prefilled()]

    def release(self, request: Request) -> bool:
        """Free the blocks of a request whose KV cache has arrived at its decode replica.

        Returns whether a request that waits on the same rank may be admitted in the next step.
        """
        rank = self._ranks[self._rank_of[request]]
        rank.release(request)
        self._leave(request)
        return bool(rank.queued or self._unsent)

    def _join(self, request: Request, number: int) -> None:
        super()._join(request, number)
        request.prefill_rank = number


class RankedDecodeScheduler(RankedScheduler[DecodeScheduler]):
    """Scheduler of a decode replica with several attention data-parallel ranks.

    A request goes to the first rank, in the order of the rule, that can take it.
    """

    _able: tuple[Request, int] | None = None
    """Request that a rank can take, and the number of the rank."""

    @property
    def only_fills(self) -> bool:
        """Whether free blocks only become fewer while the scheduled steps run."""
        return self._ranks[0].only_fills

    def can_take(self, request: Request, tokens: int, steps: int) -> bool:
        """Return whether a rank has blocks and a batch slot for a request with `tokens` tokens."""
        number = self._rule.first(self._loads)
        if not self._ranks[number].can_take(request, tokens, steps):
            for other in self._rule.order(self._loads):
                if other != number and self._ranks[other].can_take(request, tokens, steps):
                    number = other
                    break
            else:
                return False
        self._able = request, number
        return True

    def promise(self, request: Request, tokens: int) -> None:
        """Reserve blocks and a batch slot for a request, after `can_take` has found its rank."""
        assert self._able is not None
        assert self._able[0] is request
        number = self._able[1]
        self._join(request, number)
        self._ranks[number].promise(request, tokens)
        self._kv_line = None

    def withdraw(self, request: Request, tokens: int) -> bool:
        """Cancel a promise: the KV cache of the request will not arrive.

        Returns whether a request that waits on the same rank may be admitted in the next step.
        """
        number = self._rank_of[request]
        rank = self._ranks[number]
        rank.withdraw(request, tokens)
        self._leave(request)
        return bool(rank.queued)

    def steps_within(self, steps: int) -> int:
        """Return how many of `steps` steps, from the next step on, the free blocks allow."""
        return min([rank.steps_within(steps) for rank in self._ranks])

    def land(self, request: Request) -> None:
        """Record that the KV cache of a request has arrived."""
        number = self._rank_of[request]
        self._awake[number] = True
        self._ranks[number].land(request)
