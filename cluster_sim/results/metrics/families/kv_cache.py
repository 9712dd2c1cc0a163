"""KV cache: capacity, usage, and preemptions when it is full; warm-up included."""

from __future__ import annotations

import numpy as np

from cluster_sim.results.metrics.machines import kv_growth
from cluster_sim.results.metrics.metric import MACHINES, Heading, Metric, Row
from cluster_sim.results.metrics.selection import Selection


def _capacity_tokens(selection: Selection) -> int:
    return sum(
        deployment.replica_count * deployment.kv_tokens for deployment in selection.deployments
    )


def _peak_fraction(selection: Selection) -> float:
    """Return the highest KV cache usage of a replica at the end of a stretch, from 0 to 1.

    If groups of layers share the cache, the growth within a stretch is an estimate, and the usage
    is limited to 1.
    """
    run, peak = selection.run, 0.0
    replica = run.stretches["replica"].to_numpy()
    held = run.stretches["kv_tokens"].to_numpy() + kv_growth(run.stretches)
    for deployment in selection.deployments:
        selected = np.isin(replica, run.fleet.numbers(deployment.name))
        if selected.any():
            peak = max(peak, float(np.max(held[selected])) / deployment.kv_tokens)
    grouped = any(deployment.placement.pool for deployment in selection.deployments)
    return min(peak, 1.0) if grouped else peak


def _preemptions(selection: Selection) -> int:
    events = selection.run.events
    preempted = events["what"].to_numpy() == "preempted"
    return int(np.sum(preempted & selection.is_of_replicas(events["replica"].to_numpy())))


METRICS = (
    Metric(
        "kv_capacity_tokens",
        "tokens",
        "KV cache capacity, summed over all replicas, those that are off included.",
        _capacity_tokens,
        scope=MACHINES,
        is_extensive=True,
        label="KV cache capacity [tokens]",
        heading=Heading("KV cache capacity [tokens]", decimals=0),
    ),
    Metric(
        "kv_peak_fraction",
        "share",
        "Highest KV cache usage of a replica, as a share of its capacity.",
        _peak_fraction,
        scope=MACHINES,
        label="peak KV cache usage",
        heading=Heading("KV cache used, peak [%]", 100.0, 1),
        row=Row(250, "KV cache used, peak", ".1%"),
    ),
    Metric(
        "preemptions",
        "",
        "Number of preemptions of running requests.",
        _preemptions,
        scope=MACHINES,
        is_extensive=True,
        heading=Heading("preemptions", decimals=0),
        row=Row(220, "preemptions", ",.0f"),
    ),
)
