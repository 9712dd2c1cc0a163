"""Summaries of a sample, extrapolated to the whole fleet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cluster_sim.results.metrics.table import METRICS


def of_fleet(report: dict[str, Any], stands_for: int) -> dict[str, Any]:
    """Return the summary of a fleet, given the summary of the sample that was simulated.

    Extensive metrics are multiplied, also those of pools and classes; other metrics stay unchanged.
    Peaks are those of the sample. The load of a whole fleet is smoother, so its peaks are not
    higher.

    Parameters
    ----------
    report
        Fields of summary.json of the sample.
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
