"""A process and lengths that match a trace: several are fitted, simulated, and the nearest is
proposed with how near it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError
from scipy.optimize import least_squares

from cluster_sim.analysis.traffic import Demand
from cluster_sim.errors import ScenarioError
from cluster_sim.workload.arrivals import ArrivalProcess, Arrivals, OnOff
from cluster_sim.workload.random_streams import stream
from cluster_sim.workload.statistics import WINDOWS_S, dispersion, gap_cv, peak_to_mean

SEEDS = 20
_PRICE = 0.008
"""Of each number in a process, as error: a curve of many points is the trace itself, and says
nothing of another day."""
_FEWEST = 50
"""Requests, below which there is nothing to fit."""
_FEW_SEEDS = 8
_MOVES = 3
"""That a number may be moved in one direction."""
_AT = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1.0)
"""Quantiles of lengths that are kept."""
_ARRIVALS: TypeAdapter[Arrivals] = TypeAdapter(Arrivals)


@dataclass(frozen=True)
class Matched:
    """One statistic: the trace's, and the 5th and 95th percentile of seeds of what is proposed."""

    trace: float
    p5: float
    p95: float

    @property
    def miss(self) -> float:
        """By what share the nearest of the middle 90 % of seeds is off; 0 where the trace lies
        among them.
        """
        return (
            0.0
            if self.p5 <= self.trace <= self.p95
            else min(abs(self.p5 / self.trace - 1), abs(self.p95 / self.trace - 1))
        )


@dataclass(frozen=True)
class Proposal:
    """What `workload` of a scenario file could say, how well it matches, and how far off each
    process was that was tried.
    """

    workload: dict[str, Any]
    matches: dict[str, Matched]
    tried: dict[str, float]
    """Mean of the logarithm's error over all statistics, beyond what is chance, and a price for
    each number that the process has, nearest first."""


def propose(demand: Demand) -> Proposal:
    """The process that comes nearest to the trace's burstiness, and its lengths as quantiles.

    Raises ScenarioError for a trace of fewer than fifty requests, or all at once.
    """
    times_s = demand.arrival_s - demand.arrival_s[0] if len(demand.arrival_s) else demand.arrival_s
    if len(times_s) < _FEWEST or times_s[-1] <= 0.0:
        raise ScenarioError.at(
            demand.name,
            f"has {len(times_s)} requests over {times_s[-1] if len(times_s) else 0.0:g} s; wanted {_FEWEST} at least, not all at once",
        )
    wanted, span_s = _statistics(times_s), float(times_s[-1])
    found = [(name, _Try.of(keys, wanted, span_s)) for name, keys in _candidates(times_s)]
    tries = sorted(
        ((name, one) for name, one in found if one is not None), key=lambda named: named[1].error
    )
    tried = {name: one.error for name, one in tries}
    refined = _Try.of(_refined(tries[0][1], wanted, span_s).keys, wanted, span_s)
    best = refined if refined is not None and refined.error < tries[0][1].error else tries[0][1]
    workload: dict[str, Any] = {
        "arrivals": best.keys,
        "prompt_tokens": _lengths(demand.prompt_tokens),
        "output_tokens": _lengths(demand.output_tokens),
    }
    if (correlation := demand.correlation()) is not None:
        workload["length_correlation"] = round(correlation, 2)
    return Proposal(workload, best.matches, tried)


@dataclass(frozen=True)
class _Try:
    """One process, by its keys in a scenario file, and how it compares."""

    keys: dict[str, Any]
    error: float
    rate_per_s: float
    matches: dict[str, Matched]

    @classmethod
    def of(
        cls, keys: dict[str, Any], wanted: dict[str, float], span_s: float, seeds: int = SEEDS
    ) -> _Try | None:
        """Simulated over some seeds. None where the process cannot be so."""
        try:
            process = _ARRIVALS.validate_python(keys)
        except ValidationError:
            return None
        rate_per_s = process.mean_rate_per_s()
        assert rate_per_s is not None
        seen = list(_simulated(process, span_s, seeds))
        matches, errors = {}, []
        for key, value in wanted.items():
            values = [one[key] for one in seen if key in one] or [0.0]
            matches[key] = Matched(value, *np.percentile(values, [5, 95]).tolist())
            if value > 0.0:
                errors.append(
                    max(
                        abs(float(np.log(max(float(np.median(values)), 1e-9) / value)))
                        - _noise(key, span_s),
                        0.0,
                    )
                )
        return cls(
            keys,
            float(np.mean(errors)) + _PRICE * _numbers(keys),
            rate_per_s,
            matches,
        )


