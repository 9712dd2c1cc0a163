"""Latencies of finished requests, and gaps between their tokens.

Each latency has seven statistics. Percentiles are linear, as in numpy and vLLM.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from cluster_sim.results.metrics.families.requests import served
from cluster_sim.results.metrics.finished import Finished
from cluster_sim.results.metrics.gaps import itl
from cluster_sim.results.metrics.metric import EVERYWHERE, MACHINES, Metric, Row, Scope
from cluster_sim.results.metrics.selection import Selection
from cluster_sim.typing import Array

PERCENTS = [50, 90, 95, 99]


class Statistics(NamedTuple):
    """Statistics of a latency [s], named as in summary.json without the suffix `_NAME_ms`."""

    mean: float
    std: float
    max: float
    median: float
    p90: float
    p95: float
    p99: float


_WORDS = {
    "mean": ("mean", "Mean"),
    "std": ("standard deviation", "Standard deviation"),
    "max": ("max", "Maximum"),
    "median": ("p50", "Median"),
    "p90": ("p90", "90th percentile"),
    "p95": ("p95", "95th percentile"),
    "p99": ("p99", "99th percentile"),
}
"""Statistics as written in labels of figures and in descriptions."""


class Latency(NamedTuple):
    """A latency: the subject of seven metrics."""

    name: str
    description: str
    """Noun phrase that defines the latency."""
    statistics: Callable[[Selection], Statistics | None]
    """Function that returns the statistics, or None if the latency does not exist."""
    title: str = ""
    """Name in figures; empty if it is derived from `name`."""
    scope: Scope = EVERYWHERE


def metrics_of(latency: Latency, rows: Mapping[str, Row]) -> Iterator[Metric]:
    """Yield one metric per statistic of a latency.

    Parameters
    ----------
    latency
        Latency that is described.
    rows
        Lines of the run table, by statistic.
    """
    for statistic in Statistics._fields:
        in_labels, in_sentences = _WORDS[statistic]
        yield Metric(
            f"{statistic}_{latency.name}_ms",
            "ms",
            f"{in_sentences} of the {latency.description}.",
            _milliseconds(latency.statistics, statistic),
            scope=latency.scope,
            label=f"{latency.title} {in_labels} [ms]" if latency.title else "",
            row=rows.get(statistic),
        )


def _milliseconds(
    statistics: Callable[[Selection], Statistics | None], statistic: str
) -> Callable[[Selection], float | None]:
    """Return a function that returns one of the statistics [ms]."""

    def compute(selection: Selection) -> float | None:
        values = selection.once(statistics)
        return None if values is None else float(1e3 * getattr(values, statistic))

    return compute


def of_values(values_s: Array) -> Statistics | None:
    """Return the statistics of latencies [s]; None if there are none."""
    if not len(values_s):
        return None
    return Statistics(
        float(np.mean(values_s)),
        float(np.std(values_s)),
        float(np.max(values_s)),
        *np.percentile(values_s, PERCENTS).tolist(),
    )


def of_requests(
    values_s: Callable[[Finished], Array | None],
) -> Callable[[Selection], Statistics | None]:
    """Return a function that returns the statistics of a latency of finished requests [s]."""

    def compute(selection: Selection) -> Statistics | None:
        values = values_s(selection.once(served).done)
        return None if values is None else of_values(values)

    return compute


def of_contention(
    values_s: Callable[[Finished], Array],
) -> Callable[[Selection], Statistics | None]:
    """Return a function that returns statistics of a part of the latency.

    It returns None for a run without transfers, in which nothing is shared.
    """
    statistics = of_requests(values_s)

    def compute(selection: Selection) -> Statistics | None:
        return statistics(selection) if len(selection.run.transfers) else None

    return compute


def _gaps(selection: Selection) -> Statistics | None:
    """Return statistics of gaps between tokens [s].

    They are not known for a class: a stretch does not record which requests' tokens it generates.
    """
    if not selection.once(served).completed:
        return None
    gaps = itl(selection.run, selection.pool)
    if not gaps.count:
        return None
    return Statistics(gaps.mean(), gaps.std(), gaps.max(), *gaps.percentiles([*PERCENTS]))


LIMITED: Mapping[str, Callable[[Finished], Array]] = MappingProxyType(
    {
        "ttft": lambda done: done.ttft_s,
        "tpot": lambda done: done.tpot_s[done.output_tokens > 1],
        "e2el": lambda done: done.e2el_s,
    }
)
"""Latencies that an SLO may limit [s], of finished requests."""

LATENCIES: tuple[tuple[Latency, Mapping[str, Row]], ...] = (
    (
        Latency(
            "ttft",
            "time to first token, from arrival until the token is back at the front door",
            of_requests(LIMITED["ttft"]),
            "TTFT",
        ),
        {"median": Row(40, "TTFT p50 [ms]", ",.1f"), "p99": Row(50, "TTFT p99 [ms]", ",.1f")},
    ),
    (
        Latency(
            "ttfo",
            "time to the first output token after reasoning; absent if the scenario gives no share of "
            "reasoning tokens",
            of_requests(lambda done: done.ttfo_s),
            "TTFO",
        ),
        {"median": Row(60, "TTFO p50 [ms]", ",.1f"), "p99": Row(70, "TTFO p99 [ms]", ",.1f")},
    ),
    (
        Latency(
            "tpot",
            "time per output token after the first, over requests of two tokens or more",
            of_requests(LIMITED["tpot"]),
            "TPOT",
        ),
        {"median": Row(80, "TPOT p50 [ms]", ",.2f"), "p99": Row(90, "TPOT p99 [ms]", ",.2f")},
    ),
    (
        Latency(
            "e2el",
            "end-to-end latency, from arrival until the last token is back at the front door",
            of_requests(LIMITED["e2el"]),
            "E2E latency",
        ),
        {"median": Row(100, "E2E p50 [ms]", ",.0f"), "p99": Row(110, "E2E p99 [ms]", ",.0f")},
    ),
    (
        Latency(
            "queue",
            "time from arrival until the first engine step that includes the request begins: the way to the "
            "replica, the rest of the step in progress with its host overhead, and the wait for a batch slot, "
            "KV cache and earlier requests",
            of_requests(lambda done: done.queue_s),
            "time in queue",
        ),
        {"p99": Row(120, "queue p99 [ms]", ",.1f"), "mean": Row(150, "queue mean [ms]", ",.1f")},
    ),
    (
        Latency(
            "bus",
            "latency added by other traffic on the memories of a request's replicas; absent without "
            "transfers",
            of_contention(lambda done: done.bus_s),
            "memory contention",
        ),
        {"mean": Row(170, "E2E mean: memory contention [ms]", ",.2f")},
    ),
    (
        Latency(
            "link",
            "latency added by other traffic on the links of collectives and of the KV transfer; absent "
            "without transfers",
            of_contention(lambda done: done.link_s + done.kv_contention_s),
            "link contention",
        ),
        {"mean": Row(180, "E2E mean: link contention [ms]", ",.2f")},
    ),
    (
        Latency(
            "compute",
            "latency without queueing, KV transfer and contention; absent without transfers",
            of_contention(lambda done: done.compute_s),
            "compute time",
        ),
        {"mean": Row(160, "E2E mean: compute [ms]", ",.1f")},
    ),
    (
        Latency(
            "hand_over_wait",
            "time from the first token until a decode replica can admit the request; absent if prefill is "
            "not disaggregated",
            of_requests(lambda done: done.hand_over_wait_s[~np.isnan(done.hand_over_wait_s)]),
            "wait for a decode replica",
        ),
        {"p99": Row(130, "wait for a decode replica p99 [ms]", ",.1f")},
    ),
    (
        Latency(
            "kv_transfer",
            "time from admission by a decode replica until the KV cache has arrived there; absent if prefill "
            "is not disaggregated",
            of_requests(lambda done: done.kv_transfer_s[~np.isnan(done.kv_transfer_s)]),
            "KV transfer",
        ),
        {"p99": Row(140, "KV transfer p99 [ms]", ",.2f")},
    ),
    (
        Latency(
            "itl",
            "gap between two tokens of a request, pooled over all gaps; absent for classes",
            _gaps,
            "ITL",
            MACHINES,
        ),
        {},
    ),
)
"""Latencies, and the lines of the run table that show their statistics."""

METRICS = tuple(metric for latency, rows in LATENCIES for metric in metrics_of(latency, rows))

_TITLES = {latency.name: latency.title for latency, _ in LATENCIES if latency.title}


def statistic_label(column: str) -> str | None:
    """Return the label of a statistic of a latency, even if it is not a metric.

    The result is None if the column is not a statistic of a latency.

    >>> statistic_label("p75_ttft_ms")
    'TTFT p75 [ms]'
    """
    statistic, _, rest = column.partition("_")
    title = _TITLES.get(rest.removesuffix("_ms"))
    return None if title is None else f"{title} {_WORDS.get(statistic, (statistic,))[0]} [ms]"
