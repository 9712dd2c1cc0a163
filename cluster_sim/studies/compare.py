"""Comparison of variants of a scenario on the same traffic, with confidence intervals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cluster_sim.errors import ScenarioError, did_you_mean
from cluster_sim.loading.files import load_variants
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.studies import batches
from cluster_sim.studies.comparison import Comparison, Difference, Replication, differences
from cluster_sim.studies.runner import Progress, Runner, all_reseeded, summary_of
from cluster_sim.studies.same_runs import are_one_run
from cluster_sim.studies.same_runs import sentence as same_runs_sentence
from cluster_sim.studies.warmup import ends_by_itself, settled_s
from cluster_sim.studies.workers import cores

METRICS = (
    "mean_ttft_ms",
    "p95_ttft_ms",
    "p99_ttft_ms",
    "mean_tpot_ms",
    "p95_tpot_ms",
    "p99_tpot_ms",
    "mean_e2el_ms",
    "p99_e2el_ms",
    "output_throughput",
    "slo_attainment",
    "slo_met",
)
_PILOTS = 10  # number of runs from which the warm-up is estimated
_FEWEST = 3  # minimum number of replications for a precision


@dataclass(frozen=True)
class _Options:
    """Options of a comparison; see `compare`."""

    replications: int
    metrics: tuple[str, ...]
    confidence: float
    precision: float | None
    most: int

    @property
    def target(self) -> int:
        """Number of replications of the first round."""
        return self.replications if self.precision is None else max(self.replications, _FEWEST)


def compare(  # noqa: PLR0913 - public API: every parameter is an option of its users
    path: str | Path,
    replications: int = 10,
    metrics: Sequence[str] = (),
    *,
    variants: Sequence[str] = (),
    sets: Sequence[str] = (),
    seed: int | None = None,
    confidence: float = 0.95,
    precision: float | None = None,
    most: int = 200,
    find_warmup: bool = True,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Compare every variant of a file with the first variant, on shared seeds.

    All variants see the same traffic (common random numbers), so far fewer replications are needed
    to distinguish them.

    Parameters
    ----------
    path
        Scenario file with two variants or more.
    replications
        Number of seeds; with 1, the error bars are computed from batches of the requests of one
        run.
    metrics
        Fields of the summary. Default: times to first token, times per output token, end-to-end
        latencies, throughput and SLO attainment.
    variants
        Names of the variants; the others are compared with the first. Default: all variants.
    sets
        `key=value` texts applied to the file.
    seed
        Seed in place of the file's.
    confidence
        Confidence of the intervals, from 0 to 1.
    precision
        Maximum half-width of an interval, as a share of the first variant's mean; replications
        continue until all intervals are that narrow.
    most
        Maximum number of replications for `precision`.
    find_warmup
        Whether to estimate the warm-up if the file gives none: by MSER-5 on the times to first
        token; the longest warm-up of all variants is used.
    workers
        Number of processes. Default: one per core; 0: run everything in this process.
    progress
        Function that is called with the number of replications done and the number of all.

    Returns
    -------
    Comparison
        Paired differences with intervals; `table` has them as rows.

    Raises
    ------
    ScenarioError
        The file has faults or fewer than two variants, or a metric does not exist.

    Examples
    --------
    >>> import cluster_sim
    >>> comparison = cluster_sim.compare("chat.yaml", replications=20)  # doctest: +SKIP
    >>> comparison.table.to_pandas()  # doctest: +SKIP
    """
    scenarios = load_variants(path, variants, sets, seed)
    if len(scenarios) < 2:
        raise ScenarioError.at(
            str(path), "got one variant; expected at least two variants to compare"
        )
    is_in_batches = replications == 1 and precision is None
    names = tuple(metrics) or (batches.METRICS if is_in_batches else METRICS)
    options = _Options(replications, names, confidence, precision, most)
    warmup_s: float | None = max(scenario.warmup_s for scenario in scenarios)
    if find_warmup and not warmup_s and not any(map(ends_by_itself, scenarios)):
        warmup_s = settled_s(scenarios, min(options.target, _PILOTS), workers)
        left_out = {"warmup_s": warmup_s or 0.0}
        scenarios = [scenario.model_copy(update=left_out) for scenario in scenarios]
    return _Comparing(str(path), scenarios, options, Runner(workers, progress)).comparison(warmup_s)


