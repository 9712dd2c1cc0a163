"""Table of a run: the verdict, then the metrics that have a row; one column per variant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cluster_sim.cli.pue_rows import pue_rows
from cluster_sim.cli.tables import side_by_side
from cluster_sim.deployment.ratings import rating_text
from cluster_sim.deployment.setup_key import profile_name
from cluster_sim.results.bursts import burst_line, burst_rows
from cluster_sim.results.metrics.slo_percentiles import percentile_key, percentiles_of
from cluster_sim.results.metrics.table import METRICS, run_rows
from cluster_sim.results.metrics.verdict_text import (
    met_text,
    percentile_text,
    slo_line,
    slo_title,
)
from cluster_sim.results.unanswered import Outcome, reason_rows

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from rich.table import Table

    from cluster_sim.results.bursts import InBursts
    from cluster_sim.results.unanswered import Reason
    from cluster_sim.scenario.scenario import Scenario

    Summaries = Sequence[Mapping[str, Any]]
    Labelled = tuple[str, list[str]]

_OUTCOMES: Mapping[str, Outcome] = {"failed": "failed", "rejected": "rejected"}
"""Rows below which reasons stand, with the outcome that each counts."""
_TITLES = {"ttft": "TTFT", "tpot": "TPOT", "e2el": "E2E"}
"""Names of the latencies that an SLO may limit."""


def verdicts(
    summaries: Mapping[str, Mapping[str, Any]],
    ended_early: Collection[str] = (),
    bursts: Mapping[str, InBursts | None] | None = None,
) -> Iterator[str]:
    """Yield the verdict on each variant that has an SLO.

    Another line follows if the requests in bursts miss an objective that all requests meet.

    Parameters
    ----------
    summaries
        Summary of each variant by its name. With several, each line begins with the name.
    ended_early
        Names of variants whose runs a limit of time or memory has ended.
    bursts
        Requests of each variant that arrive in bursts, by its name.
    """
    for name, summary in summaries.items():
        prefix = f"{name}: " if len(summaries) > 1 else ""
        if "slo_met" in summary:
            line = f"{prefix}{slo_line(summary)}"
            yield f"{line} so far: the run was ended early" if name in ended_early else line
            if (of_bursts := burst_line((bursts or {}).get(name))) is not None:
                yield f"{prefix}{of_bursts}"


def run_table(
    title: str,
    summaries: Mapping[str, Mapping[str, Any]],
    reasons: Mapping[str, Sequence[Reason]] | None = None,
    bursts: Mapping[str, InBursts | None] | None = None,
    scenarios: Mapping[str, Scenario] | None = None,
) -> Table:
    """Return the table of a run.

    Parameters
    ----------
    title
        Title of the table.
    summaries
        Summary of each variant by its name; each is a column.
    reasons
        Reasons why requests of a variant got no answer, by its name.
    bursts
        Requests of a variant that arrive in bursts, by its name.
    scenarios
        Scenario of each variant by its name, for the formats of weights and KV cache. Default: no
        rows of formats.
    """
    columns = list(summaries.values())
    why = [(reasons or {}).get(name, ()) for name in summaries]
    of_bursts = burst_rows([(bursts or {}).get(name) for name in summaries])
    rows = [
        *_verdict_rows(columns),
        *_metric_rows(columns, why),
        *of_bursts,
        *_class_rows(columns),
        *pue_rows(columns, [scenarios[name] for name in summaries] if scenarios else ()),
        *_rating_rows([scenarios[name] for name in summaries] if scenarios else ()),
        *_setup_rows([scenarios[name] for name in summaries] if scenarios else ()),
    ]
    return side_by_side(summaries, rows, title)


def _verdict_rows(summaries: Summaries, prefix: str = "") -> Iterator[Labelled]:
    """Yield the row of the verdict; no row if no variant has an SLO."""
    titles = {slo_title(summary): None for summary in summaries if "slo_met" in summary}
    if titles:
        label = next(iter(titles)) if len(titles) == 1 else "SLO"
        yield f"{prefix}{label}", [_verdict_cell(summary, label) for summary in summaries]


def _verdict_cell(summary: Mapping[str, Any], label: str) -> str:
    """Return the verdict, with its percentile if the label of the row does not name it."""
    if "slo_met" not in summary:
        return "-"
    return f"{met_text(is_met=summary['slo_met'])}{slo_title(summary).removeprefix(label)}"


def _metric_rows(summaries: Summaries, why: Sequence[Sequence[Reason]]) -> Iterator[Labelled]:
    """Yield a row per metric that some variant has, and per percentile of the SLO.

    Below the numbers of requests without an answer stand the reasons (why).
    """
    rows = [
        (float(row.place), row.label, [metric.cell(summary) for summary in summaries])
        for metric, row in run_rows()
        if any(metric.name in summary for summary in summaries)
    ]
    for _, label, cells in sorted([*rows, *_percentile_rows(summaries)]):
        yield label, cells
        if label in _OUTCOMES:
            for text, counts in reason_rows(_OUTCOMES[label], why):
                yield f"  {text}", [f"{count:,}" for count in counts]


def _percentile_rows(summaries: Summaries) -> Iterator[tuple[float, str, list[str]]]:
    """Yield rows of the SLO's percentiles with their positions in the table, near p50 and p99."""
    percentiles = {value for summary in summaries for value in percentiles_of(summary)}
    for latency, title in _TITLES.items():
        p50, p99 = (METRICS[percentile_key(latency, percent)].row for percent in (50.0, 99.0))
        assert p50 is not None
        assert p99 is not None
        for percent in percentiles - {50.0, 99.0}:
            place = p50.place + (p99.place - p50.place) * (percent - 50.0) / (99.0 - 50.0)
            values = [summary.get(percentile_key(latency, percent)) for summary in summaries]
            if any(value is not None for value in values):
                cells = ["-" if value is None else format(value, p99.spec) for value in values]
                yield place, f"{title} {percentile_text(percent)} [ms]", cells


