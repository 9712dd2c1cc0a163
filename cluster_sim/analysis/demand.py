"""Requests as columns, and their statistics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import repeat

import numpy as np

from cluster_sim.workload.statistics import (
    ArrivalStatistics,
    AskedPrompt,
    LengthStatistics,
    of_arrivals,
    of_lengths,
    rank_correlation,
    reuse,
)
from cluster_sim.workload.traces.rows import Pieces


@dataclass(frozen=True)
class TraceReading:
    """Facts that were read from a trace file, for comparison with the file."""

    path: str
    """Path of the file, folder or archive."""
    first_arrival_s: float | None = None
    """First recorded arrival on the clock of the file [s], since 1970 if it has dates; None if it
    has no times."""
    last_arrival_s: float | None = None
    """Last recorded arrival on the clock of the file [s]; None if it has no times."""
    sessions: int | None = None
    """Number of conversations; None if the file does not link requests."""
    added_prompt_tokens: int | None = None
    """Sum of prompt tokens as the file gives them [tokens], if it gives what each turn adds to its
    conversation; None if it gives whole prompts."""


@dataclass(frozen=True)
class Demand:
    """Requests as columns, in order of arrival."""

    name: str
    """Name of the traffic."""
    arrival_s: np.ndarray
    """Arrival times from zero on [s]."""
    prompt_tokens: np.ndarray
    """Length of each prompt [tokens]."""
    output_tokens: np.ndarray
    """Length of each answer [tokens]."""
    pieces: Iterable[Pieces] | None = None
    """Pieces at the beginning of each prompt; None if prompts share nothing."""
    output_piece: list[int | None] | None = None
    """Identity of each answer as a piece of later prompts; None if no prompt contains answers."""
    notes: list[str] = field(default_factory=list)
    """Sentences on omissions and assumptions."""
    run_s: float | None = None
    """Length of the run in which all requests arrived [s]; None if it is unknown."""
    mean_rate_per_s: float | None = None
    """Expected mean rate of the arrival process over the run [1/s]; None if requests do not come
    from a process with a rate."""
    reading: TraceReading | None = None
    """Facts that were read from the trace file; None if requests are drawn."""

    def reused(self) -> float | None:
        """Return the share of prompt tokens that an unlimited cache would have held.

        It is None if prompts have no pieces.
        """
        if self.pieces is None:
            return None
        answers: Iterator[int | None] = (
            iter(self.output_piece) if self.output_piece is not None else repeat(None)
        )
        rows = zip(
            self.prompt_tokens.tolist(),
            self.pieces,
            answers,
            self.output_tokens.tolist(),
            strict=False,
        )
        return reuse(
            AskedPrompt(prompt, own, None if answer is None else (answer, output))
            for prompt, own, answer, output in rows
        ).token_fraction

    def arrivals(self) -> ArrivalStatistics:
        """Return rate, bursts and peaks."""
        return of_arrivals(self.arrival_s, self.run_s)

    def tokens(self) -> tuple[LengthStatistics, LengthStatistics] | None:
        """Return the lengths of prompts and of answers; None if there are no requests."""
        if not len(self.arrival_s):
            return None
        return of_lengths(self.prompt_tokens), of_lengths(self.output_tokens)

    def correlation(self) -> float | None:
        """Return Spearman's rank correlation of prompts and answers."""
        return rank_correlation(self.prompt_tokens, self.output_tokens)

    def summary(self) -> dict[str, float | None]:
        """Return all statistics by name; None for those with too few requests."""
        arrivals, both = self.arrivals(), self.tokens()
        values: dict[str, float | None] = {
            "requests": arrivals.requests,
            "span_s": arrivals.span_s,
            "rate_per_s": arrivals.rate_per_s,
            "mean_rate_per_s": self.mean_rate_per_s,
            "cv": arrivals.cv,
        }
        for name, by_window in (
            ("dispersion", arrivals.dispersion),
            ("peak_to_mean", arrivals.peak_to_mean),
        ):
            values |= {f"{name}_{window_s:g}s": value for window_s, value in by_window.items()}
        for key, lengths in zip(("prompt", "output"), both or (), strict=False):
            values |= {f"mean_{key}_tokens": lengths.mean, f"max_{key}_tokens": lengths.largest}
            values |= {
                f"p{100 * at:g}_{key}_tokens": value for at, value in lengths.quantiles.items()
            }
        values |= {"length_correlation": self.correlation(), "prefix_reuse": self.reused()}
        return values | self._totals()

    def _totals(self) -> dict[str, float | None]:
        """Return the totals that can be compared with a file: arrivals, sums and sessions."""
        read = self.reading
        context_tokens = int(np.sum(self.prompt_tokens))
        totals: dict[str, float | None] = {
            "first_arrival_s": None if read is None else read.first_arrival_s,
            "last_arrival_s": None if read is None else read.last_arrival_s,
            "total_prompt_tokens": context_tokens,
            "total_output_tokens": int(np.sum(self.output_tokens)),
            "sessions": None if read is None else read.sessions,
        }
        if read is not None and read.added_prompt_tokens is not None:
            totals |= {
                "total_prompt_tokens": read.added_prompt_tokens,
                "total_context_tokens": context_tokens,
            }
        return totals
