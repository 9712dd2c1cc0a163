"""A recorded session: requests of which each waits for the answer to the one before."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from typing import NamedTuple

import numpy as np

from cluster_sim.workload.traces.rows import Pieces, pieces_of


class RecordedStep(NamedTuple):
    """One request of a session."""

    gap_s: float
    """Time from the answer to the request before; 0 for the first [s]."""
    prompt_tokens: int
    """Length of the prompt [tokens]."""
    output_tokens: int
    """Length of the answer [tokens]."""
    blocks: Sequence[int]
    """Identities of the prompt's blocks from the front."""
    block_tokens: int | Sequence[int]
    """Length of each block, of which the last may be shorter, or a length for each [tokens]."""
    due_s: float = 0.0
    """Earliest time after the session's start; 0 where only the answer before decides [s]."""
    recorded_s: float = nan
    """Recorded time after the session's start; NaN where the file has none [s]."""

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
    adds: bool = False
    """Whether a prompt's length is what the turn adds to the conversation. Default: the whole of it."""

    def lengths(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the lengths of all prompts, the conversation so far included, and of all answers."""
        prompt, output = (
            np.array([step[at] for step in self.steps], dtype=np.int64) for at in (1, 2)
        )
        if self.adds:
            prompt = np.cumsum(prompt + output) - output
        return prompt, output

    def count_from(self, time_s: float) -> int:
        """Return how many requests come at this time or later.

        Where the file does not say when a request came, its pause is counted from the one before.
        """
        count, at_s = 0, self.start_s
        for step in self.steps:
            is_timed = step.recorded_s == step.recorded_s
            at_s = self.start_s + step.recorded_s if is_timed else at_s + step.gap_s
            count += at_s >= time_s
        return count

    def sped_up(self, speedup: float) -> RecordedSession:
        """Return the session with its start and all its pauses divided by `speedup`."""
        if speedup == 1.0:
            return self
        steps = tuple(
            step._replace(gap_s=step.gap_s / speedup, due_s=step.due_s / speedup)
            for step in self.steps
        )
        return RecordedSession(self.start_s / speedup, steps, self.adds)
