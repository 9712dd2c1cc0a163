"""Turns: the steps at which sequences fill a window or begin a chunk."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Generic, TypeVar

NEVER = 1 << 62
"""Number of steps until a turn if there is none."""

Kind = TypeVar("Kind")


class Turns(Generic[Kind]):
    """Numbers of sequences by the step and the kind of their next turn.

    A turn is an event: a sequence fills a window or begins a chunk. Sequences with the same step
    and kind are counted together, and turns of the same step are due in the order of their kinds.
    """

    __slots__ = ("_counts", "_heap")

    def __init__(self) -> None:
        self._counts: dict[tuple[int, Kind], int] = {}
        self._heap: list[tuple[int, Kind]] = []

    def add(self, step: int, kind: Kind, sequences: int = 1) -> None:
        """Add sequences that take a turn at `step`."""
        key = step, kind
        if key not in self._counts:
            self._counts[key] = 0
            heappush(self._heap, key)
        self._counts[key] += sequences

    def remove(self, step: int, kind: Kind) -> None:
        """Remove one of the sequences that take a turn at `step`."""
        self._counts[step, kind] -= 1

    def pop_due(self, now: int) -> tuple[int, Kind, int] | None:
        """Remove the next turn up to step `now`; return (step, kind, sequences)."""
        if not self._heap or self._heap[0][0] > now:
            return None
        key = heappop(self._heap)
        return (*key, self._counts.pop(key))

    def steps_until_next(self, now: int) -> int:
        """Return the number of steps until the next turn of a sequence."""
        heap, counts = self._heap, self._counts
        while heap and not counts[heap[0]]:
            del counts[heappop(heap)]
        return heap[0][0] - now if heap else NEVER
