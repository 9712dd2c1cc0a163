"""Tables of a page about runs: headlines, scenarios, all metrics, and catalog figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cluster_sim.deployment.ratings import rating_text
from cluster_sim.report.charts import View
from cluster_sim.report.provenance import CONFIDENCES, Used
from cluster_sim.report.tables import HEADLINES, Cell, Table, cell, heading
from cluster_sim.results.bursts import burst_rows
from cluster_sim.results.pue_text import pue_text
from cluster_sim.results.unanswered import Outcome, reason_rows
from cluster_sim.scenario.describe import described


def headlines(shown: Sequence[View]) -> Table:
    """Return the table of the most important metrics, one row per run."""
    nothing = {"failed": 0, "rejected": 0}  # values that need no column
    names = [
        name
        for name in HEADLINES
        if any(view.summary.get(name) not in (None, nothing.get(name)) for view in shown)
    ]
    rows = [
        [Cell(view.label), *(cell(name, view.summary.get(name)) for name in names)]
        for view in shown
    ]
    return Table(
        "Main metrics of the runs",
        ["run", *map(heading, names)],
        rows,
        [view.number for view in shown],
    )


def reasons(shown: Sequence[View]) -> Table:
    """Return the table of the reasons why requests got no answer, with their numbers per run."""
    of_runs = [view.unanswered for view in shown]
    outcomes: tuple[Outcome, ...] = ("failed", "rejected")
    rows = [
        [
            Cell(heading(outcome)),
            Cell(text),
            *(Cell(f"{count:,}", float(count)) for count in counts),
        ]
        for outcome in outcomes
        for text, counts in reason_rows(outcome, of_runs)
    ]
    return Table(
        "Reasons why requests got no answer",
        ["outcome", "reason", *(view.label for view in shown)],
        rows,
    )


def bursts(shown: Sequence[View]) -> Table:
    """Return the table of the requests that arrive in bursts, one column per run."""
    rows = burst_rows([view.bursts for view in shown])
    return Table(
        "Requests that arrive in bursts",
        ["", *(view.label for view in shown)],
        [[Cell(label.strip()), *map(Cell, cells)] for label, cells in rows],
        [view.number for view in shown],
        across=True,
    )


def scenarios(shown: Sequence[View]) -> Table:
    """Return the table of the simulated scenarios, one column per run."""
    texts = [
        described(
            view.results.scenario,
            {
                deployment.name: deployment.devices_per_replica
                for deployment in view.results.fleet.deployments
            },
        )
        for view in shown
    ]
    for view, of_run in zip(shown, texts, strict=True):
        of_run |= _site_rows(view)
    names = dict.fromkeys(name for of_run in texts for name in of_run)
    rows = [[Cell(name), *(Cell(of_run.get(name, "–")) for of_run in texts)] for name in names]
    return Table(
        "Simulated scenarios",
        ["", *(view.label for view in shown)],
        rows,
        [view.number for view in shown],
        across=True,
    )


def _site_rows(view: View) -> dict[str, str]:
    """Return which PUE holds for a run, and whether its inlets stay within their ratings."""
    scenario = view.results.scenario
    rows = {"PUE": pue_text(view.summary, scenario), "inlet rating": rating_text(scenario)}
    return {name: text for name, text in rows.items() if text != "-"}


def fields(shown: Sequence[View]) -> Table:
    """Return the table of all numbers of the summaries, with classes and pools."""
    flat = [_flat(view.summary) for view in shown]
    rows = []
    for name in dict.fromkeys(name for fields in flat for name in fields):
        part, colon, field = name.rpartition(": ")
        title = Cell(f"{part}{colon}{heading(field)}")
        rows.append([title, *(cell(field, fields.get(name)) for fields in flat)])
    return Table(
        "All metrics",
        ["field", *(view.label for view in shown)],
        rows,
        [view.number for view in shown],
        across=True,
    )


def _flat(summary: dict[str, Any]) -> dict[str, Any]:
    """Return the numbers of a summary; numbers of classes and pools have keys `PART: FIELD`."""
    flat = _numbers(summary)
    pools = summary.get("pools", {})
    # the metrics of a single pool are those of the run
    for parts in (summary.get("classes", {}), pools if len(pools) > 1 else {}):
        for part, fields in parts.items():
            flat |= {f"{part}: {name}": value for name, value in _numbers(fields).items()}
    return flat


def _numbers(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if isinstance(value, (int, float))}


def figures_used_table(figures_used: Sequence[Used]) -> Table:
    """Return the table of the catalog figures that runs used."""
    return Table(
        "Figures of the catalog entries that the runs use",
        ["entry", "figure", "value", "confidence", "source", "note", "used by"],
        [_figure_cells(figure) for figure in figures_used],
    )


def _figure_cells(figure: Used) -> list[Cell]:
    is_known = figure.confidence in CONFIDENCES
    changed = f"; another value in {', '.join(figure.changed)}" if figure.changed else ""
    return [
        Cell(figure.entry),
        Cell(figure.path),
        Cell(figure.value),
        Cell(figure.confidence, float(CONFIDENCES.index(figure.confidence)) if is_known else None),
        Cell(figure.source),
        Cell(figure.note),
        Cell(", ".join(figure.runs) + changed),
    ]
