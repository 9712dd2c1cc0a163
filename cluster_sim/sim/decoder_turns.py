"""DecoderTurns: decode replicas that get requests in turn, whether or not they can take them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from cluster_sim.request import Request
from cluster_sim.sim.decode_replica import DecodeReplica
from cluster_sim.sim.prefilled_request import PrefilledRequest


class DecoderTurns:
    """Choice of decode replicas in turn, before it is known whether they have capacity.

    A request waits for the replica of its turn, and requests for other replicas pass it. It gets
    another turn if that replica closes.
    """

    def __init__(self, decoders: Sequence[DecodeReplica]) -> None:
        self._decoders = decoders
        self._next = 0

    def take_first(
        self,
        waiting: deque[PrefilledRequest],
        reaches: Callable[[int, int], bool] | None,
    ) -> PrefilledRequest | None:
        """Take the first request whose replica can take it now, with that replica as its target.

        Parameters
        ----------
        waiting
            Requests that wait, in order.
        reaches
            Function that tells whether the network joins two replicas; None if it joins all.

        Returns
        -------
        PrefilledRequest or None
            Request, which does not wait any more; None if no replica can take one.
        """
        full: set[int] = set()
        for place, prefilled in enumerate(waiting):
            turn = prefilled.turn
            if turn is None or not _can_ever(turn, prefilled.request):
                turn = prefilled.turn = self._next_for(prefilled.request)
            if turn is None or turn.number in full:
                continue
            if turn.can_take(prefilled.request, prefilled.total_tokens) and (
                reaches is None or reaches(prefilled.source.number, turn.number)
            ):
                del waiting[place]
                prefilled.target = turn
                return prefilled
            full.add(turn.number)
            if len(full) == len(self._decoders):
                break
        return None

    def _next_for(self, request: Request) -> DecodeReplica | None:
        """Return the next replica in turn that is open and can hold a request; None without one."""
        count = len(self._decoders)
        for step in range(count):
            decoder = self._decoders[(self._next + step) % count]
            if _can_ever(decoder, request):
                self._next = (self._next + step + 1) % count
                return decoder
        return None


def _can_ever(decoder: DecodeReplica, request: Request) -> bool:
    return decoder.is_open and decoder.holds(request)
