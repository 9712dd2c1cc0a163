"""Columns of all requests with their status in GuideLLM."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from cluster_sim.export.client_view import Answers
from cluster_sim.typing import Array

STATUSES = ("successful", "incomplete", "errored", "total")
"""Statuses of a request, and `total` for all requests."""


class TimedTokens(NamedTuple):
    """Numbers of tokens with their times."""

    times_s: Array
    """Times at which tokens arrived [s]."""
    tokens: Array
    """Number of tokens at each time; fractions are possible."""


class Columns:
    """Columns of all requests, with their status.

    A request that was rejected, lost or timed out is errored. A request that was unfinished, or that
    its user cancelled, is incomplete.
    """

    def __init__(self, answers: Answers) -> None:
        """Build the columns of the requests of a run."""
        self.answers = answers
        self.status = np.where(answers.done, 0, np.where(answers.cut_off, 1, 2))
        self.start_s, self.end_s = answers.arrival_s, answers.ended_s
        self.began_s = float(np.min(self.start_s, initial=np.inf)) if len(self.start_s) else 0.0
        self.ended_s = float(np.max(self.end_s)) if len(self.end_s) else 0.0
        self.first_s = answers.first_token_s
        # The progress of a request that was cut off is not recorded.
        self.last_s = np.where(answers.done | np.isnan(self.first_s), self.end_s, self.first_s)
        self.output = np.where(answers.done, answers.output_tokens, 0)
        self.chunks = np.zeros(len(self.status), dtype=np.int64)
        self.chunks[answers.done] = answers.times.chunks
        self.first_output_s = self.first_s.copy()
        if answers.of_done.first_output_token_s is not None:
            self.first_output_s[answers.done] = answers.of_done.first_output_token_s

    def of(self, status: str) -> Array:
        """Return whether each request has this status."""
        if status == "total":
            return np.ones(len(self.status), dtype=bool)
        has_status: Array = self.status == STATUSES.index(status)
        return has_status

    def counts(self) -> dict[str, int]:
        """Return the number of requests by status."""
        return {status: int(np.sum(self.of(status))) for status in STATUSES}

    def each(self, make: Callable[[Array], dict[str, Any]]) -> dict[str, Any]:
        """Return by status the result of `make` for the rows with this status."""
        return {status: make(np.nonzero(self.of(status))[0]) for status in STATUSES}

    def first_seen_s(self, rows: Array) -> Array:
        """Return the time of the first token of these rows, or their end without a token [s]."""
        has_first = self.first_s == self.first_s
        seen_s: Array = np.where(has_first[rows], self.first_s[rows], self.end_s[rows])
        return seen_s

    def output_tokens(self, rows: Array) -> TimedTokens:
        """Return the times of the output tokens of these rows.

        A streamed answer has one token first, and then equal chunks at equal gaps until its last
        token. All tokens of an answer without streaming arrive at its end.
        """
        streamed = rows[self.chunks[rows] > 1]
        whole = rows[self.chunks[rows] <= 1]
        later = self.chunks[streamed] - 1
        inside = np.arange(int(np.sum(later))) - np.repeat(np.cumsum(later) - later, later) + 1
        gap_s = (self.end_s[streamed] - self.first_s[streamed]) / np.maximum(later, 1)
        times_s = np.concatenate(
            [
                self.last_s[whole],
                self.first_s[streamed],
                np.repeat(self.first_s[streamed], later) + inside * np.repeat(gap_s, later),
            ]
        )
        tokens = np.concatenate(
            [
                self.output[whole].astype(float),
                np.ones(len(streamed)),
                np.repeat((self.output[streamed] - 1.0) / np.maximum(later, 1), later),
            ]
        )
        return TimedTokens(times_s, tokens)

    def all_tokens(self, rows: Array) -> TimedTokens:
        """Return the times of all tokens of these rows; prompts count at their first token."""
        times_s, tokens = self.output_tokens(rows)
        prompts = self.answers.prompt_tokens[rows].astype(float)
        return TimedTokens(np.append(times_s, self.first_seen_s(rows)), np.append(tokens, prompts))

    def chunk_sizes(self, rows: Array) -> tuple[Array, Array]:
        """Return the sizes of chunks after the first [tokens], and the number of such chunks."""
        streamed = rows[self.chunks[rows] > 1]
        later = self.chunks[streamed] - 1
        return (self.output[streamed] - 1.0) / np.maximum(later, 1), later.astype(float)
