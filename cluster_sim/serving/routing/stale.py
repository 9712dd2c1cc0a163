"""Stale load information: loads that are reported to a router periodically."""

from __future__ import annotations

from collections.abc import Sequence

from cluster_sim.request import Request
from cluster_sim.serving.load import Load, ReportedLoad, report
from cluster_sim.serving.routing.picker import Pick


def stale(pick: Pick, staleness_s: float) -> Pick:
    """Return `pick` with loads that are reported once per period of `staleness_s`.

    The report of a period is made when its first request arrives, which needs no extra event.
    Requests sent later in the period do not change it, so the replica that is least loaded in a
    report may be overloaded until the next report.

    Source: periodic update in Mitzenmacher, How Useful Is Old Information?, IEEE TPDS 11(1), 2000.

    Parameters
    ----------
    pick
        Function that chooses a replica by current loads.
    staleness_s
        Length of a period [s]; 0: loads are always current.
    """
    if staleness_s == 0.0:
        return pick
    period = -1.0
    reported: dict[int, ReportedLoad] = {}

    def pick_from_reports(request: Request, loads: Sequence[Load]) -> int:
        nonlocal period
        if (now := request.arrival_s // staleness_s) > period:
            period = now
            reported.clear()
        for load in loads:
            if load.number not in reported:
                reported[load.number] = report(load)
        return pick(request, [reported[load.number] for load in loads])

    return pick_from_reports
