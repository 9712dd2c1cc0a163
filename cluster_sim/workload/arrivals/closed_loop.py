"""Clients that wait for an answer before they send again, as benchmarks of a fixed concurrency do."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from cluster_sim.typing import ClientCount, RequestCount
from cluster_sim.units import Seconds
from cluster_sim.workload.arrivals.process import ArrivalProcess, ClientLoad, WaitingClients


class ClosedLoop(ArrivalProcess):
    """Clients that send their next request after the last answer and a think time.

    A client whose request is rejected also backs off: 1 s, then 2 s, 4 s and so on up to 60 s,
    until a request of it is answered.
    """

    can_be_thinned: ClassVar[bool] = True

    process: Literal["closed_loop"] = "closed_loop"
    concurrency: ClientCount
    """Number of clients."""
    think_time_s: Seconds = 0.0
    """Time from an answer to the next request of the same client [s]."""
    requests: RequestCount | None = None
    """Number of requests of all clients together. Default: clients continue until `duration`."""

    def waiting_clients(self) -> WaitingClients:
        """Return the clients and their think time."""
        return WaitingClients(self.concurrency, self.think_time_s)

    def client_load(self) -> ClientLoad:
        """Return the number of clients."""
        return ClientLoad(max_concurrency=self.concurrency)

    def fleet_counts(self) -> dict[str, int]:
        """Return the number of requests where it is given, and that of the clients."""
        counts = {"requests": self.requests, "concurrency": self.concurrency}
        return {key: count for key, count in counts.items() if count is not None}

    def thinned(self, one_in: int) -> Self:
        """Return a share of the clients: each goes on as it did."""
        return self._fewer(one_in)
