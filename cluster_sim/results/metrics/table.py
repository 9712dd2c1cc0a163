"""The table of metrics: every field of summary.json, in its order.

A metric is added as one entry of a family's file. summary.json, the table of `cluster-sim run`,
labels of figures, cells of the report and samples of a fleet are derived from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from cluster_sim.results.metrics.families import (
    attempts,
    caps,
    client,
    cost,
    goodput,
    heat,
    kv_cache,
    latency,
    margin,
    plant,
    power,
    requests,
    run,
    states,
    tokens,
    utilisation,
)
from cluster_sim.results.metrics.metric import Metric, Row, Scope

FAMILIES: tuple[tuple[Metric, ...], ...] = (
    requests.METRICS,
    attempts.METRICS,
    tokens.METRICS,
    goodput.METRICS,
    latency.METRICS,
    client.METRICS,
    kv_cache.METRICS,
    utilisation.METRICS,
    power.METRICS,
    plant.METRICS,
    heat.METRICS,
    caps.METRICS,
    states.METRICS,
    run.METRICS,
    cost.METRICS,
    margin.METRICS,
)
METRICS: Mapping[str, Metric] = MappingProxyType(
    {metric.name: metric for family in FAMILIES for metric in family}
)
"""Metrics by name, in the order of summary.json."""


BY_SCOPE: Mapping[Scope, tuple[Metric, ...]] = MappingProxyType(
    {
        scope: tuple(metric for metric in METRICS.values() if scope in metric.scope)
        for scope in Scope
    }
)
"""Metrics that exist for a kind of selection, in the order of summary.json."""


def run_rows() -> list[tuple[Metric, Row]]:
    """Return the metrics that the table of `cluster-sim run` shows, with their rows, in order."""
    rows = [(metric, metric.row) for metric in METRICS.values() if metric.row is not None]
    return sorted(rows, key=lambda pair: pair[1].place)
