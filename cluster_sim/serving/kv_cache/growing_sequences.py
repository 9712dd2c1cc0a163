"""GrowingSequences: sequences with individual growth rates, up to a length at which they are full."""

from __future__ import annotations

from heapq import heappop, heappush

_NEVER = 1 << 62


class GrowingSequences:
    """Sums over the sequences below a length, and the number of those that have reached it.

    Lengths are fixed-point numbers of `SpeculativeBlocks.ONE` per token: a sequence with `offset`
    and `rate` has the length offset + rate·t at step t. The moments at which sequences become full
    are events; `advance` handles them, and the sums are exact until the next one.
    """

    __slots__ = ("_counts", "_full_length", "_heap", "full", "growing", "offsets", "rates")

    def __init__(self, full_length: int) -> None:
        self._full_length = full_length
        self.growing = 0
        """Number of sequences below the length."""
        self.full = 0
        """Number of sequences that have reached the length."""
        self.offsets = 0
        """Sum of the offsets of growing sequences."""
        self.rates = 0
        """Sum of the rates of growing sequences."""
        # Sequences of the same step, offset and rate are counted together.
        self._counts: dict[tuple[int, int, int], int] = {}
        self._heap: list[tuple[int, int, int]] = []

    def length(self, clock: int) -> int:
        """Return the summed length of the growing sequences at step `clock`."""
        return self.offsets + self.rates * clock

    def join(self, offset: int, rate: int, now: int) -> None:
        """Add a sequence at step `now`."""
        step = self._full_step(offset, rate)
        if step <= now:
            self.full += 1
            return
        self._change(offset, rate, 1)
        key = step, offset, rate
        if key not in self._counts:
            self._counts[key] = 0
            heappush(self._heap, key)
        self._counts[key] += 1

    def leave(self, offset: int, rate: int, now: int) -> None:
        """Remove a sequence at step `now`."""
        step = self._full_step(offset, rate)
        if step <= now:
            self.full -= 1
            return
        self._change(offset, rate, -1)
        self._counts[step, offset, rate] -= 1

    def advance(self, now: int) -> None:
        """Advance to step `now`."""
        while self._heap and self._heap[0][0] <= now:
            key = heappop(self._heap)
            _, offset, rate = key
            sequences = self._counts.pop(key)
            self._change(offset, rate, -sequences)
            self.full += sequences

    def steps_until_change(self, now: int) -> int:
        """Return the number of steps until the next sequence is full."""
        heap, counts = self._heap, self._counts
        while heap and not counts[heap[0]]:
            del counts[heappop(heap)]
        return heap[0][0] - now if heap else _NEVER

    def _full_step(self, offset: int, rate: int) -> int:
        """Return the first step at which a sequence is full."""
        return -(-(self._full_length - offset) // rate)

    def _change(self, offset: int, rate: int, sequences: int) -> None:
        self.growing += sequences
        self.offsets += sequences * offset
        self.rates += sequences * rate
