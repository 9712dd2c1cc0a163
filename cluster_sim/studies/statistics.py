"""Error bars: intervals of means, warm-up, and means of batches of values that are dependent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cluster_sim.typing import Array

Values = npt.ArrayLike

BATCHES = 20
"""Number of batches of one run: 10 to 30 make good intervals whatever the length (Schmeiser,
Operations Research 30(3), 1982)."""
_RESAMPLES = 4_000


@dataclass(frozen=True)
class Interval:
    """Interval in which a mean lies, with the confidence asked for."""

    low: float
    """Low end."""
    high: float
    """High end."""

    @property
    def half_width(self) -> float:
        """Distance from the middle to either end."""
        return (self.high - self.low) / 2

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


def t_interval(values: Values, confidence: float = 0.95) -> Interval:
    """Return Student's interval of the mean of independent values that are near enough normal.

    It is infinite for fewer than two values. Source: Biometrika 6, 1908.
    """
    from scipy.stats import t

    sample = np.asarray(values, dtype=float)
    if len(sample) < 2:
        return Interval(-np.inf, np.inf)
    mean, error = float(np.mean(sample)), float(np.std(sample, ddof=1)) / len(sample) ** 0.5
    reach = float(t.ppf(0.5 + confidence / 2, len(sample) - 1)) * error
    return Interval(mean - reach, mean + reach)


def bootstrap_interval(values: Values, confidence: float = 0.95, seed: int = 0) -> Interval:
    """Return the bias-corrected and accelerated bootstrap interval of the mean of values.

    Values are independent, of any distribution. The interval is drawn with a generator of its own,
    so that the same values give the same interval. It is narrow for fewer than ten values, as every
    bootstrap is. Source: Efron, JASA 82, 1987.
    """
    from scipy.stats import bootstrap

    sample = np.asarray(values, dtype=float)
    if len(sample) < 2:
        return Interval(-np.inf, np.inf)
    if np.ptp(sample) == 0:
        return Interval(float(sample[0]), float(sample[0]))
    result = bootstrap(
        (sample,),
        np.mean,
        n_resamples=_RESAMPLES,
        confidence_level=confidence,
        method="BCa",
        random_state=np.random.default_rng(seed),
    )
    ends = result.confidence_interval
    return Interval(float(ends.low), float(ends.high))


def chance_of_none(values: Values) -> float:
    """Return the p-value of a mean of zero: how often one as far from it comes up by chance.

    It is 1 where all values are zero.
    """
    from scipy.stats import ttest_1samp

    sample = np.asarray(values, dtype=float)
    if len(sample) < 2 or np.ptp(sample) == 0:
        return 1.0 if len(sample) < 2 or sample[0] == 0 else 0.0
    return float(ttest_1samp(sample, 0.0).pvalue)


def mser5(series: Values) -> int | None:
    """Return how many values at the beginning are warm-up; None where no steady state shows.

    MSER-5 leaves out so many means of five that the standard error of the mean of the rest is
    least. A least beyond the middle says that the series is too short. Source: White, Cobb, Spratt,
    Winter Simulation Conference 2000.

    >>> mser5([90.0] * 10 + [1.0, 2.0, 3.0, 2.0, 2.0, 3.0, 2.0, 1.0, 2.0, 2.0] * 10)
    10
    """
    sample = np.asarray(series, dtype=float)
    means = np.mean(sample[: len(sample) // 5 * 5].reshape(-1, 5), axis=1)
    if len(means) < 4:
        return None
    means = means - np.mean(means)  # so that little cancels below
    left = np.arange(len(means), 0, -1)
    total, squares = np.cumsum(means[::-1])[::-1], np.cumsum(means[::-1] ** 2)[::-1]
    # the last ones are of too few to tell
    errors = (squares - total**2 / left)[:-2] / left[:-2] ** 2
    cut = int(np.argmin(errors))
    return 5 * cut if cut <= len(means) // 2 else None


def batch_means(series: Values, batches: int = BATCHES) -> Array:
    """Return means of equal parts of a series; a rest at the beginning is left out.

    They depend on each other far less than the values do.
    """
    sample = np.asarray(series, dtype=float)
    size = len(sample) // batches
    means: Array = np.mean(sample[len(sample) - size * batches :].reshape(batches, size), axis=1)
    return means


def autocorrelation(values: Values) -> float:
    """Return the correlation of neighbours, from -1 to 1; 0 where all values are equal."""
    sample = np.asarray(values, dtype=float)
    off: Any = sample - np.mean(sample)
    square = float(np.sum(off**2))
    return float(np.sum(off[1:] * off[:-1])) / square if square else 0.0
