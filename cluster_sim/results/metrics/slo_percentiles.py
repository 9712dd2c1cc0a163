"""Latencies at the percentiles of the SLO that no metric of the table has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cluster_sim.results.metrics.families.goodput import verdict
from cluster_sim.results.metrics.families.latency import LIMITED, PERCENTS
from cluster_sim.results.metrics.families.requests import served
from cluster_sim.results.metrics.selection import Selection
from cluster_sim.results.metrics.verdict_text import percentile_text


def slo_percentiles(selection: Selection) -> dict[str, float]:
    """Return the fields of latencies [ms] at percentiles of the SLO that no metric has.

    They are computed from finished requests, like the metrics.
    """
    found = verdict(selection)
    if found is None:
        return {}
    done = selection.once(served).done
    return {
        percentile_key(latency, percentile): 1e3 * float(np.percentile(values_s, percentile))
        for latency, values in LIMITED.items()
        for percentile in found.percentiles
        if percentile not in PERCENTS and len(values_s := values(done))
    }


def percentile_key(latency: str, percentile: float) -> str:
    """Return the field of summary.json that holds a percentile of a latency.

    >>> percentile_key("ttft", 50.0), percentile_key("ttft", 99.9)
    ('median_ttft_ms', 'p99.9_ttft_ms')
    """
    return f"{'median' if percentile == 50.0 else percentile_text(percentile)}_{latency}_ms"


def percentiles_of(summary: Mapping[str, Any]) -> list[float]:
    """Return the percentiles at which a summary is judged, ascending; empty without an SLO.

    >>> percentiles_of({"slo_percentile": {"chat": 95.0, "batch": 99.0}}), percentiles_of({})
    ([95.0, 99.0], [])
    """
    percentile = summary.get("slo_percentile", {})
    return sorted(set(percentile.values() if isinstance(percentile, Mapping) else [percentile]))