def _noise(key: str, span_s: float) -> float:
    """By how much a statistic of one trace is off by chance alone: the relative error of a variance
    of m windows is √(2/(m − 1)).

    Of peaks nothing so plain is known; a tenth is taken.
    """
    if key.startswith("dispersion"):
        windows = int(span_s / float(key.removeprefix("dispersion_").removesuffix("s")))
        return float((2 / (windows - 1)) ** 0.5)
    return 0.1 if key.startswith("peak") else 0.0


def _refined(found: _Try, wanted: dict[str, float], span_s: float) -> _Try:
    """With the numbers that moments say least of moved to where the simulated statistics are
    nearest, one after another; the mean rate stays.
    """
    best = _Try.of(found.keys, wanted, span_s, _FEW_SEEDS) or found
    for factor in (1.25, 1.1):
        for key in ("cv", "gap_shape", "burst_rate_sigma", "on_shape"):
            for by in (factor, 1 / factor):
                for _ in range(_MOVES if key in best.keys else 0):
                    other = _Try.of(
                        _at_rate(best.keys | {key: _short(best.keys[key] * by)}, best.rate_per_s),
                        wanted,
                        span_s,
                        _FEW_SEEDS,
                    )
                    if other is None or other.error >= best.error:
                        break
                    best = other
    return best


def _at_rate(keys: dict[str, Any], rate_per_s: float) -> dict[str, Any]:
    """Bursts as fast as the mean rate wants them."""
    if "burst_rate" not in keys:
        return keys
    process = OnOff.model_validate(keys)
    return keys | {
        "burst_rate": _per_s(process.burst_rate_per_s * rate_per_s / process.mean_rate_per_s())
    }


def _numbers(keys: Any) -> int:
    """How many numbers a process is described by."""
    if isinstance(keys, (dict, list)):
        return sum(map(_numbers, keys.values() if isinstance(keys, dict) else keys))
    return int(isinstance(keys, float) or (isinstance(keys, str) and keys[0].isdigit()))


def _statistics(times_s: np.ndarray) -> dict[str, float]:
    """Those that can be told of these times, by name."""
    told: dict[str, float | None] = {
        "rate_per_s": len(times_s) / float(times_s[-1]),
        "cv": gap_cv(times_s),
    }
    told |= {f"dispersion_{window_s:g}s": dispersion(times_s, window_s) for window_s in WINDOWS_S}
    told |= {
        f"peak_to_mean_{window_s:g}s": peak_to_mean(times_s, window_s) for window_s in WINDOWS_S
    }
    return {key: value for key, value in told.items() if value is not None}


def _simulated(process: ArrivalProcess, span_s: float, seeds: int) -> Iterator[dict[str, float]]:
    """Statistics of some seeds over the same length of time."""
    for seed in range(seeds):
        pieces = []
        for piece in process.pieces(stream(seed, "arrivals")):
            pieces.append(piece)
            if piece[-1] >= span_s:
                break
        times_s = np.concatenate(pieces)
        times_s = times_s[times_s < span_s]
        if len(times_s) > 1:
            yield _statistics(times_s)


def _lengths(tokens: np.ndarray) -> dict[str, Any]:
    return {
        "distribution": "empirical",
        "quantiles": dict(
            zip(_AT, np.rint(np.quantile(tokens, _AT)).astype(int).tolist(), strict=True)
        ),
    }


# --- candidates
#
# -------------------------------------------------------------------------------------------------------------


def _candidates(times_s: np.ndarray) -> Iterator[tuple[str, dict[str, Any]]]:
    """Processes by their keys in a scenario file, each fitted by moments."""
    rate_per_s, cv = len(times_s) / float(times_s[-1]), gap_cv(times_s) or 1.0
    rate = {"rate": _per_s(rate_per_s)}
    yield "poisson", {"process": "poisson", **rate}
    for process in ("gamma", "weibull"):
        yield process, {"process": process, **rate, "cv": _short(cv)}
    for makers in (_curved, _drifting, _bursting):
        yield from makers(times_s, rate_per_s)


def _curved(times_s: np.ndarray, rate_per_s: float) -> Iterator[tuple[str, dict[str, Any]]]:
    """Gamma gaps at a rate that is the trace's own over twelfths and fiftieths of its time."""
    for parts in (12, 50):
        counts, edges_s = np.histogram(times_s, parts)
        if counts.mean() < 20:
            continue
        middles_s, factors = (edges_s[1:] + edges_s[:-1]) / 2, counts / counts.mean()
        # of gaps in operational time: the integral of the rate between two arrivals
        local = np.interp(times_s, edges_s, np.concatenate([[0], np.cumsum(counts)]))
        points = [
            [_s(at_s), _short(factor)] for at_s, factor in zip(middles_s, factors, strict=True)
        ]
        yield f"gamma with a rate curve of {parts} points", {
            "process": "gamma", "rate": _per_s(rate_per_s), "cv": _short(gap_cv(local) or 1.0), "rate_curve": {"points": points, "period": _s(float(times_s[-1]))},
        }  # fmt: skip


