"""A recorded session: requests of which each waits for the answer to the one before."""

from __future__ import annotations

from array import array
from typing import NamedTuple

from cluster_sim.workload.traces.rows import Pieces, pieces_of


class Step(NamedTuple):
    """One request of a session."""

    gap_s: float
    """From the answer to the request before; 0 for the first."""
    prompt_tokens: int
    output_tokens: int
    blocks: array[int]
    """Identities of the prompt's blocks from the front; the last may be of fewer tokens."""
    block_tokens: int

    @property
    def pieces(self) -> Pieces:
        """Identities of the prompt's beginning, see `Request.pieces`; made anew each time, since
        they take ten times the room.
        """
        return pieces_of(self.blocks, self.prompt_tokens, self.block_tokens)


class Recorded(NamedTuple):
    """One session, as it was."""

    start_s: float
    steps: tuple[Step, ...]
