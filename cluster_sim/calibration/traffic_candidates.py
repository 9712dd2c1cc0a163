"""Arrival processes that may have generated a trace, each fitted by moments.

A process without a candidate here is never proposed, but can be used in scenarios.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import least_squares

from cluster_sim.workload.statistics import dispersion, gap_cv

Keys = dict[str, Any]
"""Keys of an arrival process in a scenario file."""

_CURVE_POINTS = (12, 50)
"""Numbers of points of the rate curves that are tried."""
_LONG_GAPS = (3.0, 12.0, 50.0)
"""Gaps that may end a burst, as multiples of the mean gap."""


class Candidate(NamedTuple):
    """Process that is tried."""

    name: str
    """Description of the process."""
    keys: Keys
    """Keys of the process in a scenario file."""


def candidates(times_s: np.ndarray) -> Iterator[Candidate]:
    """Yield the candidates for ascending arrival times from zero on [s]."""
    rate_per_s, cv = len(times_s) / float(times_s[-1]), gap_cv(times_s) or 1.0
    rate = {"rate": per_s_text(rate_per_s)}
    yield Candidate("poisson", {"process": "poisson", **rate})
    for process in ("gamma", "weibull"):
        yield Candidate(process, {"process": process, **rate, "cv": rounded(cv)})
    for fits in (_curved, _drifting, _bursting):
        yield from fits(times_s, rate_per_s)


def _curved(times_s: np.ndarray, rate_per_s: float) -> Iterator[Candidate]:
    """Yield gamma gaps at the rate of the trace in twelfths and fiftieths of its duration."""
    for parts in _CURVE_POINTS:
        counts, edges_s = np.histogram(times_s, parts)
        if counts.mean() < 20:
            continue
        middles_s, factors = (edges_s[1:] + edges_s[:-1]) / 2, counts / counts.mean()
        # Gaps in operational time are the integral of the rate between two arrivals.
        local = np.interp(times_s, edges_s, np.concatenate([[0], np.cumsum(counts)]))
        points = [
            [seconds_text(at_s), rounded(factor)]
            for at_s, factor in zip(middles_s, factors, strict=True)
        ]
        keys = {
            "process": "gamma",
            "rate": per_s_text(rate_per_s),
            "cv": rounded(gap_cv(local) or 1.0),
            "rate_curve": {"points": points, "period": seconds_text(float(times_s[-1]))},
        }
        yield Candidate(f"gamma with a rate curve of {parts} points", keys)


class _Drift(NamedTuple):
    """Drifting rate, whose correlation falls as exp(-t/τ)."""

    dispersion: float
    """Dispersion of the counts at a constant rate."""
    variance: float
    """Variance of the rate [1/s²]."""
    tau_s: float
    """Correlation time of the rate [s]."""


def _drift(times_s: np.ndarray, rate_per_s: float) -> _Drift:
    """Return the drift whose dispersion as a function of the window is that of the trace.

    For a rate with variance v and correlation exp(-t/τ), the dispersion in a window T is
    c² + 2·v·τ/λ·(1 − (1 − exp(−T/τ))·τ/T).
    """
    longest_s = float(times_s[-1]) / 8
    windows_s = np.geomspace(min(1.0, longest_s / 50), longest_s, 12)
    measured = np.array([dispersion(times_s, window_s) or 1e-9 for window_s in windows_s])

    def model(logarithms: np.ndarray) -> np.ndarray:
        local, variance, tau_s = np.exp(logarithms)
        ratio = windows_s / tau_s
        curve: np.ndarray = local + 2 * variance * tau_s / rate_per_s * (
            1 + np.expm1(-ratio) / ratio
        )
        return np.maximum(curve, 1e-9)  # type: ignore[no-any-return]

    guess = np.log(
        [
            max(measured[0], 0.1),
            max(measured[-1] - measured[0], 0.01) * rate_per_s / longest_s,
            longest_s / 4,
        ]
    )
    fit = least_squares(
        lambda logarithms: np.log(model(logarithms) / measured), guess, max_nfev=200
    )
    return _Drift(*np.exp(fit.x))


def _drifting(times_s: np.ndarray, rate_per_s: float) -> Iterator[Candidate]:
    """Yield processes with the trace's drift: of two states, and of four if the drift is weak."""
    local, variance, tau_s = _drift(times_s, rate_per_s)
    cv = rounded(float(np.clip(local, 0.05, 100.0) ** 0.5))
    share_on = 1 / (1 + variance / rate_per_s**2)
    states = [_state(rate_per_s / share_on, tau_s / (1 - share_on)), _state(0.0, tau_s / share_on)]
    keys: Keys = {"process": "mmpp", "cv": cv, "states": states}
    yield Candidate("mmpp of two states, one silent", keys)
    if variance < 0.5 * rate_per_s**2:
        spread = variance**0.5 / 5**0.5  # the variance of four rates at -3, -1, 1, 3 is 5
        states = [
            _state(max(rate_per_s + place * spread, 0.0), tau_s * 4 / 3) for place in (-3, -1, 1, 3)
        ]
        yield Candidate("mmpp of four states", {"process": "mmpp", "cv": cv, "states": states})


