"""The requests of a run as a client saw them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cluster_sim.export.token_times import TokenTimes
from cluster_sim.results.metrics.finished import Finished, finished, within_slo
from cluster_sim.results.results import Results
from cluster_sim.typing import Array

REJECTED = "rejected"
"""Reason why a request without an answer failed: it was turned away."""
CUT_OFF = "had not finished when the run ended"
"""Reason why a request without an answer failed: the run ended before."""


@dataclass(frozen=True)
class Answers:
    """Every request outside the warm-up, in order of arrival."""

    results: Results
    """The run."""
    number: Array
    """Number of each request, as in the run's tables."""
    done: Array
    """Whether each request finished; the columns of `of_done` have one value for each that did."""
    rejected: Array
    """Whether each request was rejected."""
    arrival_s: Array
    """Time at which each request was sent [s]."""
    first_token_s: Array
    """Time at which its first token was at the front door; NaN if none came [s]."""
    finish_s: Array
    """Time at which its last token was there; NaN if it did not finish [s]."""
    prompt_tokens: Array
    """Length of each prompt [tokens]."""
    output_tokens: Array
    """Length that was asked for; the answer has it where it finished [tokens]."""
    prefix_hit_tokens: Array
    """Tokens of each prompt that the prefix cache held [tokens]."""
    of_done: Finished
    """Columns of the requests that finished."""

    @cached_property
    def good(self) -> Array | None:
        """Which finished requests meet the objectives; None if there are no objectives."""
        return within_slo(self.results, self.of_done)

    @cached_property
    def times(self) -> TokenTimes:
        """Times of the tokens of the requests that finished."""
        return TokenTimes(self.results)

    @property
    def duration_s(self) -> float:
        """Time from the first request until the last answer's end [s]; 0 without answers."""
        if not self.done.any():
            return 0.0
        return float(np.max(self.of_done.finish_s) - np.min(self.arrival_s))

    @property
    def end_s(self) -> float:
        """Time at which the run had ended for the requests without an answer [s]."""
        return float(self.results.info.simulated_s)

    @cached_property
    def ended_s(self) -> Array:
        """Time at which each request had ended: answered, turned away or cut off [s]."""
        without_answer_s = np.where(self.rejected, self.arrival_s, self.end_s)
        ended_s: Array = np.where(self.done, self.finish_s, without_answer_s)
        return ended_s

    def failure(self, place: int) -> str | None:
        """Return why the request at this place has no answer; None if it has one."""
        if self.done[place]:
            return None
        return REJECTED if self.rejected[place] else CUT_OFF

    def per_second(self, amount: float) -> float:
        """Return an amount per second of the duration; 0 without answers."""
        return amount / self.duration_s if self.duration_s else 0.0


def answers(results: Results) -> Answers:
    """Return the requests of `results` that count."""
    table = results.requests
    counted = table["counted"].to_numpy()
    status = table["status"].to_numpy()[counted]
    names = (
        "arrival_s",
        "first_token_s",
        "finish_s",
        "prompt_tokens",
        "output_tokens",
        "prefix_hit_tokens",
    )
    columns: dict[str, Array] = {name: table[name].to_numpy()[counted] for name in names}
    number = table["request"].to_numpy()[counted]
    return Answers(
        results,
        number=number,
        done=status == "finished",
        rejected=status == "rejected",
        of_done=finished(results),
        **columns,
    )
