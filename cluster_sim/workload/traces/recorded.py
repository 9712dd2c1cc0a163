"""Recorded sessions: requests that each wait for the previous answer."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from typing import NamedTuple

import numpy as np

from cluster_sim.workload.traces.rows import Pieces, pieces_of


class RecordedStep(NamedTuple):
    """One request of a recorded session."""

    gap_s: float
    """Time from the previous answer until this request; 0 for the first [s]."""
    prompt_tokens: int
    """Length of the prompt [tokens]."""
    output_tokens: int
    """Length of the answer [tokens]."""
    blocks: Sequence[int]
    """Identities of the blocks of the prompt, from its beginning."""
    block_tokens: int | Sequence[int]
    """Length of every block, except that the last may be shorter; or one length per block [tokens]."""
    due_s: float = 0.0
    """Earliest time after the session's start; 0 if only the previous answer decides [s]."""
    recorded_s: float = nan
    """Recorded time after the session's start; NaN if the file has no times [s]."""

    @property
    def pieces(self) -> Pieces:
        """Pieces at the beginning of the prompt, see `Request.pieces`.

        The tuple is built at each access, since it needs ten times the memory of the blocks.
        """
        return pieces_of(self.blocks, self.prompt_tokens, self.block_tokens)


class RecordedSession(NamedTuple):
    """One recorded session."""

    start_s: float
    """Time at which the session starts [s]."""
    steps: tuple[RecordedStep, ...]
    """Requests of the session, in order."""
    adds: bool = False
    """Whether the length of a prompt counts only the new tokens of the turn. Default: the whole
    prompt is counted."""

    def lengths(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the lengths of all whole prompts, including the history, and answers [tokens]."""
        prompt, output = (
            np.array([step[at] for step in self.steps], dtype=np.int64) for at in (1, 2)
        )
        if self.adds:
            prompt = np.cumsum(prompt + output) - output
        return prompt, output

    def count_from(self, time_s: float) -> int:
        """Return the number of requests at this time [s] or later.

        If the file has no time of a request, its pause is counted from the previous request.
        """
        count, at_s = 0, self.start_s
        for step in self.steps:
            is_timed = step.recorded_s == step.recorded_s
            at_s = self.start_s + step.recorded_s if is_timed else at_s + step.gap_s
            count += at_s >= time_s
        return count

    def sped_up(self, speedup: float) -> RecordedSession:
        """Return the session with its start and all pauses divided by `speedup`."""
        if speedup == 1.0:
            return self
        steps = tuple(
            step._replace(gap_s=step.gap_s / speedup, due_s=step.due_s / speedup)
            for step in self.steps
        )
        return RecordedSession(self.start_s / speedup, steps, self.adds)
