"""Cost of mechanisms: a run minus the run of the same requests without the mechanism.

Latencies are those of the requests that finish in every run, so that the same requests are compared:
a request that a failure loses has no latency, and its loss shows in the goodput. In a closed loop a
client sends its next request when it has an answer, so that every run has other requests; latencies
are then those of all finished requests of each run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import fsum
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from cluster_sim.results.mechanisms import ALL, MECHANISMS
from cluster_sim.results.metrics.finished import counted
from cluster_sim.results.run_data import RunData
from cluster_sim.typing import Array

FIGURES: Mapping[str, str] = MappingProxyType(
    {
        "ttft_mean_ms": "TTFT mean [ms]",
        "ttft_p99_ms": "TTFT p99 [ms]",
        "tpot_mean_ms": "TPOT mean [ms]",
        "tpot_p99_ms": "TPOT p99 [ms]",
        "completed": "completed",
        "goodput": "goodput [requests/s]",
        "usd": "cost [USD]",
    }
)
"""Figures of `cost_of` with their labels.

`completed` counts the finished requests. The goodput counts finished requests that meet the SLO; without an SLO, all finished requests. The
cost in USD is that of all nodes from time 0 until the end of the run."""

_SAME = ("arrival_s", "prompt_tokens", "output_tokens")
"""Columns of the table of requests that are equal if two runs have the same requests."""

Figures = dict[str, float]
"""Values by the names of FIGURES."""


class SummedRun(NamedTuple):
    """Run with the fields of its summary.json."""

    run: RunData
    summary: Mapping[str, Any]


def cost_fields(whole: SummedRun, without: Mapping[str, SummedRun]) -> dict[str, Any]:
    """Return the fields of summary.json about the cost of mechanisms.

    Parameters
    ----------
    whole
        Run with all mechanisms.
    without
        Runs without each mechanism that is in play, by its name, and without all of them.

    Returns
    -------
    dict
        `cost_of`: figures by mechanism, `total` for all mechanisms together, and `remainder`, which
        is the total less the sum of the mechanisms. `attributed_requests`: number of requests whose
        latencies are compared; absent if runs have different requests. Empty if a limit of time or
        memory has ended a run, since runs of different length cannot be compared.
    """
    runs = [whole, *without.values()]
    if any(each.run.info.stopped is not None for each in runs):
        return {}
    compared = compared_requests([each.run for each in runs])
    figures = [_figures(each, compared) for each in runs]
    names = [name for name in FIGURES if all(name in each for each in figures)]
    own, others = figures[0], dict(zip(without, figures[1:], strict=True))

    def cost(mechanism: str) -> Figures:
        other = others.get(mechanism, own)
        return {name: own[name] - other[name] for name in names}

    parts = {mechanism: cost(mechanism) for mechanism in MECHANISMS}
    total = cost(next(iter(without)) if len(without) == 1 else ALL)
    sums = {name: fsum(part[name] for part in parts.values()) for name in names}
    remainder = {name: total[name] - sums[name] for name in names}
    fields: dict[str, Any] = {"cost_of": parts | {"total": total, "remainder": remainder}}
    if compared is not None:
        fields["attributed_requests"] = int(np.sum(compared))
    return fields


def have_same_requests(runs: Sequence[RunData]) -> bool:
    """Return whether all runs have the same requests: the same arrivals and the same lengths."""
    first = runs[0].requests
    return all(run.requests[column].equals(first[column]) for run in runs[1:] for column in _SAME)


def compared_requests(runs: Sequence[RunData]) -> Array | None:
    """Return whether each request counts and finishes in every run; None if requests differ."""
    if not have_same_requests(runs):
        return None
    return _all(counted(run) & (run.requests["status"].to_numpy() == "finished") for run in runs)


def _all(truths: Iterable[Array]) -> Array:
    return np.logical_and.reduce(list(truths))  # type: ignore[no-any-return]


def _figures(summed: SummedRun, compared: Array | None) -> Figures:
    """Return the figures of a run, as far as they exist.

    `compared` says whether the latencies of each request are compared; None for all that finished.
    """
    run, summary = summed
    done = compared_requests([run]) if compared is None else compared
    table = run.requests
    arrival_s, first_s, finish_s, tokens = (
        table[name].to_numpy()[done]
        for name in ("arrival_s", "first_token_s", "finish_s", "output_tokens")
    )
    several = tokens > 1
    latencies_s = {
        "ttft": first_s - arrival_s,
        "tpot": (finish_s - first_s)[several] / (tokens[several] - 1),
    }
    figures: Figures = {}
    for latency, values_s in latencies_s.items():
        if len(values_s):
            figures[f"{latency}_mean_ms"] = 1e3 * float(np.mean(values_s))
            figures[f"{latency}_p99_ms"] = 1e3 * float(np.percentile(values_s, 99.0))
    figures["completed"] = float(summary["completed"])
    goodput = summary.get("request_goodput", summary.get("request_throughput"))
    if goodput is not None:
        figures["goodput"] = float(goodput)
    if "usd_per_hour" in summary:
        figures["usd"] = float(summary["usd_per_hour"]) * run.info.simulated_s / 3600.0
    return figures
