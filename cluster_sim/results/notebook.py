"""Small tables that notebooks show of results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cluster_sim.scenario.describe import html_table

if TYPE_CHECKING:
    from cluster_sim.results.results import Results


def results_html(results: Results) -> str:
    """The fields of the summary as a table, for notebooks."""
    fields = {
        name: value for name, value in results.summary().items() if isinstance(value, (int, float))
    }
    return html_table(
        results.scenario.title,
        {
            name: f"{value:,}" if isinstance(value, int) else f"{value:,.5g}"
            for name, value in fields.items()
        },
    )
