"""What sharing memories and links cost each request: seconds of its latency."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from cluster_sim.request import Request

Array = npt.NDArray[np.float64]
TransferRow = tuple[str, int, int, int, float, float, float, float]
"""Columns as results.TRANSFER_COLUMNS."""

_CLOSE = 1e-12  # relative; times that differ by less are one


def lost_s(
    everyone: Sequence[Request], stretches: dict[str, Array], transfers: Sequence[TransferRow]
) -> tuple[Array, Array, Array]:
    """(to memories, to links of collectives, to links of its transfer) of each request [s], not a
    number for those that have not finished.

    stretches: columns `replica`, `began_s`, `ended_s`, `bus_s` and `link_s`, of each replica in
    order. A request loses what every step that it takes part in loses, from the first one that
    reads its prompt; while it is preempted it goes on losing, with the queue. To its transfer it
    loses what that took longer than it would have with nobody else about.
    """
    finish_s = np.array([request.finish_s for request in everyone])
    bus_s, link_s, transfer_s = (np.where(np.isnan(finish_s), np.nan, 0.0) for _ in range(3))
    if not (np.any(stretches["bus_s"]) or np.any(stretches["link_s"]) or transfers):
        return bus_s, link_s, transfer_s
    admitted_s, read_s, landed_s = (
        np.array([getattr(request, name) for request in everyone])
        for name in ("admitted_s", "read_s", "landed_s")
    )
    replica, reader = (
        np.array([getattr(request, name) for request in everyone])
        for name in ("replica", "prefill_replica")
    )
    handed = reader >= 0
    spans = [
        (replica, np.where(handed, landed_s, admitted_s), finish_s),
        (np.where(handed, reader, -1), admitted_s, read_s),
    ]
    for number in np.unique(stretches["replica"]):
        rows = stretches["replica"] == number
        began_s, ended_s = stretches["began_s"][rows], stretches["ended_s"][rows]
        for name, lost in (("bus_s", bus_s), ("link_s", link_s)):
            so_far_s = np.concatenate([[0.0], np.cumsum(stretches[name][rows])])
            for where, from_s, to_s in spans:
                mine = np.nonzero((where == number) & ~np.isnan(finish_s))[0]
                first = np.searchsorted(began_s, from_s[mine] * (1 - _CLOSE))
                last = np.searchsorted(ended_s, to_s[mine] * (1 + _CLOSE), side="right")
                lost[mine] += so_far_s[last] - so_far_s[np.minimum(first, last)]
    place = {request.number: index for index, request in enumerate(everyone)}
    for _, _, _, number, _, began, ended, alone in transfers:
        if number >= 0:  # of one request alone
            transfer_s[place[number]] += ended - began - alone
    return bus_s, link_s, transfer_s
