"""Clients that send a request only after an answer, as benchmarks of fixed concurrency do."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from cluster_sim.typing import ClientCount, RequestCount
from cluster_sim.units import Seconds
from cluster_sim.workload.arrivals.process import ArrivalProcess, ClientLoad, WaitingClients


class ClosedLoop(ArrivalProcess):
    """Clients that send the next request a think time after their last request has finished.

    A client whose request is rejected also backs off: 1 s, then 2 s, 4 s … up to 60 s, until a
    request is answered.
    """

    can_be_thinned: ClassVar[bool] = True

    process: Literal["closed_loop"] = "closed_loop"
    concurrency: ClientCount
    """Number of clients."""
    think_time_s: Seconds = 0.0
    """Time from an answer to the next request of the same client [s]."""
    requests: RequestCount | None = None
    """Number of requests of all clients together. Default: clients send until `duration`."""

    def waiting_clients(self) -> WaitingClients:
        """Return the clients and their think time."""
        return WaitingClients(self.concurrency, self.think_time_s)

    def client_load(self) -> ClientLoad:
        """Return the number of clients."""
        return ClientLoad(max_concurrency=self.concurrency)

    def fleet_counts(self) -> dict[str, int]:
        """Return the number of clients, and the number of requests if it is given."""
        counts = {"requests": self.requests, "concurrency": self.concurrency}
        return {key: count for key, count in counts.items() if count is not None}

    def thinned(self, one_in: int) -> Self:
        """Return the process with one in `one_in` clients, each of which behaves as before."""
        return self._fewer(one_in)
