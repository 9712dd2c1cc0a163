"""Table of what heat, power caps, contention and failures cost, and the sentences below it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cluster_sim.report.charts import View
from cluster_sim.report.tables import Cell, Table
from cluster_sim.results.attribution import FIGURES
from cluster_sim.results.cost_rows import compared_text, cost_rows, is_free, listed
from cluster_sim.results.mechanisms import MECHANISMS
from cluster_sim.studies.attribution import mechanisms_in_play


def costs(shown: Sequence[View]) -> Table:
    """Return the table of costs: per attributed run one row per mechanism.

    Runs that were not attributed and mechanisms that cost nothing have no rows.
    """
    attributed = [
        view for view in shown if "cost_of" in view.summary and not is_free(view.summary["cost_of"])
    ]
    names = [
        name
        for name in FIGURES
        if any(name in view.summary["cost_of"]["total"] for view in attributed)
    ]
    rows, runs = [], list[int | None]()
    for view in attributed:
        for row in cost_rows(view.summary["cost_of"]):
            if not any(row.figures.values()):
                continue
            texts = row.texts()
            values = [Cell(texts.get(name, "–"), row.figures.get(name)) for name in names]
            rows.append([Cell(view.label), Cell(row.label), *values])
            runs.append(view.number)
    return Table(
        "Cost of each mechanism that has an effect: the run minus the run without it",
        ["run", "mechanism", *(FIGURES[name] for name in names)],
        rows,
        runs,
    )


def cost_notes(shown: Sequence[View]) -> Iterator[str]:
    """Yield which requests are compared, and how to attribute the runs that are not attributed."""
    for view in shown:
        cost_of = view.summary.get("cost_of")
        if cost_of is not None and is_free(cost_of):
            yield f"{view.label}: {listed(MECHANISMS)} cost nothing."
        elif cost_of is not None:
            yield f"{view.label}: {compared_text(view.summary)}"
        elif present := mechanisms_in_play(view.results.scenario):
            yield f"{view.label}: cluster-sim run FILE --attribute shows the cost of {listed(present)}."
