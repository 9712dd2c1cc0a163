"""Requests that arrive in the bursts of a scenario: their latencies and their verdict.

The table of `cluster-sim run` and the report show them, so that a verdict on all requests does not
hide what the requests in bursts get. The times of bursts come from the scenario.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cluster_sim.results.metrics.families.latency import LIMITED
from cluster_sim.results.metrics.finished import counted, finished
from cluster_sim.results.metrics.good_requests import is_judged, within_slo
from cluster_sim.results.metrics.slo_percentiles import percentile_key
from cluster_sim.results.metrics.table import METRICS
from cluster_sim.results.metrics.verdict import DEFAULT_PERCENTILE, judged, objectives
from cluster_sim.results.metrics.verdict_text import missed_text, percentile_text
from cluster_sim.results.run_data import RunData

_TITLES = {"ttft": "TTFT", "tpot": "TPOT"}
"""Latencies that have rows, with their titles."""


@dataclass(frozen=True)
class InBursts:
    """Requests of a run that arrive in bursts and outside the warm-up."""

    requests: int
    """Number of these requests."""
    attainment: float | None
    """Share of these requests within the SLO; None without an SLO or without requests."""
    latencies_ms: Mapping[tuple[str, float], float]
    """Latency [ms] of finished requests by its name and percentile."""
    percentiles: tuple[float, ...]
    """Percentiles of the SLO, ascending; 99 without an SLO."""
    missed: str
    """Objectives that these requests miss; empty if the whole run misses each of them too."""


def in_bursts(run: RunData) -> InBursts | None:
    """Return the requests of a run that arrive in bursts; None if its arrivals have no bursts.

    The bursts are those of the scenario: a request is in a burst from `at` until `lasts` later, and
    after each `every`. Requests of the base rate at these times are included.
    """
    arrivals = run.scenario.workload.arrivals
    is_inside = None if arrivals is None else arrivals.in_bursts(_arrivals_s(run))
    if is_inside is None:
        return None
    of_bursts = replace(run, requests=run.requests.filter(is_inside))
    wanted = objectives(run.scenario)
    percentiles = tuple(sorted({each.percentile for each in wanted})) or (DEFAULT_PERCENTILE,)
    done, everyone = finished(of_bursts), int(np.sum(is_judged(of_bursts)))
    good = within_slo(of_bursts, done)
    missed = ""
    if wanted and everyone:
        whole, bursts = judged([run], wanted), judged([of_bursts], wanted)
        pairs = zip(whole.outcomes, bursts.outcomes, strict=True)
        if any(of_all.is_met and not of_burst.is_met for of_all, of_burst in pairs):
            missed = missed_text(bursts.missed)
    return InBursts(
        int(np.sum(counted(of_bursts))) * run.scenario.stands_for,
        None if good is None or not everyone else float(np.sum(good)) / everyone,
        {
            (latency, percentile): 1e3 * float(np.percentile(values_s, percentile))
            for latency in _TITLES
            for percentile in percentiles
            if len(values_s := LIMITED[latency](done))
        },
        percentiles,
        missed,
    )


def _arrivals_s(run: RunData) -> np.ndarray:
    times_s: np.ndarray = run.requests["arrival_s"].to_numpy()
    return times_s


def burst_line(of_run: InBursts | None) -> str | None:
    """Return a line for below the verdict of a run; None unless bursts miss what the run meets.

    >>> burst_line(InBursts(200, 0.185, {}, (95.0,), "TPOT 72 ms > 40 ms"))
    'in bursts: missed (TPOT 72 ms > 40 ms); 18.5 % within SLO'
    """
    if of_run is None or not of_run.missed:
        return None
    share = "" if of_run.attainment is None else f"; {100.0 * of_run.attainment:.1f} % within SLO"
    return f"in bursts: missed ({of_run.missed}){share}"


def burst_rows(of_runs: Sequence[InBursts | None]) -> list[tuple[str, list[str]]]:
    """Return the rows of a table with a column per run; no rows if no run has bursts.

    >>> for row in burst_rows([InBursts(1200, 0.185, {("ttft", 95.0): 61.23}, (95.0,), ""), None]):
    ...     print(row)
    ('in bursts: requests', ['1,200', '-'])
    ('  within SLO', ['18.5%', '-'])
    ('  TTFT p95 [ms]', ['61.2', '-'])
    """
    known = [each for each in of_runs if each is not None]
    rows = [
        ("in bursts: requests", ["-" if each is None else f"{each.requests:,}" for each in of_runs])
    ]
    if any(each.attainment is not None for each in known):
        shares = [None if each is None else each.attainment for each in of_runs]
        rows.append(("  within SLO", ["-" if each is None else f"{each:.1%}" for each in shares]))
    for latency, title in _TITLES.items():
        spec = _spec(latency)
        for percentile in sorted({value for each in known for value in each.percentiles}):
            values = [
                None if each is None else each.latencies_ms.get((latency, percentile))
                for each in of_runs
            ]
            if any(value is not None for value in values):
                cells = ["-" if value is None else format(value, spec) for value in values]
                rows.append((f"  {title} {percentile_text(percentile)} [ms]", cells))
    return rows if known else []


def _spec(latency: str) -> str:
    """Return the format of a latency in the table of a run."""
    row = METRICS[percentile_key(latency, DEFAULT_PERCENTILE)].row
    assert row is not None
    return row.spec
