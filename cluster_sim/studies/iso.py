"""Variants made equal in what they cost, draw, make or carry, by copies of their clusters."""

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
    "energy_j_per_output_token",
    "p95_ttft_ms",
    "p95_tpot_ms",
    "slo_attainment",
)
"""Fields of the summary that are kept of each cluster."""


@dataclass(frozen=True)
class _Cluster:
    """Cluster that is copied."""

    name: str
    scenario: Scenario
    rate_per_s: float | None = None
    """Highest rate within the SLO [1/s], by the search for its capacity."""

    def amount(self, summary: Mapping[str, float], basis: Basis) -> float:
        """Return how much one copy has. Raises ScenarioError where it has nothing."""
        if self.rate_per_s is not None:
            return self.rate_per_s
        if not (amount := summary.get(basis.field, 0.0)):
            raise ScenarioError.at(self.name, f"has {basis.lacking}")
        return amount

    def scaled(self, summary: Mapping[str, float], copies: float, basis: Basis) -> Scaled:
        """Return so many copies."""
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
    """Copy the cluster of each variant so often that all are equal in cost, power, output or rate.

    Copies share nothing: each serves the traffic that was simulated, so that latencies are those of
    one.

    Parameters
    ----------
    path
        Scenario file.
    basis
        What is made equal: `cost` [USD/h], `power` (the mean at the site's meter), `throughput`
        (output tokens per second) or `slo` (requests per second that keep the objectives, by a
        search as `capacity` makes it and the file's section of that name asks).
    at
        Amount with its unit, such as "1000 USD/h". Default: what the first variant has.
    replications
        Number of seeds, of which means are taken.
    variants
        Names of the variants. Default: all.
    sets
        `key=value` texts applied to the file.
    seed
        Seed in place of the file's.
    workers
        Number of processes. Default: one per core; 0: this one alone.
    progress
        Listener that is given how many runs are done, and of how many.

    Raises
    ------
    ScenarioError
        The file has faults, there is no such basis, or a variant has no prices or does not say
        what it draws.
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
    """Return the amount that was asked for, in `unit`. Raises ScenarioError where it is none."""
    try:
        level = parse(at, unit)
    except ValueError as fault:
        raise ScenarioError.at(
            "--at", f"{fault}; expected something such as '1000 {unit}'"
        ) from fault
    if not 0.0 < level < float("inf"):
        raise ScenarioError.at("--at", f"got {at}; expected more than nothing")
    return level


def _within_slo(file: ScenarioFile, answer: Answer) -> Iterator[_Cluster]:
    """Yield each option of the file's capacity at its answer.

    Raises ScenarioError where one has no answer.
    """
    asked = file.capacity or Capacity()
    for option in answer.options:
        if option.answer is None:
            what = option.fault or "meets the SLO at no rate that was tried"
            raise ScenarioError.at(file.place(), f"{option.title}: {what}")
        scenario = tried(file, asked, option.values, option.answer)
        yield _Cluster(option.title, scenario, option.answer.rate_per_s)


def _means(
    scenarios: Sequence[Scenario], replications: int, runner: Runner
) -> list[dict[str, float]]:
    """Return the numbers of each scenario's summary, means over the seeds from its own on."""
    return [
        {
            key: float(np.mean([summary[key] for summary in summaries]))
            for key in FIELDS
            if all(key in summary for summary in summaries)
        }
        for summaries in runner.on_seeds(summary_of, scenarios, replications)
    ]


def _users(scenario: Scenario) -> int | None:
    """Return the clients or sessions that are served at once; None where there are none."""
    workload = scenario.workload
    if workload.sessions is not None:
        return workload.sessions.concurrency
    clients = None if workload.arrivals is None else workload.arrivals.waiting_clients()
    return None if clients is None else clients.number


def _notes(scaled: Sequence[Scaled], basis: Basis) -> Iterator[str]:
    """Yield what copies mean, and which of them are no whole number."""
    yield "each cluster is copied, every copy under the traffic that was simulated; latencies are those of one copy"
    for variant in scaled:
        if abs(variant.copies - variant.whole) > 0.01 * variant.copies:
            rounded = "down" if basis.is_budget else "up"
            yield f"{variant.name}: {variant.copies:,.4g} copies are no whole number; {variant.whole:,} where that is rounded {rounded}"
