"""Small HTML tables of results for notebooks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cluster_sim.scenario.describe import html_table


def results_html(title: str, summary: Mapping[str, Any]) -> str:
    """Return the numbers of a summary as an HTML table."""
    fields = {name: value for name, value in summary.items() if isinstance(value, (int, float))}
    return html_table(
        title,
        {
            name: f"{value:,.5g}" if isinstance(value, float) else _whole(value)
            for name, value in fields.items()
        },
    )


def _whole(value: int) -> str:
    """Return a count as text, or a boolean in words."""
    return ("yes" if value else "no") if isinstance(value, bool) else f"{value:,}"
