"""Statistics of traffic: bursts at each scale, lengths of requests, reuse of prompts.

One number is not burstiness: a gamma renewal process with the coefficient of variation of Azure's
code trace has five times its dispersion at one second.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

WINDOWS_S = (1.0, 10.0, 60.0, 600.0)
"""Windows for which dispersion and peaks are worked out [s]."""
QUANTILES = (0.1, 0.5, 0.9, 0.99)
"""Quantiles of lengths."""
_MOST_WINDOWS = 10_000_000
"""Number of windows above which those that are empty are not held in memory."""
MIN_WINDOWS = 5
"""Number of windows below which a variance of counts says nothing."""


def gap_cv(times_s: np.ndarray) -> float | None:
    """Return the coefficient of variation of the gaps between ascending times.

    It is the population standard deviation over the mean; None for fewer than two gaps.
    """
    gaps_s = np.diff(times_s)
    return float(np.std(gaps_s) / np.mean(gaps_s)) if len(gaps_s) > 1 and gaps_s.any() else None


class WindowCounts(NamedTuple):
    """Arrivals in each whole window."""

    counts: np.ndarray
    """Number of arrivals in each window, or in those that have any where there are many windows."""
    windows: int
    """Number of windows."""


def window_counts(times_s: np.ndarray, window_s: float) -> WindowCounts:
    """Return the number of arrivals in each whole window.

    The first window begins with the first arrival; a last one that is not whole is left out.
    """
    since_s = times_s - times_s[0] if len(times_s) else times_s
    windows = int(since_s[-1] / window_s) if len(times_s) else 0
    places = (since_s / window_s).astype(np.int64)
    places = places[places < windows]
    if windows > _MOST_WINDOWS:
        return WindowCounts(np.unique(places, return_counts=True)[1], windows)
    return WindowCounts(np.bincount(places, minlength=windows), windows)


def dispersion(times_s: np.ndarray, window_s: float) -> float | None:
    """Return the index of dispersion of counts: their unbiased variance over their mean.

    It is 1 for a Poisson process, and None for fewer than five windows.
    """
    counts, windows = window_counts(times_s, window_s)
    if windows < MIN_WINDOWS:
        return None
    if len(counts) == windows:
        return float(np.var(counts, ddof=1) / np.mean(counts))
    mean = np.sum(counts) / windows
    squares = np.sum((counts - mean) ** 2) + (windows - len(counts)) * mean**2
    return float(squares / (windows - 1) / mean)


def peak_to_mean(times_s: np.ndarray, window_s: float) -> float | None:
    """Return the fullest window's count over the mean count; None for fewer than five windows."""
    counts, windows = window_counts(times_s, window_s)
    if windows < MIN_WINDOWS:
        return None
    mean = np.mean(counts) if len(counts) == windows else np.sum(counts) / windows
    return float(np.max(counts) / mean)


@dataclass(frozen=True)
class ArrivalStatistics:
    """Rate, bursts and peaks of arrivals; None where there are too few of them to say."""

    requests: int
    """Number of requests, all of which are sent at time zero."""
    span_s: float
    """Time from the first to the last arrival [s]."""
    rate_per_s: float | None
    """Requests per second of the run, or of the span where no run is known [1/s]."""
    cv: float | None
    """Coefficient of variation of the gaps."""
    dispersion: dict[float, float | None]
    """Index of dispersion by window [s]."""
    peak_to_mean: dict[float, float | None]
    """Fullest window over the mean by window [s]."""


def of_arrivals(times_s: np.ndarray, run_s: float | None = None) -> ArrivalStatistics:
    """Return the statistics of ascending arrival times [s], all those of a run of `run_s`."""
    span_s = float(times_s[-1] - times_s[0]) if len(times_s) else 0.0
    rate_span_s = run_s or span_s
    return ArrivalStatistics(
        len(times_s),
        span_s,
        len(times_s) / rate_span_s if rate_span_s else None,
        gap_cv(times_s),
        {window_s: dispersion(times_s, window_s) for window_s in WINDOWS_S},
        {window_s: peak_to_mean(times_s, window_s) for window_s in WINDOWS_S},
    )


@dataclass(frozen=True)
class LengthStatistics:
    """Lengths of prompts, or of answers."""

    mean: float
    """Mean length [tokens]."""
    largest: int
    """Greatest length [tokens]."""
    quantiles: dict[float, float]
    """Length by quantile, linear between two values [tokens]."""


def of_lengths(tokens: np.ndarray) -> LengthStatistics:
    """Return the statistics of a column of lengths [tokens], of which there is one at least."""
    return LengthStatistics(
        float(np.mean(tokens)),
        int(np.max(tokens)),
        dict(zip(QUANTILES, np.quantile(tokens, QUANTILES).tolist(), strict=True)),
    )


def rank_correlation(prompts: np.ndarray, outputs: np.ndarray) -> float | None:
    """Return Spearman's rank correlation; None where one of the two never varies.

    Equal values share their mean rank.
    """
    ranks = np.array([_mean_ranks(prompts), _mean_ranks(outputs)])
    if len(prompts) < 2 or not np.all(np.ptp(ranks, axis=1) > 0):
        return None
    return float(np.corrcoef(ranks)[0, 1])


def _mean_ranks(values: np.ndarray) -> np.ndarray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    mean_rank: np.ndarray = np.cumsum(counts) - (counts - 1) / 2
    return mean_rank[inverse]


class AskedPrompt(NamedTuple):
    """A prompt as a cache sees it."""

    tokens: int
    """Length of the prompt [tokens]."""
    pieces: tuple[tuple[int, int], ...]
    """Identity and tokens of each piece at its beginning, see `Request.pieces`."""
    answer: tuple[int, int] | None
    """Identity and tokens of its answer; None where no later prompt can hold it."""


@dataclass
class PrefixReuse:
    """Part of the prompts that a cache without limits would have held.

    It is, of each prompt, the pieces before the first that is new.
    """

    pieces: int = 0
    """Number of pieces."""
    tokens: int = 0
    """Length of all prompts [tokens]."""
    seen_pieces: int = 0
    """Number of pieces that the cache would have held."""
    seen_tokens: int = 0
    """Tokens that the cache would have held."""

    @property
    def piece_fraction(self) -> float | None:
        """Share of the pieces; None where no prompt has any."""
        return self.seen_pieces / self.pieces if self.pieces else None

    @property
    def token_fraction(self) -> float | None:
        """Share of the prompts' tokens; None where no prompt has pieces."""
        return self.seen_tokens / self.tokens if self.pieces else None


def reuse(prompts: Iterable[AskedPrompt]) -> PrefixReuse:
    """Return the reuse of prompts in the order in which they come.

    An answer is there for a later prompt as if it were one of its own request's pieces.
    """
    known: set[int] = set()
    seen = PrefixReuse()
    for tokens, pieces, answer in prompts:
        seen.pieces += len(pieces)
        seen.tokens += tokens
        for identity, length in pieces:
            if identity not in known:
                break
            seen.seen_pieces += 1
            seen.seen_tokens += length
        known.update(identity for identity, _ in pieces)
        if answer is not None:
            known.add(answer[0])
    return seen
