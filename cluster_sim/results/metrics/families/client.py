"""Answers as clients see them, if engines do not send one chunk per step.

Metrics that equal those of the engine are absent. Names and
definitions are those of `vllm bench serve`: ITL is the gap between chunks, pooled over requests, and
TPOT the time after the first chunk over the tokens less one (vllm/benchmarks/serve.py, 0.33).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from cluster_sim.results.metrics.families.latency import (
    PERCENTS,
    Latency,
    Statistics,
    metrics_of,
    of_values,
)
from cluster_sim.results.metrics.finished import Finished, counted, finished
from cluster_sim.results.metrics.metric import Metric, Row
from cluster_sim.results.metrics.selection import Selection
from cluster_sim.results.streaming.chunks import Chunks, seen_chunks
from cluster_sim.typing import Array


class _Seen(NamedTuple):
    """Selected finished requests as clients see them."""

    chunks: Chunks
    """Chunks of all finished requests of the run that count."""
    is_selected: Array
    """Whether each of these requests is selected."""
    done: Finished
    """Columns of the selected requests; the first token is seen with the first chunk."""

    @property
    def chunk_count(self) -> int:
        """Number of chunks of the selected requests."""
        return int(np.sum(self.chunks.chunks[self.is_selected]))


def _chunks(whole: Selection) -> Chunks | None:
    """Return the chunks of a run; None if every engine sends one chunk per step."""
    return seen_chunks(whole.run)


def _seen(selection: Selection) -> _Seen | None:
    """Return the selected requests; None without any, or if clients see what the engine does."""
    run, pool, class_ = selection.run, selection.pool, selection.class_
    chunks = selection.whole.once(_chunks)
    if chunks is None or not any(
        deployment.pool.sends_chunks for deployment in selection.deployments
    ):
        return None
    is_shown = counted(run) & (run.requests["status"].to_numpy() == "finished")
    is_selected = counted(run, pool, class_)[is_shown]
    if not is_selected.any():
        return None
    done = finished(run, pool, class_)
    return _Seen(chunks, is_selected, replace(done, first_token_s=chunks.first_s[is_selected]))


def _of_requests(
    values_s: Callable[[Finished], Array],
) -> Callable[[Selection], Statistics | None]:
    """Return a function that returns the statistics of a latency that clients see [s].

    It returns None if first chunks are sent with first tokens: the engine sees the same latency.
    """

    def compute(selection: Selection) -> Statistics | None:
        pools = (deployment.pool for deployment in selection.deployments)
        if not any(pool.sends_chunks and pool.engine.first_chunk_delay for pool in pools):
            return None
        seen = selection.once(_seen)
        return None if seen is None else of_values(values_s(seen.done))

    return compute


def _gaps(selection: Selection) -> Statistics | None:
    """Return statistics of gaps between chunks [s]; None without any gap."""
    seen = selection.once(_seen)
    if seen is None:
        return None
    gaps = seen.chunks.gaps(seen.is_selected)
    if not gaps.count:
        return None
    return Statistics(gaps.mean(), gaps.std(), gaps.max(), *gaps.percentiles([*PERCENTS]))


def _chunks_per_request(selection: Selection) -> float | None:
    seen = selection.once(_seen)
    return None if seen is None else seen.chunk_count / len(seen.done.arrival_s)


def _tokens_per_chunk(selection: Selection) -> float | None:
    seen = selection.once(_seen)
    return None if seen is None else int(np.sum(seen.done.output_tokens)) / seen.chunk_count


LATENCIES: tuple[tuple[Latency, Mapping[str, Row]], ...] = (
    (
        Latency(
            "client_ttft",
            "time to first chunk, as clients see it; absent if engines send first tokens at once",
            _of_requests(lambda done: done.ttft_s),
            "client TTFT",
        ),
        {
            "median": Row(71, "client TTFT p50 [ms]", ",.1f"),
            "p99": Row(72, "client TTFT p99 [ms]", ",.1f"),
        },
    ),
    (
        Latency(
            "client_tpot",
            "time after the first chunk, as clients see it, per token after the first, over requests of "
            "two tokens or more; absent if engines send first tokens at once",
            _of_requests(lambda done: done.tpot_s[done.output_tokens > 1]),
            "client TPOT",
        ),
        {
            "median": Row(91, "client TPOT p50 [ms]", ",.2f"),
            "p99": Row(92, "client TPOT p99 [ms]", ",.2f"),
        },
    ),
    (
        Latency(
            "client_itl",
            "gap between two chunks of a request, pooled over all gaps; absent if engines send one chunk "
            "per step",
            _gaps,
            "client ITL",
        ),
        {"p99": Row(93, "client ITL p99 [ms]", ",.1f")},
    ),
)
"""Latencies that clients see, and the lines of the run table that show their statistics."""

METRICS = (
    *(metric for latency, rows in LATENCIES for metric in metrics_of(latency, rows)),
    Metric(
        "chunks_per_request",
        "",
        "Mean number of chunks in which a request is answered; absent if engines send one chunk per "
        "step.",
        _chunks_per_request,
        label="chunks per request",
    ),
    Metric(
        "tokens_per_chunk",
        "tokens",
        "Mean number of tokens per chunk of an answer; absent if engines send one chunk per step.",
        _tokens_per_chunk,
        label="tokens per chunk",
    ),
)
