"""Maximum token rate of a run, as clients count it."""

from __future__ import annotations

import numpy as np

from cluster_sim.export.client_view import Answers
from cluster_sim.results.streaming.chunks import Chunks
from cluster_sim.typing import Array


def max_tokens_per_second(answers: Answers) -> float:
    """Return the maximum number of tokens in a second [tokens/s].

    Seconds are counted from the first arrival. First tokens and later chunks of finished requests
    each count as one.
    """
    if not answers.done.any():
        return 0.0
    chunks = Chunks(answers.results) if answers.chunks is None else answers.chunks
    seconds = _Seconds(float(np.min(answers.arrival_s)), int(answers.duration_s) + 2)
    seconds.add(answers.of_done.first_token_s, np.ones(len(answers.of_done.first_token_s)))
    times_s, weight = chunks.arrivals()
    seconds.add(times_s, weight.astype(float))
    return float(np.max(seconds.counts))


class _Seconds:
    """Number of tokens in each second after a start time."""

    def __init__(self, began_s: float, count: int) -> None:
        self._began_s = began_s
        self.counts = np.zeros(count)

    def add(self, times_s: Array, weights: Array) -> None:
        """Count tokens at these times [s]; times outside count in the first or last second."""
        place = np.clip((times_s - self._began_s).astype(np.int64), 0, len(self.counts) - 1)
        np.add(self.counts, np.bincount(place, weights, len(self.counts)), out=self.counts)
