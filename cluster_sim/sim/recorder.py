"""Rows of what happened, appended by the processes and made into tables at the end."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

from cluster_sim.request import Request

EventRow = tuple[float, str, int, int, float]


class Recorder:
    """All requests, those still inside, and the rows of stretches and events."""

    def __init__(self) -> None:
        self.stretches = array("d")
        """Row after row of results.STRETCH_COLUMNS: 8 bytes a value, and numpy reads it in place."""
        self.events: list[EventRow] = []
        """The columns are results.EVENT_COLUMNS."""
        self.gone: list[Request] = []
        """Finished or rejected, in that order of time."""
        self.rejected: set[int] = set()
        self._inside: dict[int, Request] = {}

    def enters(self, request: Request) -> None:
        """A request has arrived at the front door."""
        self._inside[request.number] = request

    def finishes(self, request: Request) -> None:
        """The last token of its answer is made."""
        del self._inside[request.number]
        self.gone.append(request)

    def rejects(self, request: Request, now_s: float) -> None:
        """No replica could ever serve it."""
        del self._inside[request.number]
        self.rejected.add(request.number)
        self.gone.append(request)
        self.events.append((now_s, "rejected", -1, request.number, float(request.footprint)))

    def everyone(self) -> Iterator[Request]:
        """Every request that ever arrived, in the order of arrival."""
        return iter(sorted((*self.gone, *self._inside.values()), key=lambda request: request.number))

    @property
    def inside(self) -> int:
        """Requests that have arrived and neither finished nor been rejected."""
        return len(self._inside)
