"""Verdict: whether requests meet the objectives of the SLO, each at its percentile.

Every command judges by this module. The percentile of a latency is taken over all requests that
count. The latency of a request that was rejected, was lost, timed out or did not finish counts as
infinite. Requests that their users cancelled are left out, unless they had already missed the limit
on TTFT.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, inf, isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cluster_sim.results.metrics.good_requests import is_judged
from cluster_sim.typing import Array

if TYPE_CHECKING:
    from cluster_sim.results.run_data import RunData
    from cluster_sim.scenario.scenario import Scenario

DEFAULT_PERCENTILE = 99.0
"""Percentile of objectives for which the file gives no percentile."""

_COLUMNS = ["status", "arrival_s", "first_token_s", "finish_s", "output_tokens"]


@dataclass(frozen=True)
class Objective:
    """A limit on one latency of the requests of one class, at a percentile."""

    class_: str
    """Name of the class of traffic; empty if the workload has no classes."""
    latency: str
    """Latency that is limited: ttft, tpot or e2el."""
    limit_s: float
    """Maximum value that meets the objective [s]."""
    percentile: float
    """Percentile of requests at which the value is taken."""
    is_percentile_written: bool = True
    """Whether the file gives the percentile; otherwise it is the default."""

    @property
    def name(self) -> str:
        """Unique name of the objective: tpot, or CLASS.tpot if the workload has classes."""
        return f"{self.class_}.{self.latency}" if self.class_ else self.latency


@dataclass(frozen=True)
class Outcome:
    """An objective with the value that requests reach."""

    objective: Objective
    value_s: float
    """Value of the latency at the percentile [s]; infinite if an unfinished request contributes to
    it, or if no request has the latency."""
    unfinished: float | None
    """Share of the requests that did not finish; None if no request has the latency."""

    @property
    def is_met(self) -> bool:
        """Whether the value is within the limit."""
        return self.value_s <= self.objective.limit_s

    @property
    def margin(self) -> float:
        """Limit minus value, as a share of the limit; negative if the objective is missed."""
        margin = 1.0 - self.value_s / self.objective.limit_s
        # division may round the margin of a value slightly above the limit to 0
        return margin if self.is_met else min(margin, -(2.0**-53))

    def as_missed(self) -> dict[str, Any]:
        """Return the outcome as an entry of `slo_missed`, whose values JSON can write."""
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
    """Outcomes of the objectives of a run, of one class of traffic, or of several runs pooled."""

    outcomes: tuple[Outcome, ...]
    """Outcomes in order of class and latency; at least one."""

    @property
    def is_met(self) -> bool:
        """Whether the requests of each class meet every objective of the class."""
        return all(outcome.is_met for outcome in self.outcomes)

    @property
    def missed(self) -> list[dict[str, Any]]:
        """Objectives that are missed, in the form of `slo_missed` in summary.json."""
        return [
            {"class": outcome.objective.class_} | outcome.as_missed()
            if outcome.objective.class_
            else outcome.as_missed()
            for outcome in self.outcomes
            if not outcome.is_met
        ]

    @property
    def margins(self) -> dict[str, float]:
        """Margins by name of the objective; objectives with an infinite value are omitted."""
        return {
            outcome.objective.name: outcome.margin
            for outcome in self.outcomes
            if isfinite(outcome.value_s)
        }

    @property
    def percentile(self) -> float | Mapping[str, float]:
        """Percentile of all objectives; percentiles by class if classes differ."""
        return shared_percentile([outcome.objective for outcome in self.outcomes])

    @property
    def percentiles(self) -> list[float]:
        """Distinct percentiles of all objectives, ascending."""
        return sorted({outcome.objective.percentile for outcome in self.outcomes})

    def of_class(self, name: str) -> Verdict | None:
        """Return the verdict on one class of traffic; None if the class has no objectives."""
        selected = tuple(outcome for outcome in self.outcomes if outcome.objective.class_ == name)
        return Verdict(selected) if selected else None


def objectives(
    scenario: Scenario, percentile: float | None = None, default: float = DEFAULT_PERCENTILE
) -> tuple[Objective, ...]:
    """Return the objectives of all classes of a scenario; empty if it has no SLO.

    Parameters
    ----------
    scenario
        Scenario with its SLOs.
    percentile
        Percentile that replaces those of the SLO. Default: those of the SLO.
    default
        Percentile of objectives for which the SLO gives none either.
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
    """Return the verdict on the pooled requests of all runs; only requests that count are used.

    Parameters
    ----------
    runs
        Runs of scenarios that differ only in their seed.
    wanted
        Objectives to judge; at least one.
    """
    latencies = [_Latencies.of(run) for run in runs]
    return Verdict(tuple(_outcome(latencies, objective) for objective in wanted))


def shared_percentile(wanted: Sequence[Objective]) -> float | Mapping[str, float]:
    """Return the percentile that all objectives share, or percentiles by class if they differ."""
    by_class = {objective.class_: objective.percentile for objective in wanted}
    first, *others = set(by_class.values())
    return by_class if others else first


def _outcome(latencies: Sequence[_Latencies], objective: Objective) -> Outcome:
    values_s = np.concatenate([of_run.of_objective(objective) for of_run in latencies])
    unfinished = float(np.mean(np.isinf(values_s))) if len(values_s) else None
    return Outcome(objective, at_percentile(values_s, objective.percentile), unfinished)


@dataclass(frozen=True)
class _Latencies:
    """Latencies of the requests of a run that the SLO judges."""

    class_: Array | None
    """Class of traffic of each request; None if the workload has no classes."""
    has_tpot: Array
    """Whether each request has a time per output token; answers of one token have none."""
    values_s: Mapping[str, Array]
    """Latencies by name [s]; infinite if a request did not finish."""

    @classmethod
    def of(cls, run: RunData) -> _Latencies:
        """Return the latencies of a run."""
        of_class = ["class"] if run.scenario.workload.classes else []
        table = run.requests.select([*_COLUMNS, *of_class]).filter(pa.array(is_judged(run)))
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
        """Return the limited latency of the requests to which the objective applies [s]."""
        values_s = self.values_s[objective.latency]
        is_mine = self.has_tpot | (objective.latency != "tpot")
        if objective.class_:
            is_mine = is_mine & (self.class_ == objective.class_)
        mine_s: Array = values_s[is_mine]
        return mine_s


def at_percentile(values: Array, percentile: float) -> float:
    """Return a percentile of values, some of which may be infinite.

    Percentiles are linear, as in numpy. The result is infinite if an infinite value contributes to
    it, or if there are no values.

    Parameters
    ----------
    values
        Values in any order.
    percentile
        Percentile, from 0 to 100.

    Examples
    --------
    >>> at_percentile(np.array([1.0, 2.0, np.inf]), 50.0), at_percentile(np.array([1.0, np.inf]), 1.0)
    (2.0, inf)
    """
    finite = values[np.isfinite(values)]
    if not len(finite) or ceil(percentile / 100.0 * (len(values) - 1)) >= len(finite):
        return inf
    return float(np.percentile(np.minimum(values, np.max(finite)), percentile))
