"""Objectives of a scenario's requests, and the percentiles that are held against them."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, inf

import numpy as np

from cluster_sim.results.results import Results
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.typing import Array


def limits(scenario: Scenario) -> list[dict[str, float]]:
    """Return the objectives [s] of each class by name, or those of all requests."""
    by_class = [
        {"ttft": slo.ttft_s, "tpot": slo.tpot_s, "e2el": slo.e2el_s} for slo in scenario.slos
    ]
    return [
        {name: limit_s for name, limit_s in objectives.items() if limit_s is not None}
        for objectives in by_class
    ]


def named_limits(scenario: Scenario) -> dict[str, float]:
    """Return the objectives [s] of all classes, under names that tell classes apart."""
    return {
        f"{prefix}{name}": limit_s
        for prefix, objectives in zip(_prefixes(scenario), limits(scenario), strict=True)
        for name, limit_s in objectives.items()
    }


def _prefixes(scenario: Scenario) -> list[str]:
    return [f"{class_.name}." for class_ in scenario.workload.classes] or [""]


def judged(scenarios: Sequence[Scenario], percentile: float) -> dict[str, float]:
    """Simulate scenarios that differ in their seed; return a percentile [s] of each objective.

    The percentile is over the requests of all runs that count; rejected and unfinished ones take
    indefinitely.
    """
    from cluster_sim.sim.simulate import simulate

    runs = [simulate(scenario) for scenario in scenarios]
    percentiles_s = {}
    for prefix, objectives in zip(_prefixes(scenarios[0]), limits(scenarios[0]), strict=True):
        for name in objectives:
            values_s = [_latencies_s(run, name, prefix.removesuffix(".")) for run in runs]
            percentiles_s[f"{prefix}{name}"] = _percentile(np.concatenate(values_s), percentile)
    return percentiles_s


def _latencies_s(results: Results, name: str, class_: str) -> Array:
    """Return one objective's latencies of the requests that count; of all classes for no class.

    Requests of one output token have no time per output token.
    """
    table = results.requests
    arrival_s, first_s, finish_s, tokens = (
        table[column].to_numpy()
        for column in ("arrival_s", "first_token_s", "finish_s", "output_tokens")
    )
    counts = table["counted"].to_numpy()
    if class_:
        counts = counts & (table["class"].to_numpy() == class_)
    if name == "tpot":
        counts = counts & (tokens > 1)
    values_s = {
        "ttft": first_s - arrival_s,
        "tpot": (finish_s - first_s) / np.maximum(tokens - 1, 1),
        "e2el": finish_s - arrival_s,
    }[name]
    latencies_s: Array = np.where(table["status"].to_numpy() == "finished", values_s, inf)[counts]
    return latencies_s


def _percentile(values_s: Array, percentile: float) -> float:
    """Return a percentile with linear interpolation, as numpy's.

    It is infinite as soon as an infinite value has a part in it, and where there is no value.
    """
    if not len(values_s):
        return inf
    ordered, position = np.sort(values_s), percentile / 100 * (len(values_s) - 1)
    below, above = float(ordered[floor(position)]), float(ordered[ceil(position)])
    return below if below == above else below + (above - below) * (position - floor(position))
