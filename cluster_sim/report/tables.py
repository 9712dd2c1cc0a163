"""Tables of a page: what stands in a cell, and what it is sorted by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from cluster_sim.figures import study_table as study

# Summary fields as people read them: heading with unit, factor, decimals. Others get theirs from
# their names.
_FIELDS: dict[str, tuple[str, float, int]] = {
    "completed": ("completed [requests]", 1.0, 0),
    "failed": ("unfinished [requests]", 1.0, 0),
    "rejected": ("rejected [requests]", 1.0, 0),
    "slo_attainment": ("within SLO [%]", 100.0, 1),
    "request_throughput": ("answered [requests/s]", 1.0, 2),
    "request_goodput": ("goodput [requests/s]", 1.0, 2),
    "output_throughput": ("output [tokens/s]", 1.0, 0),
    "total_token_throughput": ("throughput [tokens/s]", 1.0, 0),
    "duration": ("duration [s]", 1.0, 0),
    "total_input_tokens": ("prompts [tokens]", 1.0, 0),
    "total_output_tokens": ("answers [tokens]", 1.0, 0),
    "max_concurrent_requests": ("most at once [requests]", 1.0, 0),
    "kv_capacity_tokens": ("KV room [tokens]", 1.0, 0),
    "kv_peak_fraction": ("KV room used, peak [%]", 100.0, 1),
    "preemptions": ("preemptions", 1.0, 0),
    "energy_kwh": ("energy [kWh]", 1.0, 2),
    "energy_j_per_output_token": ("energy [J/output token]", 1.0, 2),
    "mean_power_w": ("power, mean [kW]", 1e-3, 2),
    "peak_power_w": ("power, peak [kW]", 1e-3, 2),
    "usd_per_hour": ("cost [USD/h]", 1.0, 2),
    "usd_per_million_output_tokens": ("cost [USD/million output tokens]", 1.0, 3),
    "simulated_s": ("simulated time [s]", 1.0, 0),
    "wall_s": ("wall time [s]", 1.0, 2),
    "events": ("events", 1.0, 0),
}
HEADLINES = (
    "slo_attainment", "median_ttft_ms", "p99_ttft_ms", "median_tpot_ms", "p99_tpot_ms", "p99_e2el_ms", "request_throughput", "request_goodput",
    "output_throughput", "kv_peak_fraction", "energy_j_per_output_token", "usd_per_hour", "usd_per_million_output_tokens", "completed", "failed", "rejected",
)  # fmt: skip
"""What tells runs apart at a glance."""


@dataclass(frozen=True)
class Cell:
    """Text, and the number that it stands for where it is one."""

    text: str
    value: float | None = None


@dataclass(frozen=True)
class Table:
    """A table that sorts."""

    caption: str
    columns: list[str]
    rows: list[list[Cell]]
    runs: list[int | None] = field(default_factory=list)
    """Of each row, or where `across` of each column after the first, the run or line that it is
    hidden with."""
    across: bool = False

    @cached_property
    def numeric(self) -> list[bool]:
        """Which columns hold numbers."""
        return [
            any(row[place].value is not None for row in self.rows)
            for place in range(len(self.columns))
        ]


def heading(name: str) -> str:
    """A summary field as the heading of a column, with its unit.

    >>> heading("slo_attainment"), heading("p99_ttft_ms"), heading("compute_utilisation"), heading("p5_usd_per_hour")
    ('within SLO [%]', 'TTFT p99 [ms]', 'compute utilisation [%]', 'p5 of cost [USD/h]')
    """
    if name in _FIELDS:
        return _FIELDS[name][0]
    statistic, _, rest = name.partition("_")
    if rest in _FIELDS:
        return f"{statistic} of {_FIELDS[rest][0]}"
    return f"{study.label(name)} [%]" if _share(name) else study.label(name)


def cell(name: str, value: Any) -> Cell:
    """A summary field's value under its heading.

    >>> cell("slo_attainment", 0.9214).text, cell("p99_ttft_ms", 10801.66).text, cell("completed", None).text
    ('92.1', '10 802', '–')
    """
    if value is None or value != value:
        return Cell("–")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return Cell(str(value))
    field_name = (
        name if name in _FIELDS else name.partition("_")[2]
    )  # p5_usd_per_hour is of usd_per_hour
    factor, decimals = (
        _FIELDS[field_name][1:]
        if field_name in _FIELDS
        else (100.0, 1)
        if _share(name)
        else (1.0, None)
    )
    number = factor * value
    if decimals is None:
        return Cell(
            study.number(number) if not isinstance(value, int) else _grouped(f"{value:,}"), number
        )
    return Cell(_grouped(f"{number:,.{decimals}f}"), number)


def _grouped(text: str) -> str:
    return text.replace(",", " ")


def _share(name: str) -> bool:
    return name.endswith(("_fraction", "_utilisation", "_attainment"))


def of_rows(
    caption: str,
    rows: Sequence[Mapping[str, Any]],
    columns: Iterable[str] | None = None,
    lines: Sequence[int | None] = (),
) -> Table:
    """A table of any rows: columns in the order in which they come up, headed by their names with
    units; lines: what each is hidden with.
    """
    names = (
        list(columns)
        if columns is not None
        else list(dict.fromkeys(name for row in rows for name in row))
    )
    return Table(
        caption,
        [heading(name) for name in names],
        [[cell(name, row.get(name)) for name in names] for row in rows],
        list(lines),
    )
