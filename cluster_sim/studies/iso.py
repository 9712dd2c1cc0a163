"""Variants made equal in what they cost, draw, make or carry: how many of each cluster that takes,
and what it comes to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import ceil, floor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import numpy as np

from cluster_sim.errors import ScenarioError, did_you_mean
from cluster_sim.loading.files import load_variants, open_scenarios
from cluster_sim.results.metrics.table import METRICS
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.scenario.study_spec import Capacity
from cluster_sim.studies.capacity import Trial, capacity, tried
from cluster_sim.studies.workers import Call, called
from cluster_sim.units import parse

if TYPE_CHECKING:
    import pyarrow as pa

Basis = Literal["cost", "power", "throughput", "slo"]

_FIELD = {
    "cost": "usd_per_hour",
    "power": "mean_power_w",
    "throughput": "output_throughput",
    "slo": "rate_per_s",
}
"""Of the summary, or of the search for the highest rate, that is made equal."""
_UNIT = {"cost": "USD/h", "power": "W", "throughput": "/s", "slo": "/s"}
_LACKING = {
    "cost": "no prices: say what its nodes cost by cluster.pools[0].prices",
    "power": "a device that does not say what it draws",
}
_FIELDS = (
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
class Scaled:
    """One variant, taken so often that it is equal to the others."""

    name: str
    copies: float
    """Of the cluster as the file, or the search for its capacity, has it; seldom a whole number."""
    whole: int
    """The same in whole clusters: rounded down under a budget of cost or power, up where something
    must be carried."""
    nodes: float
    """Of all pools, in so many copies."""
    users: float | None
    """Clients or sessions that are served at once, where the workload has so many."""
    fields: Mapping[str, float]
    """Of the summary, those that grow with the number of copies multiplied by it."""


@dataclass(frozen=True)
class Iso:
    """What `iso` found."""

    name: str
    basis: Basis
    level: float
    """What all of them have, in `unit`."""
    unit: str
    scaled: tuple[Scaled, ...]
    notes: tuple[str, ...]

    @property
    def table(self) -> pa.Table:
        """One row a variant."""
        from cluster_sim.studies.store import table

        rows = [asdict(one) for one in self.scaled]
        return table(
            {key: value for key, value in row.items() if key != "fields"} | row["fields"]
            for row in rows
        )


@dataclass(frozen=True)
class _Cluster:
    """What is multiplied."""

    name: str
    scenario: Scenario
    trial: Trial | None = None
    """From the search for its capacity."""


def iso(
    path: str | Path,
    basis: str,
    at: str | None = None,
    replications: int = 1,
    variants: Sequence[str] = (),
    sets: Sequence[str] = (),
    seed: int | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iso:
    """Every variant of the file, its cluster copied so often that all have the same cost, power,
    throughput or rate within the SLO.

    cost: dollars an hour; power: the mean at the site's meter; throughput: output tokens a second;
    slo: requests a second that keep the objectives, by a search as `capacity` makes it and the
    file's section of that name asks. at: what is made equal, with its unit, such as "1000 USD/h";
    default: what the first variant has. Copies share nothing: each serves the traffic that was
    simulated, so that latencies are those of one. Raises ScenarioError for faults in the file,
    another basis, or a variant that has no prices or does not say what it draws.
    """
    if basis not in get_args(Basis):
        raise ScenarioError.at("--iso", f"no basis '{basis}'{did_you_mean(basis, get_args(Basis))}")
    level = _level(at, _UNIT[basis]) if at is not None else None
    if basis == "slo":
        clusters = list(
            _within_slo(
                path, [*sets, *([f"seed={seed}"] if seed is not None else [])], variants, workers
            )
        )
    else:
        clusters = [
            _Cluster(one.variant or one.name, one)
            for one in load_variants(path, variants, sets, seed)
        ]
    summaries = _means([one.scenario for one in clusters], replications, workers, progress)
    if level is None:
        level = _amount(clusters[0], summaries[0], basis)
    scaled = tuple(
        _scaled(cluster, summary, level / _amount(cluster, summary, basis), basis)
        for cluster, summary in zip(clusters, summaries, strict=True)
    )
    notes = tuple(_notes(scaled, basis))
    return Iso(clusters[0].scenario.name, cast(Basis, basis), level, _UNIT[basis], scaled, notes)


def _level(at: str, unit: str) -> float:
    try:
        level = parse(at, unit)
    except ValueError as fault:
        raise ScenarioError.at(
            "--at", f"{fault}; wanted something such as '1000 {unit}'"
        ) from fault
    if not 0.0 < level < float("inf"):
        raise ScenarioError.at("--at", f"came {at}; wanted more than nothing")
    return level


def _within_slo(
    path: str | Path, sets: Sequence[str], variants: Sequence[str], workers: int | None
) -> Iterator[_Cluster]:
    """Each option of the file's capacity at its answer. Raises ScenarioError where one has none."""
    file = open_scenarios(path, sets)
    asked = file.capacity or Capacity()
    for option in capacity(path, sets, variants, workers).options:
        if option.answer is None:
            raise ScenarioError.at(
                file.place(),
                f"{option.title}: {option.fault or 'meets the SLO at no rate that was tried'}",
            )
        yield _Cluster(
            option.title, tried(file, asked, option.values, option.answer), option.answer
        )


