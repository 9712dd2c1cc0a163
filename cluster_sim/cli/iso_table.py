"""Table of clusters of equal cost, power, output or requests within the SLO."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cluster_sim.cli.tables import side_by_side

if TYPE_CHECKING:
    from rich.table import Table

    from cluster_sim.studies.iso_outcome import Iso

_BASES = {
    "cost": "cost",
    "power": "power",
    "throughput": "output tokens",
    "slo": "requests within the SLO",
}
"""Quantity that is equal in all clusters, by the name of the basis."""
ROWS: tuple[tuple[str, str, float], ...] = (
    ("USD/h", "usd_per_hour", 1.0),
    ("  90 % interval, from", "p5_usd_per_hour", 1.0),
    ("  to", "p95_usd_per_hour", 1.0),
    ("mean power [kW]", "mean_power_w", 1e-3),
    ("requests/s", "request_throughput", 1.0),
    ("output tokens/s", "output_throughput", 1.0),
    ("output tokens per day [millions]", "output_throughput", 0.0864),
    ("USD per million output tokens", "usd_per_million_output_tokens", 1.0),
    ("  90 % interval, from", "p5_usd_per_million_output_tokens", 1.0),
    ("  to", "p95_usd_per_million_output_tokens", 1.0),
    ("revenue, USD/h", "revenue_usd_per_hour", 1.0),
    ("margin, USD/h", "margin_usd_per_hour", 1.0),
    ("  90 % interval, from", "p5_margin_usd_per_hour", 1.0),
    ("  to", "p95_margin_usd_per_hour", 1.0),
    ("energy per output token [J]", "energy_j_per_output_token", 1.0),
    ("TTFT p95 [ms]", "p95_ttft_ms", 1.0),
    ("TPOT p95 [ms]", "p95_tpot_ms", 1.0),
    ("share within SLO", "slo_attainment", 1.0),
)
"""(label, field, factor from the field's unit to the label's)."""


def iso_table(iso: Iso) -> Table:
    """Return the table of clusters of equal cost (or another basis), one column per cluster."""
    title = f"{iso.name}: equal {_BASES[iso.basis]}, {iso.level:,.6g} {iso.unit}"
    return side_by_side([cluster.name for cluster in iso.scaled], _rows(iso), title)


def _rows(iso: Iso) -> Iterator[tuple[str, list[str]]]:
    """Yield the rows: size of each cluster, then its metrics."""
    clusters = iso.scaled
    yield "copies of the cluster", [_digits(cluster.copies) for cluster in clusters]
    yield "nodes", [_digits(cluster.nodes) for cluster in clusters]
    if any(cluster.users is not None for cluster in clusters):
        yield (
            "simultaneous users",
            ["-" if cluster.users is None else _digits(cluster.users) for cluster in clusters],
        )
    for label, key, factor in ROWS:
        if any(key in cluster.fields for cluster in clusters):
            values = [cluster.fields.get(key) for cluster in clusters]
            yield label, ["-" if value is None else _digits(factor * value) for value in values]


def _digits(value: float) -> str:
    """Return four significant digits, or all of a large whole number."""
    return f"{value:,.0f}" if abs(value) >= 1000.0 else f"{value:.4g}"
