"""GrowingSequences: sequences with individual growth rates, up to a length at which they are full."""

from __future__ import annotations

from cluster_sim.serving.kv_cache.turns import Turns


class GrowingSequences:
    """Sums over the sequences below a length, and the number of those that have reached it.

    Lengths are fixed-point numbers of `SpeculativeBlocks.ONE` per token: a sequence with `offset`
    and `rate` has the length offset + rate·t at step t. The moments at which sequences become full
    are events; `advance` handles them, and the sums are exact until the next one.
    """

    __slots__ = ("_full_length", "_turns", "full", "growing", "offsets", "rates")

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
        self._turns: Turns[tuple[int, int]] = Turns()  # by offset and rate

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
        self._turns.add(step, (offset, rate))

    def leave(self, offset: int, rate: int, now: int) -> None:
        """Remove a sequence at step `now`."""
        step = self._full_step(offset, rate)
        if step <= now:
            self.full -= 1
            return
        self._change(offset, rate, -1)
        self._turns.remove(step, (offset, rate))

    def advance(self, now: int) -> None:
        """Advance to step `now`."""
        while (due := self._turns.pop_due(now)) is not None:
            _, (offset, rate), sequences = due
            self._change(offset, rate, -sequences)
            self.full += sequences

    def steps_until_change(self, now: int) -> int:
        """Return the number of steps until the next sequence is full."""
        return self._turns.steps_until_next(now)

    def _full_step(self, offset: int, rate: int) -> int:
        """Return the first step at which a sequence is full."""
        return -(-(self._full_length - offset) // rate)

    def _change(self, offset: int, rate: int, sequences: int) -> None:
        self.growing += sequences
        self.offsets += sequences * offset
        self.rates += sequences * rate