def _bursting(times_s: np.ndarray, rate_per_s: float) -> Iterator[Candidate]:
    """Yield bursts that end with a long gap, for several values of a long gap."""
    gaps_s = np.diff(times_s)
    for longer in _LONG_GAPS:
        limit_s = longer / rate_per_s
        ends = np.nonzero(gaps_s > limit_s)[0]
        if len(ends) < 8 or len(ends) > len(gaps_s) / 4:
            continue
        bursts = [
            times_s[start:end] for start, end in pairwise([0, *(ends + 1).tolist(), len(times_s)])
        ]
        many = [burst for burst in bursts if len(burst) >= 5 and burst[-1] > burst[0]]
        if len(many) >= 4:
            keys = _on_off(bursts, many, gaps_s[ends], float(times_s[-1]), rate_per_s)
            yield Candidate(f"on_off with silences above {limit_s:.2g} s", keys)


def _on_off(
    bursts: Sequence[np.ndarray],
    many: Sequence[np.ndarray],
    silences_s: np.ndarray,
    span_s: float,
    rate_per_s: float,
) -> Keys:
    """Return the keys of bursts and silences; rates come from the bursts in `many`."""
    lasts_s = np.array([burst[-1] - burst[0] for burst in bursts])
    lasts_s = lasts_s[lasts_s > 0.0]
    rates = np.array([(len(burst) - 1) / (burst[-1] - burst[0]) for burst in many])
    inside = np.concatenate([np.diff(burst) / np.mean(np.diff(burst)) for burst in many])
    logs = np.log(silences_s)
    share_on = float(lasts_s.sum() / span_s)
    on_shape = float(np.clip(lasts_s.mean() ** 2 / lasts_s.var(), 0.05, 50.0))
    return {
        "process": "on_off",
        "on": seconds_text(float(lasts_s.mean())),
        "on_shape": rounded(on_shape),
        "off": seconds_text(float(np.exp(logs.mean() + logs.var() / 2))),
        "off_sigma": rounded(float(logs.std())),
        "off_max": seconds_text(float(silences_s.max())),
        "burst_rate": per_s_text(rate_per_s / share_on),
        "burst_rate_sigma": rounded(float(np.std(np.log(rates)))),
        "gap_shape": rounded(float(np.clip(1 / np.var(inside), 0.05, 50.0))),
    }


def _state(rate_per_s: float, dwell_s: float) -> dict[str, str]:
    return {"rate": per_s_text(rate_per_s), "mean_dwell": seconds_text(dwell_s)}


def rounded(value: float) -> float:
    """Return a number with four digits; a trace determines no more."""
    return float(f"{value:.4g}")


def seconds_text(value_s: float) -> str:
    """Return a time in the notation of scenario files, with four digits."""
    return f"{value_s:.4g} s"


def per_s_text(value_per_s: float) -> str:
    """Return a rate in the notation of scenario files, with four digits."""
    return f"{value_per_s:.4g} /s"
