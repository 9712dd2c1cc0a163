"""Tracks of KV transfers, and counters of the links on their paths."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from cluster_sim.deployment.fleet import kv_group_path
from cluster_sim.export.perfetto import TraceEvent, TraceWriter
from cluster_sim.export.trace.replicas import ReplicaTracks
from cluster_sim.export.trace.tables import RunTables, ns
from cluster_sim.export.trace.track_pool import TrackPool
from cluster_sim.topology import Topology

_COLUMNS = (
    "request",
    "replica",
    "prefill_replica",
    "first_token_s",
    "hand_over_wait_s",
    "kv_transfer_s",
    "prompt_tokens",
)


class _Transfer(NamedTuple):
    """KV transfer of one request."""

    began_ns: int
    """Time at which the transfer begins [ns]."""
    ended_ns: int
    """Time at which the transfer ends [ns]."""
    request: int
    """Number of the request."""
    moved_bytes: float
    """Size of the transfer [bytes]."""


Loads = dict[tuple[str, str], list[tuple[int, float]]]
"""Changes of the rate on each link: time [ns] and difference [GB/s]."""


def write_links(
    tables: RunTables,
    replicas: Sequence[ReplicaTracks],
    latencies_s: Sequence[float],
    topology: Topology,
    out: TraceWriter,
) -> None:
    """Write KV transfers, and the load of the links between the first devices of each pair.

    Parallel paths between other devices of the pair have equal loads. Replicas with several
    attention ranks have no counters, since each of their ranks has links of its own.
    """
    sent = _transfers(tables, replicas, latencies_s)
    if not sent:
        return
    group = out.track("Links", rank=3)
    loads: Loads = {}
    for (start, end), transfers in sorted(sent.items()):
        source, target = replicas[start].spec, replicas[end].spec
        path = kv_group_path(topology, source, target)
        has_ranks = any(spec.deployment.attention_ranks > 1 for spec in (source, target))
        tracks = TrackPool(
            out, out.track(f"{source.label} to {target.label}", group), "KV transfers"
        )
        for began_ns, ended_ns, request, moved in sorted(transfers):
            track = tracks.take(began_ns, ended_ns)
            args = {"request": request, "bytes": moved}
            out.begin(track, began_ns, TraceEvent("KV", "transfer", args))
            out.end(track, ended_ns)
            if ended_ns > began_ns and not has_ranks:
                rate = moved / path.count / (ended_ns - began_ns)  # bytes per nanosecond are GB/s
                for first, second in pairwise(path.route.places):
                    link = min(first, second), max(first, second)
                    loads.setdefault(link, []).extend([(began_ns, rate), (ended_ns, -rate)])
    for (first, second), changes in sorted(loads.items()):
        _write_load(out, out.counter(f"{first} - {second}", "GB/s", group, 1), changes)


def _transfers(
    tables: RunTables, replicas: Sequence[ReplicaTracks], latencies_s: Sequence[float]
) -> dict[tuple[int, int], list[_Transfer]]:
    """Return the KV transfers by numbers of the sending and receiving replica."""
    sent: dict[tuple[int, int], list[_Transfer]] = {}
    for row in tables.rows(tables.served, _COLUMNS):
        if row["kv_transfer_s"] is not None:
            pair = row["prefill_replica"], row["replica"]
            began_s = row["first_token_s"] - latencies_s[pair[0]] + row["hand_over_wait_s"]
            ended_s = began_s + row["kv_transfer_s"]
            moved = replicas[pair[1]].spec.deployment.kv_bytes(row["prompt_tokens"])
            transfer = _Transfer(ns(began_s), ns(ended_s), row["request"], moved)
            sent.setdefault(pair, []).append(transfer)
    return sent


def _write_load(out: TraceWriter, track: int, changes: list[tuple[int, float]]) -> None:
    """Write the rate on a link as a counter."""
    changes.sort()
    times_ns = np.array([at_ns for at_ns, _ in changes])
    rates = np.cumsum([change for _, change in changes])
    last = np.append(np.diff(times_ns) > 0, True)
    values = np.maximum(rates[last], 0.0).tolist()
    for at_ns, rate in zip(times_ns[last].tolist(), values, strict=True):
        out.value(track, at_ns, rate)