def _drifting(times_s: np.ndarray, rate_per_s: float) -> Iterator[tuple[str, dict[str, Any]]]:
    """States whose rates have the variance and the correlation time that dispersion against window
    shows.

    Of a rate with variance v and correlation exp(-t/τ): dispersion in a window T is c² + 2·v·τ/λ·(1
    − (1 − exp(−T/τ))·τ/T).
    """
    longest_s = float(times_s[-1]) / 8
    windows_s = np.geomspace(min(1.0, longest_s / 50), longest_s, 12)
    found = np.array([dispersion(times_s, window_s) or 1e-9 for window_s in windows_s])

    def model(log_of: np.ndarray) -> np.ndarray:
        local, variance, tau_s = np.exp(log_of)
        ratio = windows_s / tau_s
        curve: np.ndarray = local + 2 * variance * tau_s / rate_per_s * (
            1 + np.expm1(-ratio) / ratio
        )
        return np.maximum(curve, 1e-9)  # type: ignore[no-any-return]

    guess = np.log(
        [
            max(found[0], 0.1),
            max(found[-1] - found[0], 0.01) * rate_per_s / longest_s,
            longest_s / 4,
        ]
    )
    local, variance, tau_s = np.exp(
        least_squares(lambda log_of: np.log(model(log_of) / found), guess, max_nfev=200).x
    )
    cv = _short(float(np.clip(local, 0.05, 100.0) ** 0.5))
    share_on = 1 / (1 + variance / rate_per_s**2)
    yield "mmpp of two states, one silent", {
        "process": "mmpp", "cv": cv, "states": [_state(rate_per_s / share_on, tau_s / (1 - share_on)), _state(0.0, tau_s / share_on)],
    }  # fmt: skip
    if variance < 0.5 * rate_per_s**2:
        spread = variance**0.5 / 5**0.5  # of four rates at -3, -1, 1, 3 the variance is 5
        yield "mmpp of four states", {
            "process": "mmpp", "cv": cv, "states": [_state(max(rate_per_s + place * spread, 0.0), tau_s * 4 / 3) for place in (-3, -1, 1, 3)],
        }  # fmt: skip


def _bursting(times_s: np.ndarray, rate_per_s: float) -> Iterator[tuple[str, dict[str, Any]]]:
    """Bursts, which a long gap ends; a few lengths of what is long are tried."""
    gaps_s = np.diff(times_s)
    for longer in (3.0, 12.0, 50.0):
        limit_s = longer / rate_per_s
        ends = np.nonzero(gaps_s > limit_s)[0]
        if len(ends) < 8 or len(ends) > len(gaps_s) / 4:
            continue
        silences_s = gaps_s[ends]
        bursts = [
            times_s[start:end] for start, end in pairwise([0, *(ends + 1).tolist(), len(times_s)])
        ]
        many = [burst for burst in bursts if len(burst) >= 5 and burst[-1] > burst[0]]
        if len(many) < 4:
            continue
        lasts_s = np.array([burst[-1] - burst[0] for burst in bursts])
        lasts_s = lasts_s[lasts_s > 0.0]
        rates = np.array([(len(burst) - 1) / (burst[-1] - burst[0]) for burst in many])
        inside = np.concatenate([np.diff(burst) / np.mean(np.diff(burst)) for burst in many])
        logs = np.log(silences_s)
        share_on = float(lasts_s.sum() / times_s[-1])
        yield f"on_off with silences above {limit_s:.2g} s", {
            "process": "on_off", "on": _s(float(lasts_s.mean())), "on_shape": _short(float(np.clip(lasts_s.mean() ** 2 / lasts_s.var(), 0.05, 50.0))),
            "off": _s(float(np.exp(logs.mean() + logs.var() / 2))), "off_sigma": _short(float(logs.std())), "off_max": _s(float(silences_s.max())),
            "burst_rate": _per_s(rate_per_s / share_on), "burst_rate_sigma": _short(float(np.std(np.log(rates)))),
            "gap_shape": _short(float(np.clip(1 / np.var(inside), 0.05, 50.0))),
        }  # fmt: skip


def _state(rate_per_s: float, dwell_s: float) -> dict[str, str]:
    return {"rate": _per_s(rate_per_s), "mean_dwell": _s(dwell_s)}


def _short(value: float) -> float:
    """Four figures: more would promise what a trace does not hold."""
    return float(f"{value:.4g}")


def _s(value: float) -> str:
    return f"{value:.4g} s"


def _per_s(value: float) -> str:
    return f"{value:.4g} /s"
