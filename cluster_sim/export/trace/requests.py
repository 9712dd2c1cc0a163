"""Tracks of requests with their phases, and counters of waiting and running requests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from typing import Any, NamedTuple

from cluster_sim.export.perfetto import TraceEvent, TraceWriter
from cluster_sim.export.trace.replicas import ReplicaTracks
from cluster_sim.export.trace.tables import RunTables, ns
from cluster_sim.export.trace.track_pool import TrackPool

PHASES = ("queue", "prefill", "wait for a decode replica", "KV transfer", "decode")
"""Names of the phases of a request, in order of time."""
REQUEST_FIGURES = (
    "status",
    "class",
    "pool",
    "prompt_tokens",
    "output_tokens",
    "prefix_hit_tokens",
    "preemptions",
    "ttft_ms",
    "e2el_ms",
)
"""Figures that are arguments of the slice of a request."""
_NOWHERE = -1
"""Number in place of a replica's for a change that concerns no queue of a replica."""


class _CountChange(NamedTuple):
    """Change of the numbers of waiting and running requests."""

    at_ns: int
    """Time of the change [ns]."""
    waiting: int
    """Change of the number of waiting requests."""
    running: int
    """Change of the number of running requests."""
    replica: int
    """Number of the replica whose queue the request leaves."""


class RequestTracks:
    """Tracks of all requests of a run."""

    def __init__(
        self,
        out: TraceWriter,
        replicas: Sequence[ReplicaTracks],
        latencies_s: Sequence[float],
        end_ns: int,
    ) -> None:
        """Add the tracks.

        Parameters
        ----------
        out
            Trace that is written.
        replicas
            Tracks of the replicas, by number.
        latencies_s
            Latency from each replica to the front door, by number [s].
        end_ns
            Time at which the run ends [ns].
        """
        above = out.track("Requests", rank=1)
        waiting = out.counter("waiting", "requests", above, 0)
        running = out.counter("running", "requests", above, 1)
        self._out, self._replicas, self._latencies_s = out, replicas, latencies_s
        self._end_ns = end_ns
        self._waiting, self._running = waiting, running
        self._counts = {waiting: 0, running: 0}
        self._tracks = TrackPool(out, above)
        self._ahead: list[_CountChange] = []

    def write(self, tables: RunTables) -> None:
        """Write the requests in order of arrival; later changes wait in a heap."""
        lost_s = _lost_s(tables)
        for row in tables.rows(tables.served):
            if row["status"] == "rejected":
                continue
            arrived_ns = ns(row["arrival_s"])
            self._pass_until(arrived_ns)
            entry = row["replica"] if row["prefill_replica"] is None else row["prefill_replica"]
            waits_at = _NOWHERE if entry is None else entry
            self._count(arrived_ns, waits_at, 1, 0)
            is_admitted = row["admitted_s"] is not None
            if is_admitted:
                heappush(self._ahead, _CountChange(ns(row["admitted_s"]), -1, 1, waits_at))
            left_s = lost_s.get(row["request"], row.get("left_s", row["finish_s"]))
            if left_s is not None:
                change = (0, -1, _NOWHERE) if is_admitted else (-1, 0, waits_at)
                heappush(self._ahead, _CountChange(ns(left_s), *change))
            self._request(row, entry, self._end_ns if left_s is None else ns(left_s))
        self._pass_until(None)

    def _pass_until(self, at_ns: int | None) -> None:
        """Apply the changes until a time [ns], or all changes."""
        while self._ahead and (at_ns is None or self._ahead[0].at_ns <= at_ns):
            then_ns, waiting, running, replica = heappop(self._ahead)
            self._count(then_ns, replica, waiting, running)

    def _count(self, at_ns: int, replica: int, waiting: int, running: int) -> None:
        """Change the numbers of waiting and running requests, and the queue of a replica."""
        for track, change in ((self._waiting, waiting), (self._running, running)):
            if change:
                self._counts[track] += change
                self._out.value(track, at_ns, self._counts[track])
        if waiting and replica >= 0:
            self._replicas[replica].queue(at_ns, waiting)

    def _request(self, row: dict[str, Any], entry: int | None, end_ns: int) -> None:
        """Write the phases of a request, and an arrow over its replicas."""
        out, number = self._out, row["request"]
        arrived_ns, flow = ns(row["arrival_s"]), number + 1
        track = self._tracks.take(arrived_ns, end_ns)
        out.begin(track, arrived_ns, TraceEvent(_name(row), "request", _figures(row)))
        began_ns = arrived_ns
        for phase, until_ns in zip(PHASES, _phase_ends_ns(row, end_ns), strict=True):
            if until_ns > began_ns or phase == "queue":
                passing = flow if phase == "queue" else 0
                out.begin(track, began_ns, TraceEvent(phase, "phase", flow=passing))
                out.end(track, until_ns)
            began_ns = until_ns
        out.end(track, end_ns)
        args = {"request": number}
        if row["admitted_s"] is not None and entry is not None:
            admitted = TraceEvent("admitted", "event", args, flow)
            out.instant(self._replicas[entry].passing, ns(row["admitted_s"]), admitted)
        if row["finish_s"] is not None:
            at_ns = ns(row["finish_s"] - self._latencies_s[row["replica"]])
            finished = TraceEvent("finished", "event", args, flow)
            passing = self._replicas[row["replica"]].passing
            out.instant(passing, at_ns, finished, ends_flow=True)


def _lost_s(tables: RunTables) -> dict[int, float]:
    """Return the time at which requests were lost with their replica [s], by number."""
    rows = tables.rows("events", ("what", "request", "at_s"))
    return {row["request"]: row["at_s"] for row in rows if row["what"] == "failed"}


def _name(row: dict[str, Any]) -> str:
    """Return the name of the slice of a request, or of an attempt."""
    if "original" in row:
        return f"request {row['original']}, attempt {row['attempt'] + 1}"
    return f"request {row['request']}"


def _figures(row: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of the slice of a request."""
    figures = {name: row[name] for name in REQUEST_FIGURES if row.get(name) not in (None, "")}
    for name, until in (("ttft_ms", "first_token_s"), ("e2el_ms", "finish_s")):
        if row[until] is not None:
            figures[name] = 1e3 * (row[until] - row["arrival_s"])
    return figures


def _phase_ends_ns(row: dict[str, Any], end_ns: int) -> Iterator[int]:
    """Yield the end of each phase [ns]; a phase that the request does not have takes no time."""
    seen_s = row["first_token_s"]
    ends_s = [row["admitted_s"], seen_s, None, None]
    if seen_s is not None and row["hand_over_wait_s"] is not None:
        ends_s[2] = seen_s + row["hand_over_wait_s"]
        ends_s[3] = ends_s[2] + (row["kv_transfer_s"] or 0.0)
    at_ns = ns(row["arrival_s"])
    is_cut = False
    for place, until_s in enumerate(ends_s):
        if until_s is None and place < 2:  # the run ended before, or the request was lost
            is_cut = True
        if is_cut:
            at_ns = end_ns
        elif until_s is not None:
            at_ns = max(min(ns(until_s), end_ns), at_ns)
        yield at_ns
    yield end_ns
