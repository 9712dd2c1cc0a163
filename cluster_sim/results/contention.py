"""Latency that other traffic on memories and links adds to each request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from cluster_sim.request import Request
from cluster_sim.results.request_values import request_values
from cluster_sim.typing import Array

_CLOSE = 1e-12
"""Relative difference below which two times count as equal."""


class TransferRow(NamedTuple):
    """A transfer that has ended; fields are those of columns.TRANSFERS."""

    kind: str
    from_replica: int
    to_replica: int
    request: int
    bytes: float
    began_s: float
    ended_s: float
    alone_s: float


class Contention(NamedTuple):
    """Time lost by each request to contention [s]; NaN for a request that has not finished."""

    bus_s: Array
    """Time lost on memories [s]."""
    link_s: Array
    """Time lost on the links of collectives [s]."""
    kv_contention_s: Array
    """Time lost on the links of the request's KV transfer [s]."""


class _Stay(NamedTuple):
    """A span of time that each request spends on one replica."""

    replica: Array
    from_s: Array
    to_s: Array


def lost_s(
    requests: Sequence[Request], stretches: Mapping[str, Array], transfers: Sequence[TransferRow]
) -> Contention:
    """Return the time that each request lost to contention.

    A request loses the time that its replica's steps lose, from the first step that prefills its
    prompt until its end, including time in which it is preempted. In its KV transfer it loses the
    difference to the duration without other transfers.

    Parameters
    ----------
    requests
        All requests of the run.
    stretches
        Columns `replica`, `began_s`, `ended_s`, `bus_s` and `link_s`, in order of time per replica.
    transfers
        Transfers that have ended.
    """
    finish_s = request_values(requests, "finish_s")
    lost = Contention(*(np.where(np.isnan(finish_s), np.nan, 0.0) for _ in range(3)))
    if not (np.any(stretches["bus_s"]) or np.any(stretches["link_s"]) or transfers):
        return lost
    spans = list(_spans(requests, finish_s))
    for number in np.unique(stretches["replica"]):
        rows = stretches["replica"] == number
        began_s, ended_s = stretches["began_s"][rows], stretches["ended_s"][rows]
        for name, of_request_s in (("bus_s", lost.bus_s), ("link_s", lost.link_s)):
            so_far_s = np.concatenate([[0.0], np.cumsum(stretches[name][rows])])
            for span in spans:
                selected = np.nonzero((span.replica == number) & ~np.isnan(finish_s))[0]
                first = np.searchsorted(began_s, span.from_s[selected] * (1 - _CLOSE))
                last = np.searchsorted(ended_s, span.to_s[selected] * (1 + _CLOSE), side="right")
                of_request_s[selected] += so_far_s[last] - so_far_s[np.minimum(first, last)]
    place = {request.number: index for index, request in enumerate(requests)}
    for transfer in transfers:
        if transfer.request >= 0:  # the transfer serves a single request
            lost.kv_contention_s[place[transfer.request]] += (
                transfer.ended_s - transfer.began_s - transfer.alone_s
            )
    return lost


def _spans(requests: Sequence[Request], finish_s: Array) -> Iterator[_Stay]:
    """Yield the spans of time on the decode replica and on a separate prefill replica."""
    admitted_s, read_s, landed_s = (
        request_values(requests, name) for name in ("admitted_s", "read_s", "landed_s")
    )
    replica, prefill_replica = (
        request_values(requests, name, int) for name in ("replica", "prefill_replica")
    )
    handed = prefill_replica >= 0
    yield _Stay(replica, np.where(handed, landed_s, admitted_s), finish_s)
    yield _Stay(np.where(handed, prefill_replica, -1), admitted_s, read_s)