@dataclass(frozen=True)
class _Comparing:
    """Rounds of replications, until the differences have the required precision."""

    path: str
    scenarios: Sequence[Scenario]
    options: _Options
    runner: Runner

    def comparison(self, warmup_s: float | None) -> Comparison:
        """Simulate the variants and return their differences."""
        runs: list[Replication] = []
        target = self.options.target
        while True:
            runs += self._round(len(runs), target)
            self._check_metrics(runs)
            outcome = tuple(self._differences(runs))
            if self._is_precise(outcome) or target >= self.options.most:
                break
            target = min(
                target + max(self.runner.workers or cores(), target // 2), self.options.most
            )
        return Comparison(
            self.scenarios[0].name,
            self._names(),
            outcome,
            len(runs),
            warmup_s,
            (*self._absences(runs), *_notes(runs, warmup_s, self.scenarios[0])),
        )

    def _absences(self, runs: Sequence[Replication]) -> Iterator[str]:
        """Yield a sentence per metric that was asked for and that a variant does not have."""
        for metric in self.options.metrics:
            lacking = [
                name
                for name, summaries in zip(self._names(), zip(*runs, strict=True), strict=True)
                if not any(metric in summary for summary in summaries)
            ]
            if lacking and metric not in METRICS:
                yield f"{metric} is not compared with {', '.join(lacking)}, which does not have it"

    def _names(self) -> tuple[str, ...]:
        return tuple(str(scenario.variant) for scenario in self.scenarios)

    def _round(self, done: int, target: int) -> list[Replication]:
        """Return the replications from `done` up to `target`."""
        function = replicated_in_batches if target == 1 else replicated
        calls = {
            number: (function, (all_reseeded(self.scenarios, number),))
            for number in range(done, target)
        }
        progress = self.runner.progress
        runner = replace(
            self.runner,
            progress=progress and (lambda more, _: progress(done + more, target)),
        )
        return list(runner.outcomes(calls).values())

    def _differences(self, runs: list[Replication]) -> Iterator[Difference]:
        replications = runs if len(runs) > 1 else batches.as_replications(runs[0])
        return differences(
            self._names(), replications, self.options.metrics, self.options.confidence
        )

    def _is_precise(self, outcome: Sequence[Difference]) -> bool:
        precision = self.options.precision
        return precision is None or all(
            difference.t.half_width <= precision * abs(difference.first_mean)
            for difference in outcome
        )

    def _check_metrics(self, runs: list[Replication]) -> None:
        """Raise ScenarioError if no summary has a metric."""
        known = sorted(
            {
                key
                for summaries in runs
                for summary in summaries
                for key, value in summary.items()
                if isinstance(value, (int, float))
            }
        )
        for metric in self.options.metrics:
            if metric not in known and metric not in METRICS:
                raise ScenarioError.at(
                    self.path, f"no metric '{metric}'{did_you_mean(metric, known)}"
                )


def replicated(scenarios: Sequence[Scenario]) -> Replication:
    """Return the summaries of all variants on one seed."""
    return [summary_of(scenario) for scenario in scenarios]


def replicated_in_batches(scenarios: Sequence[Scenario]) -> Replication:
    """Return the summaries of all variants on one seed, with means of batches of their requests."""
    from cluster_sim.sim.simulate import simulate

    runs = map(simulate, scenarios)
    return [results.summary() | {"batches": batches.of_batches(results)} for results in runs]


def _notes(runs: Sequence[Replication], warmup_s: float | None, first: Scenario) -> Iterator[str]:
    """Yield a sentence per reason to doubt the error bars."""
    if all(are_one_run(summaries) for summaries in zip(*runs, strict=True)):
        yield same_runs_sentence(first)
    if warmup_s is None:
        yield "no steady state was detected, so no warm-up was omitted; longer runs or a lower load may help"
    if len(runs) == 1 and (names := ", ".join(batches.dependent(runs[0]))):
        yield f"batches of one run are correlated ({names}), so intervals are too narrow; use a longer run or --replications"
