"""SpeculativeWindow: keys in the sliding windows of sequences that verify drafts."""

from __future__ import annotations

from cluster_sim.serving.kv_cache.decoding_blocks import SpeculativeBlocks
from cluster_sim.serving.kv_cache.growing_sequences import GrowingSequences

_ONE = SpeculativeBlocks.ONE


class SpeculativeWindow:
    """Keys that sequences read in layers with a sliding window, each sequence at its own rate.

    The queries of a step follow each other, so together they see the window of the first one and a
    key more for each draft.
    """

    __slots__ = ("_drafts", "_tokens", "sequences")

    def __init__(self, tokens: int, draft_tokens: int) -> None:
        self._tokens, self._drafts = tokens, draft_tokens
        self.sequences = GrowingSequences((tokens - 1) * _ONE)
        """Sequences that have filled the window, and those that have not."""

    @property
    def growth(self) -> float:
        """Number of keys by which `keys` grows per step."""
        return self.sequences.rates / _ONE

    def keys(self, clock: int) -> float:
        """Return the number of keys that all sequences read in step `clock`."""
        sequences = self.sequences
        fixed = sequences.growing * (1 + self._drafts)
        fixed += sequences.full * (self._tokens + self._drafts)
        return (sequences.length(clock) + fixed * _ONE) / _ONE
