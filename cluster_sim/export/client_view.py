"""Requests of a run from the view of the client.

A client sees chunks of an answer: one per engine step, or fewer with a stream interval. All clients
take the time of the first chunk as that of the first token.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType

import numpy as np

from cluster_sim.results.metrics.departures import ended_s
from cluster_sim.results.metrics.finished import Finished, finished
from cluster_sim.results.metrics.gaps import Gaps, itl
from cluster_sim.results.metrics.good_requests import within_slo
from cluster_sim.results.results import Results
from cluster_sim.results.streaming.chunks import Chunks, seen_chunks
from cluster_sim.results.streaming.token_times import TokenTimes
from cluster_sim.typing import Array

REJECTED = "rejected"
"""Reason for a request without an answer: it was rejected."""
CUT_OFF = "had not finished when the run ended"
"""Reason for a request without an answer: the run ended before its last token."""
REASONS: Mapping[str, str] = MappingProxyType(
    {
        "rejected": REJECTED,
        "unfinished": CUT_OFF,
        "failed": "lost with the replica that served it",
        "timed_out": "timed out",
        "cancelled": "cancelled by its user",
    }
)
"""Reasons for a request without an answer, by its status."""


@dataclass(frozen=True)
class Answers:
    """All requests outside the warm-up, as columns in order of arrival."""

    results: Results
    """Results of the run."""
    number: Array
    """Number of each request in the tables of the run."""
    status: Array
    """Status of each request."""
    arrival_s: Array
    """Time at which each request was sent [s]."""
    first_token_s: Array
    """Time at which the first chunk of each request reached the front door; NaN without one [s]."""
    finish_s: Array
    """Time at which the last token of each request reached the front door; NaN if the request did
    not finish [s]."""
    left_s: Array
    """Time at which each request ended for its client; NaN if it was still inside when the run ended
    [s]."""
    prompt_tokens: Array
    """Length of each prompt [tokens]."""
    output_tokens: Array
    """Requested length of each answer; a finished answer has this length [tokens]."""
    prefix_hit_tokens: Array
    """Part of each prompt that was in the prefix cache [tokens]."""
    of_done: Finished
    """Columns of the finished requests; they have one row per finished request."""
    chunks: Chunks | None
    """Chunks of the finished requests; None if engines send one chunk per step."""

    @cached_property
    def done(self) -> Array:
        """Whether each request finished."""
        is_done: Array = self.status == "finished"
        return is_done

    @cached_property
    def rejected(self) -> Array:
        """Whether each request was rejected."""
        is_rejected: Array = self.status == "rejected"
        return is_rejected

    @cached_property
    def cut_off(self) -> Array:
        """Whether each request was ended before its last token: by the run's end or its user."""
        is_cut_off: Array = np.isin(self.status, ("unfinished", "cancelled"))
        return is_cut_off

    @cached_property
    def good(self) -> Array | None:
        """Whether each finished request meets the objectives; None without objectives."""
        return within_slo(self.results, self.of_done)

    @cached_property
    def times(self) -> TokenTimes | Chunks:
        """Times of the chunks of the finished requests."""
        return TokenTimes(self.results) if self.chunks is None else self.chunks

    @cached_property
    def gaps(self) -> Gaps:
        """Gaps between the chunks of all finished requests, pooled."""
        return itl(self.results) if self.chunks is None else self.chunks.gaps()

    @property
    def first_tokens(self) -> Array:
        """Number of tokens in the first chunk of each finished request."""
        if self.chunks is None:
            return np.ones(len(self.of_done.arrival_s), dtype=np.int64)
        return self.chunks.first_tokens

    @property
    def duration_s(self) -> float:
        """Time from the first request until the end of the last answer [s]; 0 without answers."""
        if not self.done.any():
            return 0.0
        return float(np.max(self.of_done.finish_s) - np.min(self.arrival_s))

    @property
    def end_s(self) -> float:
        """Time at which the run ended, which is the end of unfinished requests [s]."""
        return float(self.results.info.simulated_s)

    @cached_property
    def ended_s(self) -> Array:
        """Time at which each request ended: it finished, was rejected, lost or cut off [s]."""
        left_s = np.where(np.isnan(self.left_s), self.end_s, self.left_s)
        is_single = self.results.attempts.num_rows == 0  # else the client may try for some time
        without_answer_s = np.where(self.rejected & is_single, self.arrival_s, left_s)
        ended_s: Array = np.where(self.done, self.finish_s, without_answer_s)
        return ended_s

    def failure(self, place: int) -> str | None:
        """Return the reason why the request of a row has no answer; None if it has an answer."""
        return None if self.done[place] else REASONS[self.status[place]]

    def per_second(self, amount: float) -> float:
        """Return an amount over the duration [1/s]; 0 without answers."""
        return amount / self.duration_s if self.duration_s else 0.0


def answers(results: Results) -> Answers:
    """Return the requests of a run that are outside the warm-up."""
    table = results.requests
    counted = table["counted"].to_numpy()
    status, left_s = table["status"].to_numpy()[counted], ended_s(results)[counted]
    names = (
        "arrival_s",
        "first_token_s",
        "finish_s",
        "prompt_tokens",
        "output_tokens",
        "prefix_hit_tokens",
    )
    columns: dict[str, Array] = {name: table[name].to_numpy()[counted] for name in names}
    number, is_done = table["request"].to_numpy()[counted], status == "finished"
    of_done, chunks = finished(results), seen_chunks(results)
    if chunks is not None:
        of_done = _as_seen(of_done, chunks)
        columns["first_token_s"] = columns["first_token_s"].copy()
        columns["first_token_s"][is_done] = of_done.first_token_s
    return Answers(
        results,
        number=number,
        status=status,
        left_s=left_s,
        of_done=of_done,
        chunks=chunks,
        **columns,
    )


def _as_seen(done: Finished, chunks: Chunks) -> Finished:
    """Return finished requests with the times at which tokens arrive with their chunks."""
    seen = replace(done, first_token_s=chunks.first_s)
    if done.reasoning_tokens is None:
        return seen
    return replace(seen, first_output_token_s=chunks.seen_s(done.reasoning_tokens + 1))
