"""Loads as a router sees them that is told of them now and then."""

from __future__ import annotations

from collections.abc import Sequence

from cluster_sim.request import Request
from cluster_sim.serving.load import Load, ReportedLoad, report
from cluster_sim.serving.routing.picker import Pick


def stale(pick: Pick, staleness_s: float) -> Pick:
    """Return `pick` from loads that are reported once in every `staleness_s` seconds.

    With 0 it sees them as they are. Time is cut into periods of `staleness_s`; the report of a
    period is made when its first request arrives, so that no event is spent on it, and what is sent
    meanwhile does not show in it. This is the periodic update of Mitzenmacher, How Useful Is Old
    Information?, IEEE TPDS 11(1), 2000, in which the least loaded of a report is overrun until the
    next.
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
