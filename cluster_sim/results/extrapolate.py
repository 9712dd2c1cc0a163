"""Summaries of a sample, multiplied back to the whole fleet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cluster_sim.results.metrics.table import METRICS


def of_fleet(report: dict[str, Any], stands_for: int) -> dict[str, Any]:
    """Return the summary of a fleet of which a sample was simulated.

    Extensive metrics are multiplied, of pools and classes too; all else stays as it is. Peaks are
    those of the sample: a whole fleet's are smoother, so its own are no higher.

    Parameters
    ----------
    stands_for
        Number of samples in the fleet.
    """
    if stands_for == 1:
        return report
    return {name: _of_fleet(name, value, stands_for) for name, value in report.items()}


def _of_fleet(name: str, value: Any, stands_for: int) -> Any:
    if name in ("pools", "classes"):
        return {part: of_fleet(of_part, stands_for) for part, of_part in value.items()}
    metric = METRICS.get(name)
    if metric is None or not metric.is_extensive:
        return value
    if isinstance(value, Mapping):
        return {part: stands_for * amount for part, amount in value.items()}
    return stands_for * value
