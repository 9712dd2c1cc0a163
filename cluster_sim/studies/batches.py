"""What one run alone can tell: means of equal batches of its requests, as if each were a run."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cluster_sim.errors import ScenarioError
from cluster_sim.results.results import Results
from cluster_sim.studies.comparison import Replication
from cluster_sim.studies.statistics import BATCHES, autocorrelation

METRICS = ("mean_ttft_ms", "mean_tpot_ms", "mean_e2el_ms", "mean_queue_ms")
"""Means that batches have. A batch holds too few requests for its percentiles."""
_FEWEST = 5  # requests of a batch


def of_batches(results: Results) -> dict[str, list[float]]:
    """Return means of equal batches of the requests that count, in order of arrival.

    Batches hold the same requests in all variants. Raises ScenarioError where they hold too few.
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
            f"has {len(order)} requests that count, too few to tell from one run; expected --replications",
        )
    parts = np.array_split(order, BATCHES)
    return {
        name: [1e3 * float(np.nanmean(series[part])) for part in parts]
        for name, series in values_s.items()
    }


def as_replications(replication: Replication) -> list[Replication]:
    """Return the batches of one run as if each were a replication."""
    return [
        [
            {name: values[place] for name, values in summary["batches"].items()}
            for summary in replication
        ]
        for place in range(BATCHES)
    ]


def dependent(replication: Replication) -> Iterator[str]:
    """Yield metrics whose batches still depend on each other in some variant, sorted."""
    names = {
        name
        for summary in replication
        for name, values in summary["batches"].items()
        if abs(autocorrelation(values)) > 2 / BATCHES**0.5
    }
    yield from sorted(names)
