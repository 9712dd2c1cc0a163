"""Load: figures of a replica for routing, admission and disaggregation."""

from __future__ import annotations

from math import inf
from typing import NamedTuple, Protocol


class Load(Protocol):
    """Current figures of one replica; a policy may use any of them.

    Requests on their way to the replica are included.
    """

    @property
    def number(self) -> int:
        """Number of the replica among all replicas."""
        ...

    @property
    def requests(self) -> int:
        """Number of requests on their way, waiting or running."""
        ...

    @property
    def waiting(self) -> int:
        """Number of requests outside the batch: on their way, queued or preempted."""
        ...

    @property
    def running(self) -> int:
        """Number of requests in the batch."""
        ...

    @property
    def pending_tokens(self) -> int:
        """Number of tokens still to be prefilled or generated."""
        ...

    @property
    def pending_prompt_tokens(self) -> int:
        """Number of tokens still to be prefilled."""
        ...

    @property
    def kv_share(self) -> float:
        """KV cache usage, promised blocks included, from 0 to 1."""
        ...

    def falls_below_s(self, tokens: int) -> float:
        """Return the time at which `pending_tokens` falls below `tokens` [s].

        The time may be slightly early, and holds until the next event of the replica. It is
        infinite if an event comes first.
        """
        ...


class ReportedLoad(NamedTuple):
    """Load of a replica at the time of a report."""

    number: int
    """Number of the replica among all replicas."""
    requests: int
    """Number of requests on their way, waiting or running."""
    waiting: int
    """Number of requests outside the batch."""
    running: int
    """Number of requests in the batch."""
    pending_tokens: int
    """Number of tokens still to be prefilled or generated."""
    pending_prompt_tokens: int
    """Number of tokens still to be prefilled."""
    kv_share: float
    """KV cache usage, promised blocks included, from 0 to 1."""

    def falls_below_s(self, tokens: int) -> float:
        """Return infinity, since a report does not change."""
        return inf


def report(load: Load) -> ReportedLoad:
    """Return a copy of the current load of a replica."""
    return ReportedLoad(*(getattr(load, name) for name in ReportedLoad._fields))
