"""Requests as columns, and what describes them."""

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
    """What a trace file was understood to hold, to be held against the file."""

    path: str
    """File, folder or archive."""
    first_arrival_s: float | None = None
    """First arrival that is recorded, on the clock of the file: since 1970 where it has dates;
    None where it has no times [s]."""
    last_arrival_s: float | None = None
    """Last arrival that is recorded, on the same clock [s]."""
    sessions: int | None = None
    """Number of conversations; None where the file does not say which requests follow which."""
    added_prompt_tokens: int | None = None
    """Sum of prompts as the file has them, where it holds what each turn adds to its conversation;
    None where it holds whole prompts [tokens]."""


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
    """Pieces at the beginning of each prompt; None where prompts share nothing."""
    output_piece: list[int | None] | None = None
    """Identity of each answer as a piece of later prompts; None where no prompt holds answers."""
    notes: list[str] = field(default_factory=list)
    """Sentences on what was left out, or assumed."""
    run_s: float | None = None
    """Length of the run in which all of them arrived; None where it is not known [s]."""
    mean_rate_per_s: float | None = None
    """Mean rate over the run that their arrival process is expected to have; None where requests
    do not come from a process with a rate [1/s]."""
    reading: TraceReading | None = None
    """How the file was read that the requests are from; None where they are drawn."""

    def reused(self) -> float | None:
        """Return the share of prompt tokens that a cache without limits would have held.

        It is None where prompts have no pieces.
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
        """Return the lengths of prompts and of answers; None where there are no requests."""
        if not len(self.arrival_s):
            return None
        return of_lengths(self.prompt_tokens), of_lengths(self.output_tokens)

    def correlation(self) -> float | None:
        """Return Spearman's rank correlation of prompts and answers."""
        return rank_correlation(self.prompt_tokens, self.output_tokens)

    def summary(self) -> dict[str, float | None]:
        """Return all statistics under their names; None where there are too few requests."""
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
        """Return what can be held against a file: its arrivals, sums and sessions."""
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
