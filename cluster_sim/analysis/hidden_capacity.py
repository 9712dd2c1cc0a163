"""Hidden capacity: the rate that a cluster serves in time while every request is retried."""

from __future__ import annotations

from cluster_sim.scenario.workload import Workload


def attempts_in_overload(workload: Workload) -> float:
    """Return the mean number of attempts per request that are served while none is in time.

    The capacity divided by it is the hidden capacity. At higher rates a queue that has become
    longer than the timeouts stays so, since attempts that nobody waits for are served as well. The
    number is 1 if the server aborts them.

    Source: Bronson et al., Metastable Failures in Distributed Systems, HotOS 2021.
    """
    shares = [each.share for each in workload.classes] or [1.0]
    return sum(
        share * (1.0 if clients is None else clients.attempts_in_overload)
        for share, clients in zip(shares, workload.clients_of_classes, strict=True)
    )
