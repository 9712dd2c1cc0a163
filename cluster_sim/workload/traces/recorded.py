"""A recorded session: requests of which each waits for the answer to the one before."""

from __future__ import annotations

from array import array
from typing import NamedTuple

from cluster_sim.workload.traces.rows import Pieces, pieces_of


class RecordedStep(NamedTuple):
    """One request of a session."""

    gap_s: float
    """Time from the answer to the request before; 0 for the first [s]."""
    prompt_tokens: int
    """Length of the prompt [tokens]."""
    output_tokens: int
    """Length of the answer [tokens]."""
    blocks: array[int]
    """Identities of the prompt's blocks from the front."""
    block_tokens: int
    """Length of each block, of which the last may be shorter [tokens]."""

    @property
    def pieces(self) -> Pieces:
        """Pieces at the prompt's beginning, see `Request.pieces`.

        They are made anew each time, since they take ten times the memory.
        """
        return pieces_of(self.blocks, self.prompt_tokens, self.block_tokens)


class RecordedSession(NamedTuple):
    """One session, as it was."""

    start_s: float
    """Time at which it starts [s]."""
    steps: tuple[RecordedStep, ...]
    """Requests of the session, in their order."""
