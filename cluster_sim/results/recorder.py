"""Rows of what happened, appended by the processes and made into tables at the end."""

from __future__ import annotations

from collections.abc import Hashable
from struct import Struct

from cluster_sim.request import Request
from cluster_sim.results.columns import STRETCH_COLUMNS
from cluster_sim.results.contention import TransferRow
from cluster_sim.topology import ParallelPaths

PACK_STRETCH = Struct(f"{len(STRETCH_COLUMNS)}d").pack

EventRow = tuple[float, str, int, int, float]
"""Event; its columns are columns.EVENTS."""
ThrottleRow = tuple[float, int, float, float, str]
"""Time [s], number of the group of devices, its clock and its memory bandwidth as shares from then
on, and why."""


class Recorder:
    """All requests, and the rows of stretches and events."""

    def __init__(self) -> None:
        self.stretches = bytearray()
        """Row after row of columns.STRETCHES as PACK_STRETCH packs them.

        NOTE: numpy reads them in place, and they are no objects: half the time of an array's
        extend, a fifth of the memory of tuples."""
        self.events: list[EventRow] = []
        """Events in order of time."""
        self.requests: list[Request] = []
        """Every request that ever arrived, in the order of arrival."""
        self.rejected: dict[int, str] = {}
        """Reason of each rejection, by number of the request."""
        self.failed: dict[int, str] = {}
        """Reason of each failure, by number of the request."""
        self.transfers: list[TransferRow] = []
        """Transfers that have ended."""
        self.bytes_over: dict[tuple[str, ParallelPaths], float] = {}
        """Bytes that transfers moved, by kind of traffic and paths."""
        self.full_s: dict[Hashable, float] = {}
        """Time in which each link held a transfer back [s], of links that did so."""
        self.throttles: list[ThrottleRow] = []
        """Changes of clocks and memory bandwidths by heat."""
        self.die_c: dict[str, float] = {}
        """Temperature of a die when it was last looked at [degC], by name of the device that stands
        for equally warm ones, where one could reach a limit."""
        self.left = 0
        """Number of requests that finished, failed or were rejected."""

    def moved(self, paths: ParallelPaths, transfer: TransferRow) -> None:
        """Record a transfer that has ended."""
        self.transfers.append(transfer)
        key = (transfer.kind, paths)
        self.bytes_over[key] = self.bytes_over.get(key, 0.0) + transfer.bytes

    def cut(self, kind: str, paths: ParallelPaths, moved_bytes: float) -> None:
        """Record what was moved of transfers that will not end."""
        if moved_bytes:
            key = (kind, paths)
            self.bytes_over[key] = self.bytes_over.get(key, 0.0) + moved_bytes

    def rejects(self, request: Request, now_s: float, reason: str) -> None:
        """Record that a request is turned away at the front door."""
        self.left += 1
        self.rejected[request.number] = reason
        self.events.append((now_s, "rejected", -1, request.number, float(request.footprint)))

    def fails(self, request: Request, now_s: float, reason: str) -> None:
        """Record that a request was lost with the devices that served it, and is not retried."""
        self.left += 1
        self.failed[request.number] = reason
        self.events.append(
            (now_s, "failed", request.replica, request.number, float(request.generated))
        )

    @property
    def inside(self) -> int:
        """Number of requests that have arrived and neither finished, failed nor been rejected."""
        return len(self.requests) - self.left
