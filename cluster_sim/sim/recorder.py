"""Rows of what happened, appended by the processes and made into tables at the end."""

from __future__ import annotations

from struct import Struct

from cluster_sim.request import Request

PACK_STRETCH = Struct("21d").pack

EventRow = tuple[float, str, int, int, float]


class Recorder:
    """All requests, and the rows of stretches and events."""

    def __init__(self) -> None:
        self.stretches = bytearray()
        """Row after row of results.STRETCH_COLUMNS as PACK_STRETCH packs them: numpy reads them in place, and they are no
        objects (half the time of an array's extend, a fifth of the memory of tuples)."""
        self.events: list[EventRow] = []
        """The columns are results.EVENT_COLUMNS."""
        self.requests: list[Request] = []
        """Every request that ever arrived, in the order of arrival."""
        self.rejected: dict[int, str] = {}
        """Numbers of the requests that were turned away, and why."""
        self.kv_moved: dict[tuple[int, int], tuple[int, float]] = {}
        """From one replica to another: hand-overs, and bytes of KV."""
        self.left = 0
        """Requests that finished or were rejected."""

    def rejects(self, request: Request, now_s: float, reason: str) -> None:
        """It is turned away at the front door."""
        self.left += 1
        self.rejected[request.number] = reason
        self.events.append((now_s, "rejected", -1, request.number, float(request.footprint)))

    @property
    def inside(self) -> int:
        """Requests that have arrived and neither finished nor been rejected."""
        return len(self.requests) - self.left
