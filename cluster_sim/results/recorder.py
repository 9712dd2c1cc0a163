"""Recorder: rows that the processes append during a run; tables are built from them at the end."""

from __future__ import annotations

from collections.abc import Hashable
from struct import Struct
from typing import NamedTuple

from cluster_sim.request import ClientRequest, Request
from cluster_sim.results.columns import STRETCH_COLUMNS
from cluster_sim.results.contention import TransferRow
from cluster_sim.topology import Edge, ParallelPaths

PACK_STRETCH = Struct(f"{len(STRETCH_COLUMNS)}d").pack

EventRow = tuple[float, str, int, int, float]
"""Row of an event; its columns are columns.EVENTS."""


class StateRow(NamedTuple):
    """Change of the state of a replica; its columns are columns.STATES."""

    at_s: float
    replica: int
    state: str
    cause: str


ThrottleRow = tuple[float, int, float, float, str]
"""Row of a throttling change: time [s], number of the group of devices, clock and memory bandwidth
from that time on as shares of their normal values, and cause."""


class Recorder:
    """All requests of a run, and the rows of its stretches and events."""

    def __init__(self) -> None:
        self.stretches = bytearray()
        """Rows of columns.STRETCHES, packed by PACK_STRETCH.

        NOTE: numpy reads the bytes in place, and no Python objects are kept: half the time of
        `array.extend`, a fifth of the memory of tuples."""
        self.events: list[EventRow] = []
        """Events in order of time."""
        self.requests: list[Request] = []
        """All requests that have arrived, in the order of arrival."""
        self.rejected: dict[int, str] = {}
        """Reason of each rejection, by number of the request."""
        self.failed: dict[int, str] = {}
        """Reason of each failure, by number of the request."""
        self.cancelled: dict[int, float] = {}
        """Time at which each cancelled request left [s], by number of the request."""
        self.transfers: list[TransferRow] = []
        """Transfers that have ended."""
        self.bytes_over: dict[tuple[str, ParallelPaths], float] = {}
        """Bytes that transfers have moved, by kind of traffic and paths."""
        self.bytes_over_edges: dict[str, dict[Edge, float]] = {}
        """Bytes that transfers have moved over each edge, by kind of traffic, for paths that are
        not worth to keep."""
        self.wide_paths: dict[Hashable, ParallelPaths] = {}
        """One of such paths for each memory at an end of several parallel ones."""
        self.moved_until_s = 0.0
        """Time at which the last transfer ended or was cut off [s]. It may lie after the end of the
        last request."""
        self.full_s: dict[Hashable, float] = {}
        """Time in which each link slowed a transfer down [s]; other links are absent."""
        self.throttles: list[ThrottleRow] = []
        """Changes of clocks and memory bandwidths that heat caused."""
        self.clocks: list[tuple[float, int, float]] = []
        """Changes of clock locks: time [s], number of the replica, and highest clock from that time
        on as a share of the highest clock. A replica without rows has no lock."""
        self.die_c: dict[str, float] = {}
        """Temperature of a die at its last evaluation [degC], by name of the device that represents
        a group with equal temperatures. Groups that can reach no limit are absent."""
        self.states: list[StateRow] = []
        """Changes of the states of replicas; a replica without changes is ready during the whole
        run."""
        self.where: dict[int, str] = {}
        """Node, device or link of an event, by number of the row in `events`."""
        self.originals: list[ClientRequest] = []
        """Requests of clients, in order of arrival, if clients make several attempts; `requests`
        then holds the attempts."""
        self.given_up: dict[int, str] = {}
        """Outcome of each attempt that its client gave up, timed_out or cancelled, by number of the
        attempt. It holds whatever the cluster did with the attempt afterwards."""
        self.left = 0
        """Number of requests that have finished, failed, or been rejected or cancelled."""

    def happens(self, event: EventRow, where: str) -> None:
        """Record an event at a node, device or link."""
        self.where[len(self.events)] = where
        self.events.append(event)

    def moved(self, paths: ParallelPaths, transfer: TransferRow) -> None:
        """Record a transfer that has ended."""
        self.transfers.append(transfer)
        self.moved_until_s = transfer.ended_s
        self._count(transfer.kind, paths, transfer.bytes)

    def cut(self, kind: str, paths: ParallelPaths, moved_bytes: float, now_s: float) -> None:
        """Record the bytes that were moved by transfers that will not end."""
        if moved_bytes:
            self.moved_until_s = now_s
            self._count(kind, paths, moved_bytes)

    def _count(self, kind: str, paths: ParallelPaths, moved_bytes: float) -> None:
        """Count bytes by their paths, or by edges for paths that are not worth to keep."""
        if paths.is_lasting:
            key = kind, paths
            self.bytes_over[key] = self.bytes_over.get(key, 0.0) + moved_bytes
            return
        of_kind = self.bytes_over_edges.setdefault(kind, {})
        for edge, part in paths.edges.items():
            of_kind[edge] = of_kind.get(edge, 0.0) + part * moved_bytes
        if paths.count > 1:
            for end in paths.ends:
                self.wide_paths.setdefault(end, paths)

    def rejects(self, request: Request, now_s: float, reason: str) -> None:
        """Record that a request is rejected at the front door."""
        self.left += 1
        self.rejected[request.number] = reason
        self.events.append((now_s, "rejected", -1, request.number, float(request.footprint)))

    def fails(self, request: Request, now_s: float, reason: str) -> None:
        """Record that a request was lost with the devices that served it and is not retried."""
        self.left += 1
        self.failed[request.number] = reason
        self.events.append(
            (now_s, "failed", request.replica, request.number, float(request.generated))
        )

    def cancels(self, request: Request, now_s: float, replica: int) -> None:
        """Record that a request was cancelled and has left a replica, or the router (-1)."""
        self.left += 1
        self.cancelled[request.number] = now_s
        self.events.append((now_s, "cancelled", replica, request.number, float(request.generated)))

    @property
    def inside(self) -> int:
        """Number of requests that have arrived and have not left."""
        return len(self.requests) - self.left
