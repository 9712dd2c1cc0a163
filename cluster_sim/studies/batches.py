"""Batch means: equal batches of the requests of one run, treated as independent runs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cluster_sim.errors import ScenarioError
from cluster_sim.results.results import Results
from cluster_sim.studies.comparison import Replication
from cluster_sim.studies.statistics import BATCHES, autocorrelation

METRICS = ("mean_ttft_ms", "mean_tpot_ms", "mean_e2el_ms", "mean_queue_ms")
"""Means that are computed per batch. A batch holds too few requests for percentiles."""
_FEWEST = 5  # minimum number of requests per batch


def of_batches(results: Results) -> dict[str, list[float]]:
    """Return means of equal batches of the requests that count, in order of arrival.

    Batches hold the same requests in all variants.

    Raises
    ------
    ScenarioError
        The batches hold too few requests.
    """
    table = results.requests
    counted, request = table["counted"].to_numpy(), table["request"].to_numpy()
    arrival_s, first_s, finish_s, admitted_s, tokens = (
        table[name].to_numpy()
        for name in ("arrival_s", "first_token_s", "finish_s", "admitted_s", "output_tokens")
    )
    tpot_s = (finish_s - first_s) / np.maximum(tokens - 1, 1)
    values_s = {
        "mean_ttft_ms": first_s - arrival_s,
        "mean_tpot_ms": np.where(tokens > 1, tpot_s, np.nan),
        "mean_e2el_ms": finish_s - arrival_s,
        "mean_queue_ms": admitted_s - arrival_s,
    }
    order = np.argsort(request, kind="stable")
    order = order[counted[order]]
    if len(order) < _FEWEST * BATCHES:
        raise ScenarioError.at(
            results.scenario.title,
            f"has {len(order)} requests that count, too few for intervals from one run; use --replications",
        )
    parts = np.array_split(order, BATCHES)
    return {
        name: [1e3 * float(np.nanmean(series[part])) for part in parts]
        for name, series in values_s.items()
    }


def as_replications(replication: Replication) -> list[Replication]:
    """Return the batches of one run as replications."""
    return [
        [
            {name: values[place] for name, values in summary["batches"].items()}
            for summary in replication
        ]
        for place in range(BATCHES)
    ]


def dependent(replication: Replication) -> Iterator[str]:
    """Yield the metrics whose batches are correlated in some variant, sorted by name."""
    names = {
        name
        for summary in replication
        for name, values in summary["batches"].items()
        if abs(autocorrelation(values)) > 2 / BATCHES**0.5
    }
    yield from sorted(names)
