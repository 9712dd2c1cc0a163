"""The table of links."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from cluster_sim.results.recorder import Recorder
from cluster_sim.topology import Edge, Route, Topology

_BytesOver = dict[str, dict[Edge, float]]
"""Bytes of transfers over each edge, by kind of transfer."""


def links_table(
    topology: Topology,
    paths: Sequence[Route],
    requests: pa.Table,
    recorder: Recorder,
    simulated_s: float,
) -> pa.Table:
    """Return one row per link, see columns.LINKS.

    Shares are those of the time until the end of the run, or of a later end of its last transfer.

    Parameters
    ----------
    topology
        Graph of the cluster's links.
    paths
        Path from the front door to each replica, by number.
    requests
        Table of requests of the run.
    recorder
        Recorded transfers of the run.
    simulated_s
        Length of the run [s].
    """
    crossed = _crossed(paths, requests)
    lasted_s = max(simulated_s, recorder.moved_until_s)
    over = _over_links(recorder)
    stands_for = _stands_for(recorder, topology)
    columns = (
        "from",
        "to",
        "kind",
        "bandwidth_bytes_per_s",
        "latency_s",
        "requests",
        *(f"{kind}_bytes" for kind in over),
        "utilisation",
        "saturated_share",
    )
    rows: dict[str, list[Any]] = {name: [] for name in columns}
    for start, end, data in topology.graph.edges(data=True):
        link = data["link"]
        both = (start, end), (end, start)
        moved = {kind: [by_edge.get(edge, 0.0) for edge in both] for kind, by_edge in over.items()}
        directions = [sum(bytes_) for bytes_ in zip(*moved.values(), strict=True)]
        busiest = sum(directions) if link.duplex == "half" else max(directions)
        full_s = max(
            recorder.full_s.get(stands_for.get(edge, topology.resource(edge)), 0.0) for edge in both
        )
        row = (
            start,
            end,
            link.kind,
            link.bandwidth_bytes_per_s,
            link.latency_s,
            crossed.get(frozenset(both[0]), 0),
            *(sum(bytes_) for bytes_ in moved.values()),
            busiest / (link.bandwidth_bytes_per_s * lasted_s) if lasted_s else 0.0,
            full_s / lasted_s if lasted_s else 0.0,
        )
        for name, value in zip(rows, row, strict=True):
            rows[name].append(value)
    return pa.table(rows)


def _crossed(paths: Sequence[Route], requests: pa.Table) -> dict[frozenset[str], int]:
    """Return the number of requests that cross each link on their way in, by ends of the link."""
    # NaN here means null: the request had no separate prefill replica, or was rejected
    entry = requests["prefill_replica"].to_numpy().astype(float)
    replica = np.where(np.isnan(entry), requests["replica"].to_numpy().astype(float), entry)
    served = np.bincount(replica[~np.isnan(replica)].astype(int), minlength=len(paths))
    crossed: dict[frozenset[str], int] = {}
    for path, count in zip(paths, served.tolist(), strict=True):
        for pair in pairwise(path.places):
            crossed[frozenset(pair)] = crossed.get(frozenset(pair), 0) + count
    return crossed


def _over_links(recorder: Recorder) -> _BytesOver:
    """Return the bytes of transfers over each edge, by kind of transfer."""
    over: _BytesOver = {"kv": {}}
    for (kind, paths), moved in recorder.bytes_over.items():
        of_kind = over.setdefault(kind, {})
        for edge, part in paths.edges.items():
            of_kind[edge] = of_kind.get(edge, 0.0) + part * moved
    for kind, edges in recorder.bytes_over_edges.items():
        of_kind = over.setdefault(kind, {})
        for edge, moved in edges.items():
            of_kind[edge] = of_kind.get(edge, 0.0) + moved
    return over


def _stands_for(recorder: Recorder, topology: Topology) -> dict[Edge, Hashable]:
    """Return the resource whose saturation represents each edge.

    All edges of a group of devices carry the same share of the group's traffic.
    """
    resources: dict[Edge, Hashable] = {}
    seen: set[Hashable] = set()
    for paths in (*(paths for _, paths in recorder.bytes_over), *recorder.wide_paths.values()):
        if recorder.full_s and not seen.issuperset(paths.ends):
            seen.update(paths.ends)
            resources |= paths.stands_for(topology)
    return resources
