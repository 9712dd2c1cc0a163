"""A process and lengths that match a trace.

Several processes are fitted and simulated. The nearest is proposed with how near it is.
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
"""Error that each number of a process counts as: a curve of many points is the trace itself, and
says nothing of another day."""
_MIN_REQUESTS = 50
"""Number of requests below which there is nothing to fit."""
_FEW_SEEDS = 8
"""Number of seeds while a process is refined."""
_MAX_MOVES = 3
"""Number of times that a number may be moved in one direction."""
_REFINED = ("cv", "gap_shape", "burst_rate_sigma", "on_shape")
"""Keys of which moments say least."""
_AT = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1.0)
"""Quantiles of lengths that are kept."""
_ARRIVALS: TypeAdapter[Arrivals] = TypeAdapter(Arrivals)


@dataclass(frozen=True)
class Matched:
    """One statistic of the trace beside seeds of what is proposed."""

    trace: float
    """Value of the trace."""
    p5: float
    """5th percentile of the seeds."""
    p95: float
    """95th percentile of the seeds."""

    @property
    def miss(self) -> float:
        """Share by which the nearest of the middle 90 % of seeds is off; 0 where none is."""
        if self.p5 <= self.trace <= self.p95:
            return 0.0
        return min(abs(self.p5 / self.trace - 1), abs(self.p95 / self.trace - 1))


@dataclass(frozen=True)
class Proposal:
    """A workload that matches a trace, and how well it does."""

    workload: dict[str, Any]
    """Keys of `workload` in a scenario file."""
    matches: dict[str, Matched]
    """Matches by statistic."""
    tried: dict[str, float]
    """Error of each process that was tried, nearest first: the mean error of a statistic's
    logarithm beyond what is chance, and a price for each number that the process has."""


def propose(demand: Demand) -> Proposal:
    """Return the process that comes nearest to the trace's bursts, with its lengths as quantiles.

    Raises ScenarioError for a trace of fewer than fifty requests, or all at once.
    """
    times_s = demand.arrival_s - demand.arrival_s[0] if len(demand.arrival_s) else demand.arrival_s
    if len(times_s) < _MIN_REQUESTS or times_s[-1] <= 0.0:
        raise ScenarioError.at(
            demand.name,
            f"has {len(times_s)} requests over {times_s[-1] if len(times_s) else 0.0:g} s; expected at least {_MIN_REQUESTS}, not all at once",
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
    """One process, and how it compares with the trace."""

    keys: Keys
    """Keys of the process in a scenario file."""
    error: float
    """Its error, see `Proposal.tried`."""
    rate_per_s: float
    """Its mean rate [1/s]."""
    matches: dict[str, Matched]
    """Matches by statistic."""


@dataclass(frozen=True)
class _Target:
    """The trace that is to be matched."""

    statistics: dict[str, float]
    """Statistics of its arrivals."""
    span_s: float
    """Time from its first to its last arrival [s]."""

    def attempt(self, keys: Keys, seeds: int = SEEDS) -> _Try | None:
        """Return how a process compares over some seeds; None where the process cannot be so."""
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
    """Return by how much a statistic of one trace is off by chance alone.

    The relative error of a variance of m windows is √(2/(m − 1)). For peaks nothing so plain is
    known; a tenth is taken.
    """
    if name.startswith("dispersion"):
        windows = int(span_s / float(name.removeprefix("dispersion_").removesuffix("s")))
        return float((2 / (windows - 1)) ** 0.5)
    return 0.1 if name.startswith("peak") else 0.0


def _refined(start: _Try, target: _Target) -> _Try:
    """Return a process with some numbers moved to where its simulated statistics are nearest.

    They are moved one after another; the mean rate stays.
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
    """Return the keys with bursts as fast as the mean rate asks for."""
    if "burst_rate" not in keys:
        return keys
    process = OnOff.model_validate(keys).at_mean_rate(rate_per_s)
    return keys | {"burst_rate": per_s_text(process.burst_rate_per_s)}


def _count_numbers(keys: Any) -> int:
    """Return how many numbers describe a process."""
    if isinstance(keys, (dict, list)):
        return sum(map(_count_numbers, keys.values() if isinstance(keys, dict) else keys))
    return int(isinstance(keys, float) or (isinstance(keys, str) and keys[0].isdigit()))


def _statistics(times_s: np.ndarray) -> dict[str, float]:
    """Return the statistics of these times by name, without those of which there is too little."""
    values: dict[str, float | None] = {
        "rate_per_s": len(times_s) / float(times_s[-1]),
        "cv": gap_cv(times_s),
    }
    for name, statistic in (("dispersion", dispersion), ("peak_to_mean", peak_to_mean)):
        values |= {f"{name}_{window_s:g}s": statistic(times_s, window_s) for window_s in WINDOWS_S}
    return {name: value for name, value in values.items() if value is not None}


def _simulated(process: ArrivalProcess, span_s: float, seeds: int) -> Iterator[dict[str, float]]:
    """Yield the statistics of some seeds over a length of time."""
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
    """Return the keys of lengths by their quantiles."""
    values = np.rint(np.quantile(tokens, _AT)).astype(int).tolist()
    return {"distribution": "empirical", "quantiles": dict(zip(_AT, values, strict=True))}
