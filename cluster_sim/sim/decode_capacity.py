"""DecodeCapacity: which requests the decode replicas could hold, those that are up."""

from __future__ import annotations

from collections.abc import Mapping

from cluster_sim.request import Request
from cluster_sim.sim.replica_events import ReplicaEvents


class DecodeCapacity(ReplicaEvents):
    """Says whether a request that is prefilled could be decoded anywhere."""

    def __init__(self, longest: Mapping[int, int]) -> None:
        """Take the tokens of the largest request that each decode replica could serve, by number."""
        self._longest = dict(longest)
        self.longest = self.longest_of_all = max(longest.values(), default=0)
        """Number of tokens of the largest request that a replica that is up could decode, and that
        any could, were it up."""

    def holds(self, request: Request) -> bool:
        """Return whether a replica that is up could hold all of a request."""
        return request.footprint <= self.longest

    def devices_lost(self, number: int) -> None:
        """Leave a replica out."""
        if self._longest.pop(number, None) is not None:
            self.longest = max(self._longest.values(), default=0)
