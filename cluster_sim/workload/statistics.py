"""What describes traffic: how bursty it is at which scale, how long its requests are, how much of
their prompts has been seen before.

One number is not burstiness: a gamma renewal process with the coefficient of variation of Azure's
code trace has five times its dispersion at one second.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

WINDOWS_S = (1.0, 10.0, 60.0, 600.0)
"""The windows at which dispersion is told."""
QUANTILES = (0.1, 0.5, 0.9, 0.99)
FEWEST_WINDOWS = 5
"""With fewer, a variance of counts says nothing."""


def gap_cv(times_s: np.ndarray) -> float | None:
    """Coefficient of variation (population standard deviation over mean) of the gaps between
    ascending times; None of fewer than two gaps.
    """
    gaps_s = np.diff(times_s)
    return float(np.std(gaps_s) / np.mean(gaps_s)) if len(gaps_s) > 1 and gaps_s.any() else None


def window_counts(times_s: np.ndarray, window_s: float) -> np.ndarray:
    """Arrivals in each whole window of this length, the first beginning with the first arrival; a
    last one that is not whole is left out.
    """
    since_s = times_s - times_s[0] if len(times_s) else times_s
    windows = int(since_s[-1] / window_s) if len(times_s) else 0
    places = (since_s / window_s).astype(np.int64)
    return np.bincount(places[places < windows], minlength=windows)


def dispersion(times_s: np.ndarray, window_s: float) -> float | None:
    """Index of dispersion of counts: their variance (unbiased) over their mean; 1 of a Poisson
    process. None of fewer than five windows.
    """
    counts = window_counts(times_s, window_s)
    return (
        float(np.var(counts, ddof=1) / np.mean(counts)) if len(counts) >= FEWEST_WINDOWS else None
    )


def peak_to_mean(times_s: np.ndarray, window_s: float) -> float | None:
    """The fullest window's count over the mean. None of fewer than five windows."""
    counts = window_counts(times_s, window_s)
    return float(np.max(counts) / np.mean(counts)) if len(counts) >= FEWEST_WINDOWS else None


@dataclass(frozen=True)
class Arrivals:
    """How requests come. None: too few to say."""

    requests: int
    span_s: float
    """From the first to the last."""
    rate_per_s: float | None
    """Gaps over span."""
    cv: float | None
    dispersion: dict[float, float | None]
    """By window [s]."""
    peak_to_mean: dict[float, float | None]
    """By window [s]."""


def of_arrivals(times_s: np.ndarray) -> Arrivals:
    """The statistics of ascending arrival times."""
    span_s = float(times_s[-1] - times_s[0]) if len(times_s) else 0.0
    return Arrivals(
        len(times_s),
        span_s,
        len(times_s) / span_s if span_s else None,
        gap_cv(times_s),
        {window_s: dispersion(times_s, window_s) for window_s in WINDOWS_S},
        {window_s: peak_to_mean(times_s, window_s) for window_s in WINDOWS_S},
    )


@dataclass(frozen=True)
class Tokens:
    """How long prompts, or answers, are: mean, largest, and linear quantiles."""

    mean: float
    largest: int
    quantiles: dict[float, float]


def of_lengths(tokens: np.ndarray) -> Tokens:
    """The statistics of a column of lengths, of which there is one at least."""
    return Tokens(
        float(np.mean(tokens)),
        int(np.max(tokens)),
        dict(zip(QUANTILES, np.quantile(tokens, QUANTILES).tolist(), strict=True)),
    )


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float | None:
    """Spearman's rank correlation, equal values sharing their mean rank. None where one of the two
    never varies.
    """
    ranks = np.array([_mean_ranks(one), _mean_ranks(other)])
    return (
        float(np.corrcoef(ranks)[0, 1])
        if len(one) > 1 and np.all(np.ptp(ranks, axis=1) > 0)
        else None
    )


def _mean_ranks(values: np.ndarray) -> np.ndarray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    mean_rank: np.ndarray = np.cumsum(counts) - (counts - 1) / 2
    return mean_rank[inverse]


@dataclass
class Reuse:
    """How much of the prompts a cache without limits would have held: of each, the pieces before
    the first that is new.
    """

    pieces: int = 0
    tokens: int = 0
    seen_pieces: int = 0
    seen_tokens: int = 0

    @property
    def piece_fraction(self) -> float | None:
        """Share of the pieces; None where no prompt has any."""
        return self.seen_pieces / self.pieces if self.pieces else None

    @property
    def token_fraction(self) -> float | None:
        """Share of the prompts' tokens; None where no prompt has pieces."""
        return self.seen_tokens / self.tokens if self.pieces else None


def reuse(
    prompts: Iterable[tuple[int, tuple[tuple[int, int], ...], tuple[int, int] | None]],
) -> Reuse:
    """Of (prompt tokens, its pieces, the identity and tokens of its answer) in the order in which
    they come.

    An answer is there for a later prompt as if it were one of its own request's pieces.
    """
    known: set[int] = set()
    found = Reuse()
    for tokens, pieces, answer in prompts:
        found.pieces += len(pieces)
        found.tokens += tokens
        for identity, length in pieces:
            if identity not in known:
                break
            found.seen_pieces += 1
            found.seen_tokens += length
        known.update(identity for identity, _ in pieces)
        if answer is not None:
            known.add(answer[0])
    return found
