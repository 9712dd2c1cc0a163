"""Variants on identical traffic, and whether what sets them apart is more than chance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cluster_sim.errors import ScenarioError, did_you_mean
from cluster_sim.loading.files import load_variants
from cluster_sim.results.metrics.finished import finished
from cluster_sim.results.results import Results
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.studies.statistics import (
    BATCHES,
    Interval,
    autocorrelation,
    bootstrap_interval,
    chance_of_none,
    mser5,
    t_interval,
)
from cluster_sim.studies.workers import Call, called, cores
from cluster_sim.typing import Array

if TYPE_CHECKING:
    import pyarrow as pa

METRICS = (
    "mean_ttft_ms", "p95_ttft_ms", "p99_ttft_ms", "mean_tpot_ms", "p95_tpot_ms", "p99_tpot_ms", "mean_e2el_ms", "p99_e2el_ms", "output_throughput",
    "slo_attainment",
)  # fmt: skip
_OF_BATCHES = ("mean_ttft_ms", "mean_tpot_ms", "mean_e2el_ms", "mean_queue_ms")
"""What one run alone can tell: means of batches of its requests. A batch holds too few for its
percentiles."""

_PILOTS = 10  # runs in which warm-up is looked for

Replication = list[dict[str, Any]]
"""A summary for each variant, of one seed."""


@dataclass(frozen=True)
class Difference:
    """One metric of one variant, less that of the first."""

    variant: str
    metric: str
    first_mean: float
    mean: float
    difference: float
    t: Interval
    bootstrap: Interval
    chance: float
    """How often such a difference comes up where there is none: the p-value of the paired t
    test."""
    significant: bool
    """The t interval leaves out zero. Each line is judged alone: of twenty without a difference,
    one will look like one."""
    saved: float
    """How many times as many replications would give the same interval if the variants saw traffic
    of their own; infinite for a copy."""

    @property
    def verdict(self) -> str:
        """Which way the variant differs, in words."""
        if self.t.low == self.t.high == 0.0:
            return "identical"
        if not self.significant:
            return "not significant"
        return "higher" if self.difference > 0 else "lower"


@dataclass(frozen=True)
class Comparison:
    """What `compare` found."""

    name: str
    variants: tuple[str, ...]
    differences: tuple[Difference, ...]
    replications: int
    """1: error bars are from batches of that run's requests."""
    warmup_s: float | None
    """What was left out at the beginning; None: nothing, as no steady state showed."""
    notes: tuple[str, ...]

    @property
    def table(self) -> pa.Table:
        """One row a difference."""
        from cluster_sim.studies.store import table

        rows = []
        for one in self.differences:
            row = asdict(one)
            ends = {
                f"{name}_{end}": row[name][end]
                for name in ("t", "bootstrap")
                for end in ("low", "high")
            }
            rows.append(
                {key: value for key, value in row.items() if key not in ("t", "bootstrap")} | ends
            )
        return table(rows)


