"""Rows of the table of what mechanisms cost, and the sentences beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from cluster_sim.results.attribution import FIGURES
from cluster_sim.results.mechanisms import MECHANISMS, TITLES

_FORMATS: Mapping[str, str] = MappingProxyType(
    {
        "ttft_mean_ms": "+,.1f",
        "ttft_p99_ms": "+,.1f",
        "tpot_mean_ms": "+,.2f",
        "tpot_p99_ms": "+,.2f",
        "completed": "+,.0f",
        "goodput": "+,.3g",
        "usd": "+,.3g",
    }
)
_ROWS: Mapping[str, str] = MappingProxyType(
    {**TITLES, "remainder": "remainder", "total": "all together"}
)
"""Labels of the rows, by the keys of `cost_of`."""


def cost_headings(cost_of: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return the headings of the figures that a run has."""
    return [label for name, label in FIGURES.items() if name in cost_of["total"]]


def cost_rows(cost_of: Mapping[str, Mapping[str, float]]) -> Iterator[tuple[str, list[str]]]:
    """Yield the label and the cells of each mechanism, of the remainder and of all together.

    Examples
    --------
    >>> heat = {"ttft_p99_ms": 250.0}
    >>> nothing = {"ttft_p99_ms": 0.0}
    >>> off = {name: nothing for name in ("power_caps", "contention", "failures", "remainder")}
    >>> list(cost_rows({"heat": heat, "total": heat} | off))[:2]
    [('heat', ['+250.0']), ('power caps', ['0'])]
    """
    for key, label in _ROWS.items():
        figures = cost_of[key]
        yield label, [_cell(name, figures[name]) for name in FIGURES if name in figures]


def _cell(name: str, value: float) -> str:
    return format(value, _FORMATS[name]) if value else "0"


def compared_text(summary: Mapping[str, Any]) -> str:
    """Return a sentence about the requests whose latencies are compared."""
    if "attributed_requests" in summary:
        return f"Latencies are those of the {summary['attributed_requests']:,} requests that finish in every run."
    return "Latencies are those of all finished requests of each run: clients that wait for answers send other requests in each."


def listed(mechanisms: Iterable[str]) -> str:
    """Return the names of mechanisms in a sentence, in the order of tables.

    >>> listed(["contention", "heat", "power_caps"])
    'heat, power caps and contention'
    """
    wanted = set(mechanisms)
    *first, last = [TITLES[name] for name in MECHANISMS if name in wanted]
    return f"{', '.join(first)} and {last}" if first else last
