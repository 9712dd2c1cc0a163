"""DecodeCapacity: longest request that the available decode replicas can hold."""

from __future__ import annotations

from collections.abc import Mapping

from cluster_sim.request import Request
from cluster_sim.sim.replica_events import ReplicaEvents


class DecodeCapacity(ReplicaEvents):
    """Capacity of the decode replicas for single requests."""

    def __init__(self, longest: Mapping[int, int]) -> None:
        """Take the number of tokens of the longest request per decode replica, by number."""
        self._longest = dict(longest)
        self.longest = self.longest_of_all = max(longest.values(), default=0)
        """Number of tokens of the longest request that an available decode replica can serve. The
        second attribute also includes replicas whose devices are lost."""

    def holds(self, request: Request) -> bool:
        """Return whether an available replica can hold a whole request."""
        return request.footprint <= self.longest

    def devices_lost(self, number: int) -> None:
        """Exclude a replica whose devices are lost."""
        if self._longest.pop(number, None) is not None:
            self.longest = max(self._longest.values(), default=0)
