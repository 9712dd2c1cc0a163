"""Statistics of traffic: burstiness at each time scale, lengths of requests, reuse of prompts.

One number does not describe burstiness: a gamma renewal process with the coefficient of variation
of Azure's code trace has five times the trace's dispersion at one second.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

WINDOWS_S = (1.0, 10.0, 60.0, 600.0)
"""Windows for which dispersion and peaks are computed [s]."""
QUANTILES = (0.1, 0.5, 0.9, 0.99)
"""Quantiles of lengths that are reported."""
_MOST_WINDOWS = 10_000_000
"""Number of windows above which empty windows are not held in memory."""
MIN_WINDOWS = 5
"""Minimum number of windows for a meaningful variance of counts."""


def gap_cv(times_s: np.ndarray) -> float | None:
    """Return the coefficient of variation of the gaps between arrivals.

    Parameters
    ----------
    times_s
        Ascending arrival times [s].

    Returns
    -------
    float or None
        Population standard deviation over mean; None for fewer than two gaps.

    Examples
    --------
    >>> gap_cv(np.array([0.0, 1.0, 4.0]))
    0.5
    """
    gaps_s = np.diff(times_s)
    return float(np.std(gaps_s) / np.mean(gaps_s)) if len(gaps_s) > 1 and gaps_s.any() else None


class WindowCounts(NamedTuple):
    """Number of arrivals per complete window."""

    counts: np.ndarray
    """Number of arrivals per window; windows without arrivals are omitted if there are many."""
    windows: int
    """Number of windows."""


def window_counts(times_s: np.ndarray, window_s: float) -> WindowCounts:
    """Return the number of arrivals in each complete window of length `window_s` [s].

    The first window begins with the first arrival. An incomplete window at the end is omitted.
    """
    since_s = times_s - times_s[0] if len(times_s) else times_s
    windows = int(since_s[-1] / window_s) if len(times_s) else 0
    places = (since_s / window_s).astype(np.int64)
    places = places[places < windows]
    if windows > _MOST_WINDOWS:
        return WindowCounts(np.unique(places, return_counts=True)[1], windows)
    return WindowCounts(np.bincount(places, minlength=windows), windows)


def dispersion(times_s: np.ndarray, window_s: float) -> float | None:
    """Return the index of dispersion of the counts of arrivals per window.

    Parameters
    ----------
    times_s
        Ascending arrival times [s].
    window_s
        Length of a window [s].

    Returns
    -------
    float or None
        Unbiased variance of the counts over their mean: 1 on average for a Poisson process. None
        for fewer than `MIN_WINDOWS` windows.

    Source: Cox, Lewis, The Statistical Analysis of Series of Events, 1966.

    Examples
    --------
    >>> dispersion(np.arange(101.0), 10.0)
    0.0
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
    """Return the maximum count of arrivals per window over the mean count.

    Parameters
    ----------
    times_s
        Ascending arrival times [s].
    window_s
        Length of a window [s].

    Returns
    -------
    float or None
        Maximum over mean; None for fewer than `MIN_WINDOWS` windows.
    """
    counts, windows = window_counts(times_s, window_s)
    if windows < MIN_WINDOWS:
        return None
    mean = np.mean(counts) if len(counts) == windows else np.sum(counts) / windows
    return float(np.max(counts) / mean)


@dataclass(frozen=True)
class ArrivalStatistics:
    """Rate, burstiness and peaks of arrivals; a value is None if there are too few arrivals."""

    requests: int
    """Number of requests."""
    span_s: float
    """Time from the first to the last arrival [s]."""
    rate_per_s: float | None
    """Requests per second of the run, or of the span if the run's length is unknown [1/s]."""
    cv: float | None
    """Coefficient of variation of the gaps between arrivals."""
    dispersion: dict[float, float | None]
    """Index of dispersion of counts, by length of the window [s]."""
    peak_to_mean: dict[float, float | None]
    """Maximum count per window over the mean count, by length of the window [s]."""


def of_arrivals(times_s: np.ndarray, run_s: float | None = None) -> ArrivalStatistics:
    """Return the statistics of arrivals.

    Parameters
    ----------
    times_s
        Ascending arrival times of all requests [s].
    run_s
        Length of the run, over which the rate is computed [s]. Default: time from the first to the
        last arrival.
    """
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
    """Statistics of the lengths of prompts, or of answers."""

    mean: float
    """Mean length [tokens]."""
    largest: int
    """Maximum length [tokens]."""
    quantiles: dict[float, float]
    """Length by quantile, interpolated linearly between two values [tokens]."""


def of_lengths(tokens: np.ndarray) -> LengthStatistics:
    """Return the statistics of a column of lengths [tokens], which has at least one row.

    >>> of_lengths(np.array([10, 20, 60])).quantiles[0.5]
    20.0
    """
    return LengthStatistics(
        float(np.mean(tokens)),
        int(np.max(tokens)),
        dict(zip(QUANTILES, np.quantile(tokens, QUANTILES).tolist(), strict=True)),
    )


def rank_correlation(prompts: np.ndarray, outputs: np.ndarray) -> float | None:
    """Return Spearman's rank correlation of prompt and output lengths.

    Parameters
    ----------
    prompts, outputs
        Lengths of the prompts and answers, one row per request [tokens].

    Returns
    -------
    float or None
        Correlation from -1 to 1; equal values share their mean rank. None if a column is constant.

    Examples
    --------
    >>> round(rank_correlation(np.array([10, 20, 30]), np.array([5, 6, 100])), 9)
    1.0
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
    """Parts of a request that decide on its reuse by a prefix cache."""

    tokens: int
    """Length of the prompt [tokens]."""
    pieces: tuple[tuple[int, int], ...]
    """Identity and tokens of each piece at the beginning of the prompt, see `Request.pieces`."""
    answer: tuple[int, int] | None
    """Identity and tokens of the answer; None if no later prompt can contain the answer."""


@dataclass
class PrefixReuse:
    """Part of the prompts that a prefix cache of unlimited capacity would have held.

    The part of a prompt is its pieces before the first new piece.
    """

    pieces: int = 0
    """Number of pieces of all prompts."""
    tokens: int = 0
    """Length of all prompts [tokens]."""
    seen_pieces: int = 0
    """Number of pieces that the cache would have held."""
    seen_tokens: int = 0
    """Tokens that the cache would have held."""

    @property
    def piece_fraction(self) -> float | None:
        """Share of the pieces that the cache would have held; None if no prompt has pieces."""
        return self.seen_pieces / self.pieces if self.pieces else None

    @property
    def token_fraction(self) -> float | None:
        """Share of the tokens that the cache would have held; None if no prompt has pieces."""
        return self.seen_tokens / self.tokens if self.pieces else None


def reuse(prompts: Iterable[AskedPrompt]) -> PrefixReuse:
    """Return the share of prompts that a prefix cache of unlimited capacity would reuse.

    Parameters
    ----------
    prompts
        Prompts in order of arrival. A later prompt may contain an earlier answer, which counts as a
        piece of the earlier request.

    Returns
    -------
    PrefixReuse
        Numbers of pieces and tokens, in total and reused.

    Examples
    --------
    >>> first = AskedPrompt(100, ((1, 64), (2, 36)), None)
    >>> second = AskedPrompt(100, ((1, 64), (3, 36)), None)
    >>> reuse([first, second]).seen_tokens
    64
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
