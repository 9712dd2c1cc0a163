"""Loads as a router sees them that is told of them now and then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cluster_sim.request import Request
from cluster_sim.serving.routing.load import Load
from cluster_sim.serving.routing.picker import Pick


@dataclass(frozen=True, slots=True)
class Seen:
    """A Load as it was."""

    number: int
    requests: int
    tokens: int

    def pending_tokens(self) -> int:
        """As of then."""
        return self.tokens


def stale(pick: Pick, staleness_s: float) -> Pick:
    """`pick`, from loads that are reported once in every `staleness_s`; with 0 it sees them as they
    are.

    Time is cut into periods of `staleness_s`; the report of a period is made when its first request
    arrives, so that no event is spent on it, and what is sent meanwhile does not show in it. This
    is the periodic update of Mitzenmacher, How Useful Is Old Information?, IEEE TPDS 11(1), 2000,
    in which the least loaded of a report is overrun until the next.
    """
    if staleness_s == 0.0:
        return pick
    period = -1.0
    report: dict[int, Seen] = {}

    def pick_from_report(request: Request, loads: Sequence[Load]) -> int:
        nonlocal period
        if (now := request.arrival_s // staleness_s) > period:
            period = now
            report.clear()
        for load in loads:
            if load.number not in report:
                report[load.number] = Seen(load.number, load.requests, load.pending_tokens())
        return pick(request, [report[load.number] for load in loads])

    return pick_from_report
