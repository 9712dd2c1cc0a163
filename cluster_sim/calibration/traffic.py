"""Arrival process and lengths that match a trace.

Several processes are fitted and simulated. The result is the nearest process, with its distance.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from cluster_sim.analysis.demand import Demand
from cluster_sim.calibration.traffic_candidates import Keys, candidates, per_s_text, rounded
from cluster_sim.errors import ScenarioError
from cluster_sim.workload.arrivals import ArrivalProcess, Arrivals, OnOff
from cluster_sim.workload.random_streams import stream
from cluster_sim.workload.statistics import WINDOWS_S, dispersion, gap_cv, peak_to_mean

SEEDS = 20
"""Number of seeds with which a process is simulated."""
_PRICE = 0.008
"""Error that each number of a process adds: a curve of many points is the trace itself, and does
not predict another day."""
_MIN_REQUESTS = 50
"""Minimum number of requests for a fit."""
_FEW_SEEDS = 8
"""Number of seeds while a process is refined."""
_MAX_MOVES = 3
"""Maximum number of times that a number is moved in one direction."""
_REFINED = ("cv", "gap_shape", "burst_rate_sigma", "on_shape")
"""Keys that the moments determine least."""
_AT = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1.0)
"""Quantiles of lengths in the result."""
_ARRIVALS: TypeAdapter[Arrivals] = TypeAdapter(Arrivals)


@dataclass(frozen=True)
class Matched:
    """One statistic of the trace, and its range over simulations of the proposed process."""

    trace: float
    """Value of the trace."""
    p5: float
    """5th percentile over the seeds."""
    p95: float
    """95th percentile over the seeds."""

    @property
    def miss(self) -> float:
        """Distance to the nearest one of the middle 90 % of seeds, as a share; 0 inside of them."""
        if self.p5 <= self.trace <= self.p95:
            return 0.0
        return min(abs(self.p5 / self.trace - 1), abs(self.p95 / self.trace - 1))


@dataclass(frozen=True)
class Proposal:
    """Workload that matches a trace, with its statistics."""

    workload: dict[str, Any]
    """Keys of `workload` in a scenario file."""
    matches: dict[str, Matched]
    """Matches by statistic."""
    tried: dict[str, float]
    """Error of each process, nearest first: the mean error of the logarithm of a statistic beyond
    chance, and an error for each number of the process."""


def propose(demand: Demand) -> Proposal:
    """Return the process that is nearest to the trace's bursts, with lengths as quantiles.

    Parameters
    ----------
    demand
        Requests of the trace.

    Returns
    -------
    Proposal
        Workload, with its statistics beside those of the trace.

    Raises
    ------
    ScenarioError
        The trace has fewer than fifty requests, or all of them at one time.
    """
    times_s = demand.arrival_s - demand.arrival_s[0] if len(demand.arrival_s) else demand.arrival_s
    if len(times_s) < _MIN_REQUESTS or times_s[-1] <= 0.0:
        raise ScenarioError.at(
            demand.name,
            f"has {len(times_s)} requests over {times_s[-1] if len(times_s) else 0.0:g} s; expected at least {_MIN_REQUESTS} requests at different times",
        )
    target = _Target(_statistics(times_s), float(times_s[-1]))
    tries = {
        name: attempt
        for name, keys in candidates(times_s)
        if (attempt := target.attempt(keys)) is not None
    }
    tries = dict(sorted(tries.items(), key=lambda named: named[1].error))
    nearest = next(iter(tries.values()))
    refined = target.attempt(_refined(nearest, target).keys)
    best = refined if refined is not None and refined.error < nearest.error else nearest
    workload: dict[str, Any] = {
        "arrivals": best.keys,
        "prompt_tokens": _lengths(demand.prompt_tokens),
        "output_tokens": _lengths(demand.output_tokens),
    }
    if (correlation := demand.correlation()) is not None:
        workload["length_correlation"] = round(correlation, 2)
    return Proposal(workload, best.matches, {name: each.error for name, each in tries.items()})


@dataclass(frozen=True)
class _Try:
    """One process, and its comparison with the trace."""

    keys: Keys
    """Keys of the process in a scenario file."""
    error: float
    """Error of the process, see `Proposal.tried`."""
    rate_per_s: float
    """Mean rate of the process [1/s]."""
    matches: dict[str, Matched]
    """Matches by statistic."""


@dataclass(frozen=True)
class _Target:
    """Trace that is to be matched."""

    statistics: dict[str, float]
    """Statistics of the arrivals."""
    span_s: float
    """Time from the first to the last arrival [s]."""

    def attempt(self, keys: Keys, seeds: int = SEEDS) -> _Try | None:
        """Return the comparison of a process over seeds; None if its numbers are impossible."""
        try:
            process = _ARRIVALS.validate_python(keys)
        except ValidationError:
            return None
        rate_per_s = process.mean_rate_per_s(self.span_s)
        assert rate_per_s is not None
        seen = list(_simulated(process, self.span_s, seeds))
        matches, errors = {}, []
        for name, value in self.statistics.items():
            values = [statistics[name] for statistics in seen if name in statistics] or [0.0]
            matches[name] = Matched(value, *np.percentile(values, [5, 95]).tolist())
            if value > 0.0:
                middle = max(float(np.median(values)), 1e-9)
                off = abs(float(np.log(middle / value)))
                errors.append(max(off - _noise(name, self.span_s), 0.0))
        error = float(np.mean(errors)) + _PRICE * _count_numbers(keys)
        return _Try(keys, error, rate_per_s, matches)


def _noise(name: str, span_s: float) -> float:
    """Return the error of a statistic of one trace by chance alone.

    The relative error of a variance of m windows is √(2/(m − 1)). For peaks there is no simple
    formula; a tenth is assumed.
    """
    if name.startswith("dispersion"):
        windows = int(span_s / float(name.removeprefix("dispersion_").removesuffix("s")))
        return float((2 / (windows - 1)) ** 0.5)
    return 0.1 if name.startswith("peak") else 0.0


def _refined(start: _Try, target: _Target) -> _Try:
    """Return a process with some numbers moved so that its simulated statistics are nearest.

    The numbers are moved one after another; the mean rate stays.
    """
    best = target.attempt(start.keys, _FEW_SEEDS) or start
    for factor in (1.25, 1.1):
        for key in _REFINED:
            for by in (factor, 1 / factor):
                for _ in range(_MAX_MOVES if key in best.keys else 0):
                    moved = best.keys | {key: rounded(best.keys[key] * by)}
                    attempt = target.attempt(_at_rate(moved, best.rate_per_s), _FEW_SEEDS)
                    if attempt is None or attempt.error >= best.error:
                        break
                    best = attempt
    return best


def _at_rate(keys: Keys, rate_per_s: float) -> Keys:
    """Return the keys with the rate of bursts that gives the mean rate."""
    if "burst_rate" not in keys:
        return keys
    process = OnOff.model_validate(keys).at_mean_rate(rate_per_s)
    return keys | {"burst_rate": per_s_text(process.burst_rate_per_s)}


def _count_numbers(keys: Any) -> int:
    """Return the number of numbers that describe a process."""
    if isinstance(keys, (dict, list)):
        return sum(map(_count_numbers, keys.values() if isinstance(keys, dict) else keys))
    return int(isinstance(keys, float) or (isinstance(keys, str) and keys[0].isdigit()))


def _statistics(times_s: np.ndarray) -> dict[str, float]:
    """Return the statistics of these times by name, without those that need more data."""
    values: dict[str, float | None] = {
        "rate_per_s": len(times_s) / float(times_s[-1]),
        "cv": gap_cv(times_s),
    }
    for name, statistic in (("dispersion", dispersion), ("peak_to_mean", peak_to_mean)):
        values |= {f"{name}_{window_s:g}s": statistic(times_s, window_s) for window_s in WINDOWS_S}
    return {name: value for name, value in values.items() if value is not None}


def _simulated(process: ArrivalProcess, span_s: float, seeds: int) -> Iterator[dict[str, float]]:
    """Yield the statistics of some seeds over a duration."""
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
    """Return the keys of lengths, as quantiles."""
    values = np.rint(np.quantile(tokens, _AT)).astype(int).tolist()
    return {"distribution": "empirical", "quantiles": dict(zip(_AT, values, strict=True))}
