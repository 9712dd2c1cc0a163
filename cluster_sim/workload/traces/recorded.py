"""A recorded session: requests of which each waits for the answer to the one before."""

from __future__ import annotations

from typing import NamedTuple

from cluster_sim.workload.traces.rows import Pieces


class Step(NamedTuple):
    """One request of a session."""

    gap_s: float
    """From the answer to the request before; 0 for the first."""
    prompt_tokens: int
    output_tokens: int
    pieces: Pieces
    """Identities of the prompt's beginning, see `Request.pieces`."""


class Recorded(NamedTuple):
    """One session, as it was."""

    start_s: float
    steps: tuple[Step, ...]
