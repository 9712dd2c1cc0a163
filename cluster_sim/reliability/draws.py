"""Faults of all nodes, devices and links of a site, in order of time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from heapq import merge
from typing import NamedTuple

from cluster_sim.reliability.failures import FaultRate
from cluster_sim.reliability.fault import Fault, FaultKind, Streams
from cluster_sim.reliability.gaps import AnyGaps

_KIND_OF: dict[str, FaultKind] = {
    "node": "node_failure",
    "device": "device_failure",
    "link": "link_failure",
}


class Place(NamedTuple):
    """A node, device or link whose faults are drawn."""

    kind: str
    """Kind of place: node, device or link."""
    name: str
    """Name of the place."""
    rate: FaultRate
    """Rate and repair of its faults. Both are given."""


def drawn_faults(
    places: Iterable[Place],
    gaps: AnyGaps,
    streams: Streams,
) -> Iterator[Fault]:
    """Yield the faults of all places in order of time, indefinitely.

    Parameters
    ----------
    places
        Nodes, devices and links that may fail.
    gaps
        Process of the gaps between faults.
    streams
        Random generators by name. The faults of a place depend on its name only.
    """
    return merge(
        *(faults_of(place, gaps, streams) for place in places), key=lambda fault: fault.at_s
    )


def faults_of(place: Place, gaps: AnyGaps, streams: Streams) -> Iterator[Fault]:
    """Yield the faults of one place in order of time, indefinitely."""
    kind, name, rate = place
    assert rate.mtbf_s is not None and rate.repair is not None
    stream = f"{kind}/{name}"
    repair_s = partial(rate.repair.draw_s, streams(f"{stream}/repair"))
    for at_s, lasts_s in gaps.faults(stream, rate.mtbf_s, repair_s, streams):
        yield Fault(at_s, lasts_s, _KIND_OF[kind], name)
