"""Choice of the rows that `run` prints of each variant, and how their values are written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cluster_sim.cli.tables import Rows, rows_of, side_by_side

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.table import Table

ROWS: Rows = (
    ("completed", "completed", ",.0f"),
    ("failed", "failed", ",.0f"),
    ("rejected", "rejected", ",.0f"),
    ("TTFT p50 [ms]", "median_ttft_ms", ",.1f"),
    ("TTFT p99 [ms]", "p99_ttft_ms", ",.1f"),
    ("TTFO p50 [ms]", "median_ttfo_ms", ",.1f"),
    ("TTFO p99 [ms]", "p99_ttfo_ms", ",.1f"),
    ("TPOT p50 [ms]", "median_tpot_ms", ",.2f"),
    ("TPOT p99 [ms]", "p99_tpot_ms", ",.2f"),
    ("E2E p50 [ms]", "median_e2el_ms", ",.0f"),
    ("E2E p99 [ms]", "p99_e2el_ms", ",.0f"),
    ("queue p99 [ms]", "p99_queue_ms", ",.1f"),
    ("wait for a decode replica p99 [ms]", "p99_hand_over_wait_ms", ",.1f"),
    ("KV transfer p99 [ms]", "p99_kv_transfer_ms", ",.2f"),
    ("queue mean [ms]", "mean_queue_ms", ",.1f"),
    ("of E2E, mean: compute [ms]", "mean_compute_ms", ",.1f"),
    ("of E2E, mean: memory bus shared [ms]", "mean_bus_ms", ",.2f"),
    ("of E2E, mean: links shared [ms]", "mean_link_ms", ",.2f"),
    ("requests/s", "request_throughput", ",.2f"),
    ("output tokens/s", "output_throughput", ",.0f"),
    ("within SLO", "slo_attainment", ".1%"),
    ("preemptions", "preemptions", ",.0f"),
    ("prompt tokens found in cache", "prefix_hit_fraction", ".1%"),
    ("prompt tokens fetched from tiers", "offload_hit_fraction", ".1%"),
    ("KV room used, peak", "kv_peak_fraction", ".1%"),
    ("compute used, mean", "compute_utilisation", ".1%"),
    ("memory bandwidth used, mean", "bandwidth_utilisation", ".1%"),
    ("power with PUE, mean [kW]", "mean_power_w", "kilo"),
    ("energy per output token [J]", "energy_j_per_output_token", ",.3g"),
    ("CO2 per million output tokens [g]", "co2_g_per_million_output_tokens", ",.4g"),
    ("USD/h, with 90 % interval", "usd_per_hour", "interval"),
    ("USD per million output tokens", "usd_per_million_output_tokens", "interval"),
    ("USD per million tokens, all alike", "usd_per_million_tokens", ",.3f"),
    ("  of input, by busy time", "attributed_usd_per_million_input_tokens", ",.3f"),
    ("  of output, by busy time", "attributed_usd_per_million_output_tokens", ",.3f"),
    ("USD per request", "usd_per_request", ",.3g"),
    ("USD per session", "usd_per_session", ",.3g"),
    ("hottest die [°C]", "max_die_c", ",.1f"),
    ("hottest memory [°C]", "max_memory_c", ",.1f"),
    ("throttled by heat", "throttled_fraction", ".1%"),
    ("shutdowns", "shutdowns", ",.0f"),
    ("wall time [s]", "wall_s", ",.2f"),
)
"""Rows in their order; a row that no variant has a value for is left out."""
CLASS_FIGURES = (("p99_ttft_ms", ",.1f"), ("slo_attainment", ".1%"))
"""(key, format) of what stands in the row of a class of traffic."""


def run_table(title: str, summaries: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return the table of a run: one column per variant, by its name."""
    columns = list(summaries.values())
    rows = [*rows_of(ROWS, columns, _cell), *_class_rows(columns)]
    return side_by_side(summaries, rows, title)


def _class_rows(summaries: list[Mapping[str, Any]]) -> Iterator[tuple[str, list[str]]]:
    """Yield one row for each class of traffic."""
    by_class = [summary.get("classes", {}) for summary in summaries]
    for name in dict.fromkeys(name for classes in by_class for name in classes):
        cells = [_class_cell(classes.get(name, {})) for classes in by_class]
        yield f"{name}: TTFT p99 [ms], within SLO", cells


def _class_cell(summary: Mapping[str, Any]) -> str:
    return ", ".join(
        format(summary[key], form) if key in summary else "-" for key, form in CLASS_FIGURES
    )


def _cell(summary: Mapping[str, Any], key: str, form: str) -> str:
    """Return one value: as a number, in thousands (kilo), or with its ends (interval)."""
    if form == "interval":
        low, high = summary[f"p5_{key}"], summary[f"p95_{key}"]
        return f"{summary[key]:,.4g} ({low:,.4g} to {high:,.4g})"
    return f"{summary[key] / 1e3:,.2f}" if form == "kilo" else format(summary[key], form)