def compare(
    path: str | Path,
    replications: int = 10,
    metrics: Sequence[str] = (),
    variants: Sequence[str] = (),
    sets: Sequence[str] = (),
    seed: int | None = None,
    confidence: float = 0.95,
    precision: float | None = None,
    most: int = 200,
    find_warmup: bool = True,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Every variant of the file beside its first, on `replications` seeds that all of them share
    (common random numbers).

    metrics: fields of the summary. precision: go on until every interval reaches no further than
    this share of the first variant's mean, up to `most` replications. find_warmup: where the file
    gives none, find it by MSER-5 in the times to first token, the longest of all variants for each
    seed. progress is told how many replications are done, and of how many. Raises ScenarioError for
    faults in the file, fewer than two variants, or a metric that there is not.
    """
    scenarios = load_variants(path, variants, sets, seed)
    if len(scenarios) < 2:
        raise ScenarioError.at(str(path), "has nothing to compare; wanted two variants at least")
    wanted = tuple(metrics) or (
        METRICS if replications > 1 or precision is not None else _OF_BATCHES
    )
    target = max(replications, 3) if precision is not None else replications
    settled_s: float | None = max(one.warmup_s for one in scenarios)
    if find_warmup and not settled_s and not any(map(_ends_by_itself, scenarios)):
        settled_s = _settled_s(scenarios, min(target, _PILOTS), workers)
        scenarios = [one.model_copy(update={"warmup_s": settled_s or 0.0}) for one in scenarios]
    runs: list[Replication] = []
    while True:
        todo = range(len(runs), target)
        work = ((number, (replicated, (_moved(scenarios, number), target == 1))) for number in todo)
        runs += _ordered(
            work,
            workers,
            partial(_report, progress, target),
        )
        _check(wanted, runs, str(path))
        differences = tuple(
            _differences(scenarios, runs if target > 1 else _batches(runs[0]), wanted, confidence)
        )
        if (
            precision is None
            or target >= most
            or all(one.t.half_width <= precision * abs(one.first_mean) for one in differences)
        ):
            break
        target = min(target + max(workers or cores(), target // 2), most)
    names = tuple(str(one.variant) for one in scenarios)
    return Comparison(
        scenarios[0].name, names, differences, len(runs), settled_s, tuple(_notes(runs, settled_s))
    )


def _moved(scenarios: Sequence[Scenario], number: int) -> list[Scenario]:
    """All on the seed of one replication."""
    return [one.model_copy(update={"seed": one.seed + number}) for one in scenarios]


def _ordered(
    work: Iterable[tuple[int, Call]], workers: int | None, progress: Callable[[int], None]
) -> list[Any]:
    """Outcomes by number. Raises the first exception that comes."""
    outcomes: dict[int, Any] = {}
    for number, outcome in called(work, workers):
        if isinstance(outcome, Exception):
            raise outcome
        outcomes[number] = outcome
        progress(len(outcomes))
    return [outcomes[number] for number in sorted(outcomes)]


def _settled_s(scenarios: Sequence[Scenario], pilots: int, workers: int | None) -> float | None:
    """When all of them have settled; None where one has not. Takes a few runs before those that
    count.
    """
    runs = _ordered(
        ((number, (waits, (_moved(scenarios, number),))) for number in range(pilots)),
        workers,
        lambda done: None,
    )
    found_s = [warmup_s(of_one) for of_one in zip(*runs, strict=True)]
    return None if None in found_s else max(one for one in found_s if one is not None)


def _report(progress: Callable[[int, int], None] | None, target: int, done: int) -> None:
    """Tell `progress`, where there is one, how many replications of how many are done."""
    if progress is not None:
        progress(done, target)


def _check(wanted: Sequence[str], runs: Sequence[Replication], path: str) -> None:
    known = sorted(
        {
            key
            for run in runs
            for summary in run
            for key, value in summary.items()
            if isinstance(value, (int, float))
        }
    )
    for metric in wanted:
        if metric not in known and metric not in METRICS:
            raise ScenarioError.at(path, f"no metric '{metric}'{did_you_mean(metric, known)}")


def replicated(scenarios: Sequence[Scenario], in_batches: bool) -> Replication:
    """Summaries of all variants on one seed; with `in_batches` also what can be told batch by batch
    of their requests.
    """
    from cluster_sim.sim.simulate import simulate

    results = [simulate(scenario) for scenario in scenarios]
    return [one.summary() | ({"batches": of_batches(one)} if in_batches else {}) for one in results]


def waits(scenarios: Sequence[Scenario]) -> list[tuple[Array, Array]]:
    """(arrival, time to first token) [s] of the finished requests of each, in order of arrival."""
    from cluster_sim.sim.simulate import simulate

    found = []
    for scenario in scenarios:
        done = finished(simulate(scenario))
        order = np.argsort(done.arrival_s, kind="stable")
        found.append((done.arrival_s[order], done.ttft_s[order]))
    return found


def warmup_s(runs: Sequence[tuple[Array, Array]]) -> float | None:
    """When runs of one scenario on several seeds have settled, by MSER-5 on their mean; None where
    they have not.

    runs: (arrival, time to first token) [s] of each. A cut of each run for itself would follow its
    chance peaks and make the mean of the rest too low.
    """
    shortest = min(len(arrival_s) for arrival_s, _ in runs)
    cut = mser5(np.mean([ttft_s[:shortest] for _, ttft_s in runs], axis=0))
    return (
        None
        if cut is None
        else float(np.mean([arrival_s[cut] for arrival_s, _ in runs]))
        if cut
        else 0.0
    )


def _ends_by_itself(scenario: Scenario) -> bool:
    """Whether the beginning is part of the question: work that is all there at time zero, or a
    recorded day.
    """
    arrivals = scenario.workload.arrivals
    return scenario.workload.trace is not None or (arrivals is not None and arrivals.ends_by_itself)


def of_batches(results: Results) -> dict[str, list[float]]:
    """Means of equal batches of the requests that count, in order of arrival; the same requests in
    all variants.
    """
    table = results.requests
    counted, request = table["counted"].to_numpy(), table["request"].to_numpy()
    arrival_s, first_s, finish_s, admitted_s, tokens = (
        table[name].to_numpy()
        for name in ("arrival_s", "first_token_s", "finish_s", "admitted_s", "output_tokens")
    )
    values = {
        "mean_ttft_ms": first_s - arrival_s,
        "mean_tpot_ms": np.where(
            tokens > 1, (finish_s - first_s) / np.maximum(tokens - 1, 1), np.nan
        ),
        "mean_e2el_ms": finish_s - arrival_s,
        "mean_queue_ms": admitted_s - arrival_s,
    }
    order = np.argsort(request, kind="stable")
    order = order[counted[order]]
    parts = np.array_split(order, BATCHES)
    if len(order) < 5 * BATCHES:
        raise ScenarioError.at(
            results.scenario.title,
            f"has {len(order)} requests that count, too few to tell from one run; wanted --replications",
        )
    return {
        name: [1e3 * float(np.nanmean(series[part])) for part in parts]
        for name, series in values.items()
    }


def _batches(replication: Replication) -> list[Replication]:
    """The batches of one run as if each were a replication."""
    return [
        [
            {name: values[place] for name, values in summary["batches"].items()}
            for summary in replication
        ]
        for place in range(BATCHES)
    ]


def _differences(
    scenarios: Sequence[Scenario],
    runs: Sequence[Replication],
    metrics: Sequence[str],
    confidence: float,
) -> Iterator[Difference]:
    for place, scenario in list(enumerate(scenarios))[1:]:
        for metric in metrics:
            both = [
                (run[0][metric], run[place][metric])
                for run in runs
                if metric in run[0] and metric in run[place]
            ]
            if not both:
                continue
            first, other = np.array(both).T
            apart = other - first
            reach = t_interval(apart, confidence)
            yield Difference(
                str(scenario.variant), metric, float(np.mean(first)), float(np.mean(other)), float(np.mean(apart)),
                reach, bootstrap_interval(apart, confidence), chance_of_none(apart), 0.0 not in reach, _saved(first, other),
            )  # fmt: skip


def _saved(first: Array, other: Array) -> float:
    """Variance of the difference of independent runs over that of paired ones. Law, Simulation
    Modeling and Analysis, 5th ed., 11.2.
    """
    if len(first) < 2:
        return 1.0
    apart = float(np.var(other - first, ddof=1))
    return (
        (float(np.var(first, ddof=1)) + float(np.var(other, ddof=1))) / apart
        if apart
        else float("inf")
    )


def _notes(runs: Sequence[Replication], settled_s: float | None) -> Iterator[str]:
    if settled_s is None:
        yield "no steady state showed, so no warm-up was left out; longer runs, or less load, would tell more"
    if len(runs) == 1:
        dependent = {
            name for summary in runs[0] for name, values in summary["batches"].items() if abs(autocorrelation(values)) > 2 / BATCHES**0.5
        }  # fmt: skip
        if dependent:
            yield f"batches of one run still depend on each other ({', '.join(sorted(dependent))}): intervals are too narrow; wanted a longer run, or --replications"
