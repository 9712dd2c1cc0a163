"""Rows of the table of what mechanisms cost, and the sentences beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

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
        "usd": "+,.4f",
    }
)
_ROWS: Mapping[str, str] = MappingProxyType(
    {**TITLES, "remainder": "remainder", "total": "all together"}
)
"""Labels of the rows, by the keys of `cost_of`."""


class CostRow(NamedTuple):
    """Row of the table: a mechanism, the remainder, or all mechanisms together."""

    label: str
    figures: Mapping[str, float]
    """Values by the names of FIGURES."""

    def texts(self) -> dict[str, str]:
        """Return the cells by the names of FIGURES, with the sign of each cost."""
        return {name: _cell(name, self.figures[name]) for name in FIGURES if name in self.figures}


def cost_rows(cost_of: Mapping[str, Mapping[str, float]]) -> list[CostRow]:
    """Return the rows of all mechanisms, of the remainder and of all together.

    Examples
    --------
    >>> heat, nothing = {"ttft_p99_ms": 250.0}, {"ttft_p99_ms": 0.0}
    >>> off = {name: nothing for name in ("power_caps", "contention", "failures", "remainder")}
    >>> [row.texts() for row in cost_rows({"heat": heat, "total": heat} | off)][:2]
    [{'ttft_p99_ms': '+250.0'}, {'ttft_p99_ms': '0'}]
    """
    return [CostRow(label, cost_of[key]) for key, label in _ROWS.items()]


def _cell(name: str, value: float) -> str:
    return format(value, _FORMATS[name]) if value else "0"


def is_free(cost_of: Mapping[str, Mapping[str, float]]) -> bool:
    """Return whether no mechanism changes any figure."""
    return not any(value for figures in cost_of.values() for value in figures.values())


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