def _class_rows(summaries: Summaries) -> Iterator[Labelled]:
    """Yield rows per class of traffic: verdict, TTFT, share of requests within the SLO, and TPOT."""
    by_class = [summary.get("classes", {}) for summary in summaries]
    for name in dict.fromkeys(name for classes in by_class for name in classes):
        of_class = [classes.get(name, {}) for classes in by_class]
        yield from _verdict_rows(of_class, f"{name}: ")
        percentiles = {99.0}.union(*map(percentiles_of, of_class))
        label = ", ".join(map(percentile_text, sorted(percentiles)))
        ttfts, tpots = (
            [_latencies(summary, metric, sorted(percentiles)) for summary in of_class]
            for metric in ("ttft", "tpot")
        )
        yield (
            f"{name}: TTFT {label} [ms], within SLO",
            [
                f"{ttft}, {METRICS['slo_attainment'].cell(summary)}"
                for ttft, summary in zip(ttfts, of_class, strict=True)
            ],
        )
        if any(set(tpot) - set("-, ") for tpot in tpots):
            yield f"{name}: TPOT {label} [ms]", tpots


def _latencies(summary: Mapping[str, Any], metric: str, percentiles: Sequence[float]) -> str:
    """Return the latencies of a class at some percentiles, with a dash for those that it lacks."""
    row = METRICS[f"p99_{metric}_ms"].row
    assert row is not None
    keys = [percentile_key(metric, percent) for percent in percentiles]
    return ", ".join(format(summary[key], row.spec) if key in summary else "-" for key in keys)


def _rating_rows(scenarios: Sequence[Scenario]) -> Iterator[Labelled]:
    """Yield the row of the ratings of inlets; no row if temperatures are not simulated."""
    texts = [rating_text(scenario) for scenario in scenarios]
    if any(text != "-" for text in texts):
        yield "inlet rating", texts


def _setup_rows(scenarios: Sequence[Scenario]) -> Iterator[Labelled]:
    """Yield the rows of engine and formats; several values if pools differ."""
    if not scenarios:
        return
    plans = [[pool.replica for pool in each.cluster.pools] for each in scenarios]
    weights = [
        [plan.weights_of(each.model) for plan in of]
        for each, of in zip(scenarios, plans, strict=True)
    ]
    kv_caches = [[plan.kv_cache for plan in of] for of in plans]
    engines = [[profile_name(plan.engine) for plan in of] for of in plans]
    rows = (("engine", engines), ("weights format", weights), ("KV cache format", kv_caches))
    for label, names in rows:
        yield label, [", ".join(dict.fromkeys(of)) for of in names]
