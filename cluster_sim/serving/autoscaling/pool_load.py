"""Load of a pool at one moment, from which a metric is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class ReplicaLoad(Protocol):
    """Figures of one replica that metrics are read from."""

    @property
    def queued(self) -> int:
        """Number of requests on their way or queued, without those that are prefilled."""
        ...

    @property
    def running(self) -> int:
        """Number of requests in the batch."""
        ...

    @property
    def kv_share(self) -> float:
        """KV cache usage, promised blocks included, from 0 to 1."""
        ...


class PoolLoad(NamedTuple):
    """Load of a pool at one moment."""

    loads: Sequence[ReplicaLoad]
    """Loads of the ready replicas whose metric is used."""
    unready: int
    """Number of replicas that start or load their weights."""
    young: int
    """Number of ready replicas whose metric is not used yet."""
    held: int
    """Number of requests that wait because no replica of the pool can take them."""
    inside: int
    """Number of requests of the pool: those that wait for a replica, wait at one, or run."""
    ttfts_s: Sequence[float]
    """Times to first token of the requests whose first token fell in the last period [s]."""
