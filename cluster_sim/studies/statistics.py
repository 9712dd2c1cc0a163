"""Error bars: intervals of means, detection of warm-up, and batch means of dependent values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cluster_sim.typing import Array

Values = npt.ArrayLike

BATCHES = 20
"""Number of batches per run. 10 to 30 batches give good intervals for any length of the run
(Schmeiser, Operations Research 30(3), 1982)."""
_RESAMPLES = 4_000


@dataclass(frozen=True)
class Interval:
    """Confidence interval of a mean."""

    low: float
    """Low end."""
    high: float
    """High end."""

    @property
    def half_width(self) -> float:
        """Half of the width of the interval."""
        return (self.high - self.low) / 2

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


def t_interval(values: Values, confidence: float = 0.95) -> Interval:
    """Return Student's t interval of the mean of independent, nearly normal values.

    The interval is infinite for fewer than two values. Source: Student, Biometrika 6, 1908.

    Parameters
    ----------
    values
        Independent values.
    confidence
        Confidence, from 0 to 1.

    Examples
    --------
    >>> interval = t_interval([1.0, 2.0, 3.0])
    >>> round(interval.low, 2), round(interval.high, 2)
    (-0.48, 4.48)
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

    Values are independent, of any distribution. The interval depends only on values and seed. It
    is too narrow for fewer than ten values, like every bootstrap. Source: Efron, JASA 82, 1987.

    Parameters
    ----------
    values
        Independent values.
    confidence
        Confidence, from 0 to 1.
    seed
        Seed of the resampling.
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
    """Return the p-value of the hypothesis that the mean is zero, by Student's t test.

    It is 1 if all values are zero.
    """
    from scipy.stats import ttest_1samp

    sample = np.asarray(values, dtype=float)
    if len(sample) < 2 or np.ptp(sample) == 0:
        return 1.0 if len(sample) < 2 or sample[0] == 0 else 0.0
    return float(ttest_1samp(sample, 0.0).pvalue)


def mser5(series: Values) -> int | None:
    """Return the number of warm-up values at the beginning; None without a steady state.

    MSER-5 averages groups of five values. It omits as many groups at the beginning as minimise the
    standard error of the mean of the rest. A minimum beyond the middle means that the series is
    too short. Source: White, Cobb, Spratt, Winter Simulation Conference 2000.

    Examples
    --------
    >>> mser5([90.0] * 10 + [1.0, 2.0, 3.0, 2.0, 2.0, 3.0, 2.0, 1.0, 2.0, 2.0] * 10)
    10
    """
    sample = np.asarray(series, dtype=float)
    means = np.mean(sample[: len(sample) // 5 * 5].reshape(-1, 5), axis=1)
    if len(means) < 4:
        return None
    means = means - np.mean(means)  # to limit cancellation below
    left = np.arange(len(means), 0, -1)
    total, squares = np.cumsum(means[::-1])[::-1], np.cumsum(means[::-1] ** 2)[::-1]
    # the last values rest on too few groups
    errors = (squares - total**2 / left)[:-2] / left[:-2] ** 2
    cut = int(np.argmin(errors))
    return 5 * cut if cut <= len(means) // 2 else None


def batch_means(series: Values, batches: int = BATCHES) -> Array:
    """Return means of equal parts of a series; a remainder at the beginning is omitted.

    The means are far less correlated than the values.

    Examples
    --------
    >>> batch_means([9.0, 1.0, 3.0, 5.0, 7.0], batches=2).tolist()
    [2.0, 6.0]
    """
    sample = np.asarray(series, dtype=float)
    size = len(sample) // batches
    means: Array = np.mean(sample[len(sample) - size * batches :].reshape(batches, size), axis=1)
    return means


def autocorrelation(values: Values) -> float:
    """Return the correlation of neighbouring values, from -1 to 1; 0 if all values are equal."""
    sample = np.asarray(values, dtype=float)
    off: Any = sample - np.mean(sample)
    square = float(np.sum(off**2))
    return float(np.sum(off[1:] * off[:-1])) / square if square else 0.0
