"""Table of a run: the metrics that have a row in it, one column per variant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cluster_sim.cli.tables import side_by_side
from cluster_sim.results.metrics.table import METRICS, run_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.table import Table

CLASS_METRICS = ("p99_ttft_ms", "slo_attainment")
"""Metrics that stand in the row of a class of traffic."""


def run_table(title: str, summaries: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return the table of a run: one column per variant, by its name."""
    columns = list(summaries.values())
    rows = [*_metric_rows(columns), *_class_rows(columns)]
    return side_by_side(summaries, rows, title)


def _metric_rows(summaries: list[Mapping[str, Any]]) -> Iterator[tuple[str, list[str]]]:
    """Yield one row for each metric that some variant has."""
    for metric, row in run_rows():
        if any(metric.name in summary for summary in summaries):
            yield row.label, [metric.cell(summary) for summary in summaries]


def _class_rows(summaries: list[Mapping[str, Any]]) -> Iterator[tuple[str, list[str]]]:
    """Yield one row for each class of traffic."""
    by_class = [summary.get("classes", {}) for summary in summaries]
    for name in dict.fromkeys(name for classes in by_class for name in classes):
        cells = [_class_cell(classes.get(name, {})) for classes in by_class]
        yield f"{name}: TTFT p99 [ms], within SLO", cells


def _class_cell(summary: Mapping[str, Any]) -> str:
    return ", ".join(METRICS[name].cell(summary) for name in CLASS_METRICS)
