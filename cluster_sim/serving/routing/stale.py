"""Stale load information: loads that are reported to a router periodically."""

from __future__ import annotations

from collections.abc import Sequence

from cluster_sim.request import Request
from cluster_sim.serving.load import Load, ReportedLoad, report
from cluster_sim.serving.routing.picker import Picker


def stale(picker: Picker, staleness_s: float) -> Picker:
    """Return `picker` with loads that are reported once per period of `staleness_s`.

    The report of a period is made when its first request arrives, which needs no extra event.
    Requests sent later in the period do not change it, so the replica that is least loaded in a
    report may be overloaded until the next report. A replica that opens during a period is reported
    when the next request arrives.

    Source: periodic update in Mitzenmacher, How Useful Is Old Information?, IEEE TPDS 11(1), 2000.

    Parameters
    ----------
    picker
        Policy that chooses a replica by current loads.
    staleness_s
        Length of a period [s]; 0: loads are always current.
    """
    return picker if staleness_s == 0.0 else _Stale(picker, staleness_s)


class _Stale(Picker):
    """Routing policy that sees reports of loads."""

    def __init__(self, picker: Picker, staleness_s: float) -> None:
        self._picker, self._staleness_s = picker, staleness_s
        self._period = -1.0
        self._reported: dict[int, ReportedLoad] = {}
        self._open: list[ReportedLoad] | None = None  # reports of all open replicas, if complete

    def pick(self, request: Request, loads: Sequence[Load]) -> int | None:
        """Return the index of the replica for a request among `loads`."""
        self._begin_period(request)
        return self._picker.pick(request, self._reports(loads))

    def pick_open(self, request: Request, loads: Sequence[Load], now_s: float) -> int | None:
        """Return the index of the replica for a request among all open replicas."""
        self._begin_period(request)
        if self._open is None:
            self._open = self._reports(loads)
            self._picker.renew(self._open)
        return self._picker.pick_open(request, self._open, now_s)

    def _begin_period(self, request: Request) -> None:
        """Forget the reports if the period of a request is later than theirs."""
        if (period := request.arrival_s // self._staleness_s) > self._period:
            self._period, self._open = period, None
            self._reported.clear()

    def _reports(self, loads: Sequence[Load]) -> list[ReportedLoad]:
        """Return the report of each load; a load without a report is reported now."""
        reported = self._reported
        for load in loads:
            if load.number not in reported:
                reported[load.number] = report(load)
        return [reported[load.number] for load in loads]

    def allows(self, request: Request, load: Load) -> bool:
        """Return whether the policy may ever send a request to a replica."""
        return self._picker.allows(request, load)

    def sent(self, request: Request, load: Load) -> None:
        """Record that a request was sent to a replica."""
        self._picker.sent(request, load)

    def opened(self, load: Load) -> None:
        """Record that the router may send requests to a replica, which is reported anew."""
        self._open = None
        self._reported.pop(load.number, None)

    def closed(self, load: Load) -> None:
        """Record that the router sends no more requests to a replica."""
        self._open = None
        self._picker.closed(load)
