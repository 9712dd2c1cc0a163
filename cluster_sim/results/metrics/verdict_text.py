"""Verdicts of summaries in words: `SLO at p95: missed (TPOT 61 ms > 25 ms)`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import floor, log10
from typing import Any

_TITLES = {"ttft": "TTFT", "tpot": "TPOT", "e2el": "E2E"}


def slo_line(summary: Mapping[str, Any]) -> str:
    """Return the verdict of a summary with an SLO in one line, with the objectives missed.

    >>> slo_line({"slo_percentile": 95.0, "slo_met": True, "slo_missed": []})
    'SLO at p95: met'
    >>> tpot = {"metric": "tpot", "limit_ms": 25.0, "value_ms": 61.0}
    >>> slo_line({"slo_percentile": 95.0, "slo_met": False, "slo_missed": [tpot]})
    'SLO at p95: missed (TPOT 61 ms > 25 ms)'
    """
    missed = missed_text(summary["slo_missed"])
    detail = f" ({missed})" if missed else ""
    return f"{slo_title(summary)}: {met_text(is_met=summary['slo_met'])}{detail}"


def slo_title(summary: Mapping[str, Any]) -> str:
    """Return the title of the verdict of a summary, with its percentile.

    >>> slo_title({"slo_percentile": {"chat": 95.0, "batch": 99.9}})
    'SLO at p95 of chat, p99.9 of batch'
    """
    percentile = summary["slo_percentile"]
    if isinstance(percentile, Mapping):
        parts = (f"{percentile_text(value)} of {name}" for name, value in percentile.items())
        return f"SLO at {', '.join(parts)}"
    return f"SLO at {percentile_text(percentile)}"


def percentile_text(percentile: float) -> str:
    """Return a percentile as it is written in labels and names of fields.

    >>> percentile_text(95.0), percentile_text(99.99999)
    ('p95', 'p99.99999')
    """
    return f"p{percentile:.10g}"


def met_text(*, is_met: bool) -> str:
    """Return a verdict as one word: `met` or `missed`."""
    return "met" if is_met else "missed"


def latency_title(latency: str) -> str:
    """Return the title of a latency that an objective limits.

    >>> latency_title("tpot")
    'TPOT'
    """
    return _TITLES[latency]


def missed_text(missed: Iterable[Mapping[str, Any]]) -> str:
    """Return the entries of `slo_missed` in words; an empty text if there are none.

    >>> ttft = {"metric": "ttft", "limit_ms": 500.0, "value_ms": None}
    >>> missed_text([{"class": "chat"} | ttft | {"infinite_because": "6% of requests did not finish"}])
    'chat TTFT infinite > 500 ms, since 6% of requests did not finish'
    """
    return "; ".join(map(_entry_text, missed))


def _entry_text(entry: Mapping[str, Any]) -> str:
    title = latency_title(entry["metric"])
    subject = f"{entry['class']} {title}" if "class" in entry else title
    limit = f"{entry['limit_ms']:,.10g} ms"
    if entry["value_ms"] is None:
        return f"{subject} infinite > {limit}, since {entry['infinite_because']}"
    return f"{subject} {_above(entry['value_ms'], entry['limit_ms'])} ms > {limit}"


def _above(value: float, limit: float) -> str:
    """Return a value with three figures, or with as many as show that it exceeds the limit.

    >>> _above(61.23, 25.0), _above(25.0004, 25.0), _above(10801.7, 500.0)
    ('61.2', '25.0004', '10,802')
    """
    fewest = max(2 - floor(log10(value)), 0)
    texts = (f"{value:,.{decimals}f}" for decimals in range(fewest, 20))
    shown = next((text for text in texts if float(text.replace(",", "")) > limit), repr(value))
    return shown.rstrip("0").rstrip(".") if "." in shown else shown
