"""Verdict: whether requests meet the objectives of the SLO, each at its percentile.

Every command judges by this module. A latency has a value at the percentile of all requests that
count; one that was rejected, failed or did not finish is infinitely late.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, inf, isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from cluster_sim.typing import Array

if TYPE_CHECKING:
    from cluster_sim.results.run_data import RunData
    from cluster_sim.scenario.scenario import Scenario

DEFAULT_PERCENTILE = 99.0
"""Percentile of objectives for which the file writes none."""

_COLUMNS = ["status", "arrival_s", "first_token_s", "finish_s", "output_tokens"]


@dataclass(frozen=True)
class Objective:
    """A limit on one latency of the requests of one class, at a percentile."""

    class_: str
    """Name of the class of traffic; empty where there are no classes."""
    latency: str
    """Latency that is limited: ttft, tpot or e2el."""
    limit_s: float
    """Greatest value that meets it [s]."""
    percentile: float
    """Percentile of requests at which the value is taken."""
    is_percentile_written: bool = True
    """Whether the file writes the percentile; else it is a default."""

    @property
    def name(self) -> str:
        """Name that tells it from the others: tpot, or CLASS.tpot where there are classes."""
        return f"{self.class_}.{self.latency}" if self.class_ else self.latency


@dataclass(frozen=True)
class Outcome:
    """An objective, and how requests do by it."""

    objective: Objective
    value_s: float
    """Value of the latency at the percentile [s]; infinite where an unfinished request has a part
    in it, and where no request has the latency."""
    unfinished: float | None
    """Share of its requests that did not finish; None where no request has the latency."""

    @property
    def is_met(self) -> bool:
        """Whether the value is within the limit."""
        return self.value_s <= self.objective.limit_s

    @property
    def margin(self) -> float:
        """Share of the limit that is left; negative beyond it."""
        margin = 1.0 - self.value_s / self.objective.limit_s
        # division may round a value next above the limit to a margin of 0
        return margin if self.is_met else min(margin, -(2.0**-53))

    def as_missed(self) -> dict[str, Any]:
        """Return it as an entry of `slo_missed`, of which JSON can write every value."""
        entry = {
            "metric": self.objective.latency,
            "limit_ms": 1e3 * self.objective.limit_s,
            "value_ms": 1e3 * self.value_s if isfinite(self.value_s) else None,
        }
        if self.unfinished is None:
            return entry | {"infinite_because": "no request has one"}
        if not isfinite(self.value_s):
            share = f"{100.0 * self.unfinished:.3g}%"
            return entry | {"infinite_because": f"{share} of requests did not finish"}
        return entry


@dataclass(frozen=True)
class Verdict:
    """Outcomes of the objectives of a run, of one class of it, or of several runs together."""

    outcomes: tuple[Outcome, ...]
    """Outcomes by class and latency; one at least."""

    @property
    def is_met(self) -> bool:
        """Whether every objective is met, each by the requests of its class."""
        return all(outcome.is_met for outcome in self.outcomes)

    @property
    def missed(self) -> list[dict[str, Any]]:
        """Objectives that are missed, as summary.json has them."""
        return [
            {"class": outcome.objective.class_} | outcome.as_missed()
            if outcome.objective.class_
            else outcome.as_missed()
            for outcome in self.outcomes
            if not outcome.is_met
        ]

    @property
    def percentile(self) -> float | Mapping[str, float]:
        """Percentile of all objectives; percentiles by class where they differ."""
        return shared_percentile([outcome.objective for outcome in self.outcomes])

    @property
    def percentiles(self) -> list[float]:
        """Percentiles of all objectives, ascending, each once."""
        return sorted({outcome.objective.percentile for outcome in self.outcomes})

    def of_class(self, name: str) -> Verdict | None:
        """Return the verdict on one class; None where it has no objectives."""
        mine = tuple(outcome for outcome in self.outcomes if outcome.objective.class_ == name)
        return Verdict(mine) if mine else None


def objectives(
    scenario: Scenario, percentile: float | None = None, default: float = DEFAULT_PERCENTILE
) -> tuple[Objective, ...]:
    """Return the objectives of all classes of a scenario; none where it has no SLO.

    Parameters
    ----------
    percentile
        Percentile in place of those that the SLO writes.
    default
        Percentile where neither is written.
    """
    return tuple(_objectives(scenario, percentile, default))


def _objectives(
    scenario: Scenario, percentile: float | None, default: float
) -> Iterator[Objective]:
    names = [class_.name for class_ in scenario.workload.classes] or [""]
    for name, slo in zip(names, scenario.slos, strict=True):
        written = slo.percentile if percentile is None else percentile
        at, is_written = (default, False) if written is None else (written, True)
        for latency, limit_s in slo.limits_s.items():
            yield Objective(name, latency, limit_s, at, is_written)


def judged(runs: Sequence[RunData], wanted: Sequence[Objective]) -> Verdict:
    """Return the verdict on the requests of all runs together that count.

    Parameters
    ----------
    runs
        Runs of scenarios that differ in their seed alone.
    wanted
        Objectives; one at least.
    """
    latencies = [_Latencies.of(run) for run in runs]
    return Verdict(tuple(_outcome(latencies, objective) for objective in wanted))


def shared_percentile(wanted: Sequence[Objective]) -> float | Mapping[str, float]:
    """Return the percentile that all objectives share, or percentiles by class."""
    by_class = {objective.class_: objective.percentile for objective in wanted}
    first, *others = set(by_class.values())
    return by_class if others else first


def _outcome(latencies: Sequence[_Latencies], objective: Objective) -> Outcome:
    values_s = np.concatenate([of_run.of_objective(objective) for of_run in latencies])
    unfinished = float(np.mean(np.isinf(values_s))) if len(values_s) else None
    return Outcome(objective, at_percentile(values_s, objective.percentile), unfinished)


@dataclass(frozen=True)
class _Latencies:
    """Latencies of the requests of one run that count."""

    class_: Array | None
    """Names of their classes; None where there are no classes."""
    has_tpot: Array
    """Whether each has a time per output token: those of one token have none."""
    values_s: Mapping[str, Array]
    """Latencies by name [s]; infinite where a request did not finish."""

    @classmethod
    def of(cls, run: RunData) -> _Latencies:
        """Return those of a run."""
        of_class = ["class"] if run.scenario.workload.classes else []
        table = run.requests.select([*_COLUMNS, *of_class]).filter(run.requests["counted"])
        arrival_s, first_s, finish_s, tokens = (
            table[column].to_numpy()
            for column in ("arrival_s", "first_token_s", "finish_s", "output_tokens")
        )
        values_s = {
            "ttft": first_s - arrival_s,
            "tpot": (finish_s - first_s) / np.maximum(tokens - 1, 1),
            "e2el": finish_s - arrival_s,
        }
        is_finished = table["status"].to_numpy() == "finished"
        return cls(
            table["class"].to_numpy() if of_class else None,
            tokens > 1,
            {name: np.where(is_finished, values, inf) for name, values in values_s.items()},
        )

    def of_objective(self, objective: Objective) -> Array:
        """Return the latency that is limited, of the requests that the objective is for [s]."""
        values_s = self.values_s[objective.latency]
        is_mine = self.has_tpot | (objective.latency != "tpot")
        if objective.class_:
            is_mine = is_mine & (self.class_ == objective.class_)
        mine_s: Array = values_s[is_mine]
        return mine_s


def at_percentile(values: Array, percentile: float) -> float:
    """Return a linear percentile of values of which some may be infinite.

    It is that of numpy, and infinite as soon as an infinite value has a part in it, and where there
    is no value.

    >>> at_percentile(np.array([1.0, 2.0, np.inf]), 50.0), at_percentile(np.array([1.0, np.inf]), 1.0)
    (2.0, inf)
    """
    finite = values[np.isfinite(values)]
    if not len(finite) or ceil(percentile / 100.0 * (len(values) - 1)) >= len(finite):
        return inf
    return float(np.percentile(np.minimum(values, np.max(finite)), percentile))
