"""Maximum token rate of a run, as clients count it."""

from __future__ import annotations

import numpy as np

from cluster_sim.export.client_view import Answers
from cluster_sim.typing import Array

_STEPS_AT_A_TIME = 1 << 20
"""Number of engine steps that are expanded together."""


def max_tokens_per_second(answers: Answers) -> float:
    """Return the maximum number of tokens in a second [tokens/s].

    Seconds are counted from the first arrival. First tokens and later chunks each count as one.
    """
    if not answers.done.any():
        return 0.0
    seconds = _Seconds(float(np.min(answers.arrival_s)), int(answers.duration_s) + 2)
    seconds.add(answers.of_done.first_token_s, np.ones(len(answers.of_done.first_token_s)))
    if answers.chunks is None:
        _add_steps(answers, seconds)
    else:
        times_s, weight = answers.chunks.arrivals()
        seconds.add(times_s, weight.astype(float))
    return float(np.max(seconds.counts))


def _add_steps(answers: Answers, seconds: _Seconds) -> None:
    """Count the chunks after the first, if each engine step sends one."""
    results = answers.results
    table, latency_s = results.stretches, np.array(results.fleet.answer_latencies_s)
    replica, began, first_s, slope_s, steps, weight = (
        table[name].to_numpy()
        for name in ("replica", "began_s", "first_s", "slope_s", "steps", "counted")
    )
    weight = np.where(table["batch"].to_numpy() > 0, weight, 0)  # others hold still
    upto = np.cumsum(steps)
    ends = np.searchsorted(upto, np.arange(_STEPS_AT_A_TIME, int(upto[-1]), _STEPS_AT_A_TIME))
    for part in np.split(np.arange(len(steps)), ends):
        row = np.repeat(part, steps[part])
        n = np.arange(len(row)) - np.repeat(np.cumsum(steps[part]) - steps[part], steps[part]) + 1.0
        ended_s = began[row] + n * first_s[row] + slope_s[row] * n * (n - 1) / 2
        seconds.add(ended_s + latency_s[replica[row]], weight[row].astype(float))
    resumed = results.events["what"].to_numpy() == "resumed"
    request, at_s = (results.events[name].to_numpy()[resumed] for name in ("request", "at_s"))
    is_counted = np.isin(request, answers.number)
    seconds.add(at_s[is_counted], np.ones(int(is_counted.sum())))


class _Seconds:
    """Number of tokens in each second after a start time."""

    def __init__(self, began_s: float, count: int) -> None:
        self._began_s = began_s
        self.counts = np.zeros(count)

    def add(self, times_s: Array, weights: Array) -> None:
        """Count tokens at these times [s]; times outside count in the first or last second."""
        place = np.clip((times_s - self._began_s).astype(np.int64), 0, len(self.counts) - 1)
        np.add(self.counts, np.bincount(place, weights, len(self.counts)), out=self.counts)
