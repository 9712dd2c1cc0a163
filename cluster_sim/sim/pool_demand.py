"""Demand for the replicas of one pool that its own replicas do not show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from cluster_sim.sim.kv_transfers import KvTransfers
from cluster_sim.sim.replica import Replica
from cluster_sim.sim.router import Router


class PoolDemand(Protocol):
    """Requests that need a pool and are not at its replicas."""

    @property
    def held(self) -> int:
        """Number of requests that wait because no replica of the pool takes them."""
        ...

    @property
    def ahead(self) -> int:
        """Number of requests elsewhere that will need the pool."""
        ...


class EntryDemand:
    """Demand for a pool to which the router sends requests.

    Several pools that could serve a waiting request all see it.
    """

    ahead = 0

    def __init__(self, router: Router, replica: Replica[Any]) -> None:
        self._router, self._replica = router, replica

    @property
    def held(self) -> int:
        """Number of requests that wait at the router and would fit into a replica of the pool."""
        return sum(self._replica.would_hold(request) for request in self._router.held)


class DecodeDemand:
    """Demand for a pool that decodes what other pools prefill.

    While no decode replica is open, requests wait at the router instead of being prefilled.
    """

    def __init__(
        self,
        router: Router,
        transfers: KvTransfers,
        prefilling: Sequence[Replica[Any]],
    ) -> None:
        self._router, self._transfers, self._prefilling = router, transfers, prefilling

    @property
    def held(self) -> int:
        """Number of requests that wait for a decode replica."""
        beside = 0 if self._transfers.has_decoder else len(self._router.held)
        return self._transfers.waiting + beside

    @property
    def ahead(self) -> int:
        """Number of requests at prefill replicas."""
        return sum(replica.requests for replica in self._prefilling)
