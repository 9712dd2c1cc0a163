"""Tracks with one name, as many as there are concurrent slices."""

from __future__ import annotations

from heapq import heappop, heappush

from cluster_sim.export.perfetto import TraceWriter


class TrackPool:
    """Tracks with one name below a parent track; Perfetto shows them together."""

    def __init__(self, out: TraceWriter, above: int, name: str = "requests") -> None:
        """Start without tracks, below the track `above`."""
        self._out, self._above, self._name = out, above, name
        self._taken: list[tuple[int, int]] = []
        self._free: list[int] = []

    def take(self, from_ns: int, until_ns: int) -> int:
        """Return a track that is free at `from_ns`, and reserve it until `until_ns` [ns].

        Calls must be in order of `from_ns`.
        """
        while self._taken and self._taken[0][0] <= from_ns:
            heappush(self._free, heappop(self._taken)[1])
        track = heappop(self._free) if self._free else self._out.track(self._name, self._above, 2)
        heappush(self._taken, (until_ns, track))
        return track
