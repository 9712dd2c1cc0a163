"""DecodeCapacity: longest request that the available decode replicas can hold."""

from __future__ import annotations

from collections.abc import Mapping

from cluster_sim.request import Request
from cluster_sim.sim.replica_events import ReplicaEvents


class DecodeCapacity(ReplicaEvents):
    """Capacity of the decode replicas for single requests."""

    def __init__(self, longest: Mapping[int, int]) -> None:
        """Take the number of tokens of the longest request per decode replica, by number."""
        self._longest, self._all = dict(longest), dict(longest)
        self.longest = self.longest_of_all = max(longest.values(), default=0)
        """Number of tokens of the longest request that an open decode replica can serve. The second
        attribute also includes replicas that accept no requests."""

    def holds(self, request: Request) -> bool:
        """Return whether an available replica can hold a whole request."""
        return request.footprint <= self.longest

    def closed(self, number: int) -> None:
        """Exclude a replica that accepts no new requests."""
        self._longest.pop(number, None)
        self.longest = max(self._longest.values(), default=0)

    def opened(self, number: int) -> None:
        """Include a replica that accepts new requests again."""
        if number in self._all:
            self._longest[number] = self._all[number]
            self.longest = max(self._longest.values())
