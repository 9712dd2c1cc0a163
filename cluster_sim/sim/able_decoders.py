"""Decode replicas that can take the next request, without asking all of them at every moment."""

from __future__ import annotations

from collections.abc import Sequence

from cluster_sim.sim.decode_replica import DecodeReplica
from cluster_sim.sim.prefilled_request import PrefilledRequest


class AbleDecoders:
    """Decode replicas that can take the first waiting request.

    A replica that could not take it cannot take it until its load changes, since free blocks only
    become fewer while it decodes. It is not asked again until then.
    """

    def __init__(self, decoders: Sequence[DecodeReplica]) -> None:
        self._decoders = decoders
        self._first: PrefilledRequest | None = None
        self._unable: set[int] = set()

    def changed(self, number: int) -> None:
        """Record that the replica with this number may be able to take more requests."""
        self._unable.discard(number)

    def able(self, first: PrefilledRequest) -> list[DecodeReplica]:
        """Return the replicas that can take the first waiting request now, in order of number."""
        if first is not self._first:
            self._first = first
            self._unable.clear()
        request, tokens, unable = first.request, first.total_tokens, self._unable
        able: list[DecodeReplica] = []
        if len(unable) == len(self._decoders):
            return able
        for decoder in self._decoders:
            if decoder.number in unable:
                continue
            if decoder.can_take(request, tokens):
                able.append(decoder)
            elif decoder.only_fills:
                unable.add(decoder.number)
        return able
