"""Comparison at equal cost, power, throughput or rate, by copies of each variant's cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor
from pathlib import Path

import numpy as np

from cluster_sim.errors import ScenarioError, did_you_mean
from cluster_sim.loading.files import ScenarioFile, load_variants, open_scenarios
from cluster_sim.results.metrics.table import METRICS
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.scenario.study_spec import Capacity
from cluster_sim.studies.capacity import capacity, tried
from cluster_sim.studies.capacity_answer import Answer
from cluster_sim.studies.iso_outcome import BASES, Basis, Iso, Scaled
from cluster_sim.studies.runner import Progress, Runner, summary_of
from cluster_sim.units import parse

FIELDS = (
    "usd_per_hour",
    "p5_usd_per_hour",
    "p95_usd_per_hour",
    "mean_power_w",
    "peak_power_w",
    "output_throughput",
    "request_throughput",
    "usd_per_million_output_tokens",
    "p5_usd_per_million_output_tokens",
    "p95_usd_per_million_output_tokens",
    "usd_per_million_tokens",
    "usd_per_request",
    "revenue_usd_per_hour",
    "margin_usd_per_hour",
    "p5_margin_usd_per_hour",
    "p95_margin_usd_per_hour",
    "energy_j_per_output_token",
    "p95_ttft_ms",
    "p95_tpot_ms",
    "slo_attainment",
)
"""Fields of the summary that are kept for each cluster."""


@dataclass(frozen=True)
class _Cluster:
    """Cluster that is copied."""

    name: str
    scenario: Scenario
    rate_per_s: float | None = None
    """Highest rate that meets the SLO [1/s], from the search for capacity."""

    def amount(self, summary: Mapping[str, float], basis: Basis) -> float:
        """Return the amount of one copy.

        Raises
        ------
        ScenarioError
            The cluster has no such amount.
        """
        if self.rate_per_s is not None:
            return self.rate_per_s
        if not (amount := summary.get(basis.field, 0.0)):
            raise ScenarioError.at(self.name, f"has {basis.lacking}")
        return amount

    def scaled(self, summary: Mapping[str, float], copies: float, basis: Basis) -> Scaled:
        """Return the cluster scaled to this number of copies."""
        users = _users(self.scenario)
        nodes = sum(pool.nodes for pool in self.scenario.cluster.pools)
        return Scaled(
            self.name,
            copies,
            floor(copies + 1e-9) if basis.is_budget else ceil(copies - 1e-9),
            copies * nodes,
            copies * users if users else None,
            {
                key: value * (copies if METRICS[key].is_extensive else 1.0)
                for key, value in summary.items()
            },
        )


def iso(  # noqa: PLR0913 - public API: every parameter is an option of its users
    path: str | Path,
    basis: str,
    at: str | None = None,
    *,
    replications: int = 1,
    variants: Sequence[str] = (),
    sets: Sequence[str] = (),
    seed: int | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Iso:
    """Scale the cluster of each variant until all have equal cost, power, output or rate.

    Copies share nothing. Each copy serves the simulated traffic, so latencies are those of one
    copy.

    Parameters
    ----------
    path
        Scenario file.
    basis
        Quantity that is made equal: `cost` [USD/h], `power` (mean at the site's meter [W]),
        `throughput` (output tokens per second) or `slo` (requests per second within the SLO, from
        the search that the file's section `capacity` defines).
    at
        Amount with its unit, such as "1000 USD/h". Default: the amount of the first variant.
    replications
        Number of seeds over which fields are averaged.
    variants
        Names of the variants. Default: all variants.
    sets
        `key=value` texts applied to the file.
    seed
        Seed in place of the file's.
    workers
        Number of processes. Default: one per core; 0: run everything in this process.
    progress
        Function that is called with the number of runs done and the number of all runs.

    Raises
    ------
    ScenarioError
        The file has faults, the basis does not exist, or a variant has no prices or no power model.

    Examples
    --------
    >>> from cluster_sim.studies.iso import iso
    >>> outcome = iso("scenarios/burst_70b.yaml", "cost")  # doctest: +SKIP
    >>> [(variant.name, variant.copies) for variant in outcome.scaled]  # doctest: +SKIP
    """
    if basis not in BASES:
        raise ScenarioError.at("--iso", f"no basis '{basis}'{did_you_mean(basis, list(BASES))}")
    equal = BASES[basis]
    level = None if at is None else _level(at, equal.unit)
    notes: tuple[str, ...] = ()
    if basis == "slo":
        sets = [*sets, *([] if seed is None else [f"seed={seed}"])]
        answer = capacity(path, sets=sets, variants=variants, workers=workers)
        clusters, notes = list(_within_slo(open_scenarios(path, sets), answer)), answer.notes
    else:
        clusters = [
            _Cluster(scenario.variant or scenario.name, scenario)
            for scenario in load_variants(path, variants, sets, seed)
        ]
    scenarios = [cluster.scenario for cluster in clusters]
    summaries = _means(scenarios, replications, Runner(workers, progress))
    amounts = [
        cluster.amount(summary, equal) for cluster, summary in zip(clusters, summaries, strict=True)
    ]
    if level is None:
        level = amounts[0]
    scaled = tuple(
        cluster.scaled(summary, level / amount, equal)
        for cluster, summary, amount in zip(clusters, summaries, amounts, strict=True)
    )
    notes = (*notes, *_notes(scaled, equal))
    return Iso(scenarios[0].name, basis, level, equal.unit, scaled, notes)


def _level(at: str, unit: str) -> float:
    """Return the amount that the user gives, in `unit`.

    Raises
    ------
    ScenarioError
        The text is not a positive amount in this unit.
    """
    try:
        level = parse(at, unit)
    except ValueError as fault:
        raise ScenarioError.at(
            "--at", f"{fault}; expected an amount such as '1000 {unit}'"
        ) from fault
    if not 0.0 < level < float("inf"):
        raise ScenarioError.at("--at", f"got {at}; expected a positive amount")
    return level


def _within_slo(file: ScenarioFile, answer: Answer) -> Iterator[_Cluster]:
    """Yield the cluster of each option of the file's section `capacity`, at its answer.

    Raises
    ------
    ScenarioError
        An option has no answer.
    """
    asked = file.capacity or Capacity()
    for option in answer.options:
        if option.answer is None:
            what = option.fault or "misses the SLO at every rate that was tried"
            raise ScenarioError.at(file.place(), f"{option.title}: {what}")
        scenario = tried(file, asked, option.values, option.answer)
        yield _Cluster(option.title, scenario, option.answer.rate_per_s)


def _means(
    scenarios: Sequence[Scenario], replications: int, runner: Runner
) -> list[dict[str, float]]:
    """Return the numbers of each scenario's summary as means over seeds, from its own seed on."""
    return [
        {
            key: float(np.mean([summary[key] for summary in summaries]))
            for key in FIELDS
            if all(key in summary for summary in summaries)
        }
        for summaries in runner.on_seeds(summary_of, scenarios, replications)
    ]


def _users(scenario: Scenario) -> int | None:
    """Return the number of concurrent clients or sessions; None if the workload has none."""
    workload = scenario.workload
    if workload.sessions is not None:
        return workload.sessions.concurrency
    clients = None if workload.arrivals is None else workload.arrivals.waiting_clients()
    return None if clients is None else clients.number


def _notes(scaled: Sequence[Scaled], basis: Basis) -> Iterator[str]:
    """Yield sentences about the meaning of copies, and about fractional numbers of copies."""
    yield "each cluster is copied, and every copy serves the simulated traffic; latencies are those of one copy"
    for variant in scaled:
        if abs(variant.copies - variant.whole) > 0.01 * variant.copies:
            rounded = "down" if basis.is_budget else "up"
            yield f"{variant.name}: all rows are calculated for {variant.copies:,.4g} copies, which is not a whole number; {variant.whole:,} whole copies (rounded {rounded}) are not calculated"