def summary_of(scenario: Scenario) -> dict[str, Any]:
    """Of one run."""
    from cluster_sim.sim.simulate import simulate

    return simulate(scenario).summary()


def _means(
    scenarios: Sequence[Scenario],
    replications: int,
    workers: int | None,
    progress: Callable[[int, int], None] | None,
) -> list[dict[str, float]]:
    """The numbers of each scenario's summary, means over `replications` seeds from its own on."""
    work: Iterator[tuple[tuple[int, int], Call]] = (
        (
            (place, number),
            (summary_of, (scenario.model_copy(update={"seed": scenario.seed + number}),)),
        )
        for place, scenario in enumerate(scenarios)
        for number in range(replications)
    )
    found: dict[tuple[int, int], dict[str, Any]] = {}
    for of, outcome in called(work, workers):
        if isinstance(outcome, Exception):
            raise outcome
        found[of] = outcome
        if progress is not None:
            progress(len(found), len(scenarios) * replications)
    by_scenario = [
        [found[place, number] for number in range(replications)] for place in range(len(scenarios))
    ]
    return [
        {
            key: float(np.mean([one[key] for one in runs]))
            for key in _FIELDS
            if all(key in one for one in runs)
        }
        for runs in by_scenario
    ]


def _amount(cluster: _Cluster, summary: Mapping[str, float], basis: str) -> float:
    """What one copy has of what is made equal."""
    if cluster.trial is not None:
        return cluster.trial.rate_per_s
    if not (amount := summary.get(_FIELD[basis], 0.0)):
        raise ScenarioError.at(cluster.name, f"has {_LACKING.get(basis, 'no output')}")
    return amount


def _scaled(cluster: _Cluster, summary: Mapping[str, float], copies: float, basis: str) -> Scaled:
    pools, workload = cluster.scenario.cluster.pools, cluster.scenario.workload
    if workload.sessions is not None:
        at_once = workload.sessions.concurrency
    else:
        clients = None if workload.arrivals is None else workload.arrivals.waiting_clients()
        at_once = None if clients is None else clients.number
    fields = {
        key: value * (copies if METRICS[key].is_extensive else 1.0)
        for key, value in summary.items()
    }
    whole = floor(copies + 1e-9) if basis in ("cost", "power") else ceil(copies - 1e-9)
    return Scaled(
        cluster.name,
        copies,
        whole,
        copies * sum(pool.nodes for pool in pools),
        copies * at_once if at_once else None,
        fields,
    )


def _notes(scaled: Sequence[Scaled], basis: str) -> Iterator[str]:
    yield "each cluster is copied, every copy under the traffic that was simulated; latencies are those of one copy"
    for one in scaled:
        if abs(one.copies - one.whole) > 0.01 * one.copies:
            rounded = "down" if basis in ("cost", "power") else "up"
            yield f"{one.name}: {one.copies:,.4g} copies are no whole number; {one.whole:,} where that is rounded {rounded}"
