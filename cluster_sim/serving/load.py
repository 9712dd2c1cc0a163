"""Load: what routers, admission and disaggregation see of a replica."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Load(Protocol):
    """Figures of one replica, as of this moment; a policy may decide by any of them.

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
        """Number of requests that are in no batch: on their way, queued or preempted."""
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
        """Share of the KV cache that is taken or promised."""
        ...


class ReportedLoad(NamedTuple):
    """Load of a replica at the moment of a report."""

    number: int
    """Number of the replica among all replicas."""
    requests: int
    """Number of requests on their way, waiting or running."""
    waiting: int
    """Number of requests that are in no batch."""
    running: int
    """Number of requests in the batch."""
    pending_tokens: int
    """Number of tokens still to be prefilled or generated."""
    pending_prompt_tokens: int
    """Number of tokens still to be prefilled."""
    kv_share: float
    """Share of the KV cache that is taken or promised."""


def report(load: Load) -> ReportedLoad:
    """Return the load of a replica as it is now."""
    return ReportedLoad(*(getattr(load, name) for name in ReportedLoad._fields))
