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
ThrottleRow = tuple[float, int, float, float, str]


class Recorder:
    """All requests, and the rows of stretches and events."""

    def __init__(self) -> None:
        self.stretches = bytearray()
        """Row after row of results.STRETCH_COLUMNS as PACK_STRETCH packs them: numpy reads them in
        place, and they are no objects (half the time of an array's extend, a fifth of the memory of
        tuples)."""
        self.events: list[EventRow] = []
        """The columns are results.EVENT_COLUMNS."""
        self.requests: list[Request] = []
        """Every request that ever arrived, in the order of arrival."""
        self.rejected: dict[int, str] = {}
        """Numbers of the requests that were turned away, and why."""
        self.transfers: list[TransferRow] = []
        """The columns are results.TRANSFER_COLUMNS."""
        self.bytes_over: dict[tuple[str, ParallelPaths], float] = {}
        """By kind of traffic and lanes."""
        self.full_s: dict[Hashable, float] = {}
        """How long each link held a transfer back, those left out that never did."""
        self.throttles: list[ThrottleRow] = []
        """Whenever something about a spot changes: when, its place among all, its clock and its
        memory's bandwidth as shares, and why."""
        self.die_c: dict[str, float] = {}
        """As it was when last looked at, of each device for which equally warm ones stand, where
        one could reach a limit."""
        self.left = 0
        """Requests that finished, failed or were rejected."""

    def moved(
        self,
        kind: str,
        lanes: ParallelPaths,
        who: tuple[int, int, int],
        size: float,
        began_s: float,
        ended_s: float,
        alone_s: float,
    ) -> None:
        """A transfer of so many bytes has ended, which took `alone_s` with nobody else about."""
        self.transfers.append((kind, *who, size, began_s, ended_s, alone_s))
        self.bytes_over[kind, lanes] = self.bytes_over.get((kind, lanes), 0.0) + size

    def rejects(self, request: Request, now_s: float, reason: str) -> None:
        """It is turned away at the front door."""
        self.left += 1
        self.rejected[request.number] = reason
        self.events.append((now_s, "rejected", -1, request.number, float(request.footprint)))

    def fails(self, request: Request, now_s: float) -> None:
        """It was lost with the devices that served it, and nobody else takes it."""
        self.left += 1
        self.events.append(
            (now_s, "failed", request.replica, request.number, float(request.generated))
        )

    @property
    def inside(self) -> int:
        """Requests that have arrived and neither finished, failed nor been rejected."""
        return len(self.requests) - self.left
