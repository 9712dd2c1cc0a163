"""Metrics of a benchmark in GuideLLM's report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cluster_sim.export.guidellm.columns import Columns, TimedTokens
from cluster_sim.export.guidellm.distributions import concurrency, rates, summary
from cluster_sim.typing import Array

_MEDIA = {
    "text": ("tokens", "words", "characters"),
    "image": ("tokens", "images", "pixels", "bytes"),
    "video": ("tokens", "frames", "seconds", "bytes"),
    "audio": ("tokens", "samples", "seconds", "bytes"),
    "tool_call": ("tokens", "mixed_tokens", "count"),
}
"""Metrics of media, which simulated requests do not have."""


def metrics(columns: Columns) -> dict[str, Any]:
    """Return all metrics; most are distributions by status."""
    return {
        "request_totals": columns.counts(),
        **_of_requests(columns),
        **_of_tokens(columns),
        **_of_latency(columns),
        **_of_rates(columns),
        **{kind: dict.fromkeys(parts) for kind, parts in _MEDIA.items()},
        "turns": None,
        **_of_objectives(columns),
    }


def _of(
    columns: Columns, values: Array, weights: Array | None = None, among: Array | None = None
) -> dict[str, Any]:
    """Return the distribution of `values` by status, for the rows for which `among` is true."""

    def make(rows: Array) -> dict[str, Any]:
        rows = rows if among is None else rows[among[rows]]
        return summary(values[rows], None if weights is None else weights[rows].astype(float))

    return columns.each(make)


def _rate(columns: Columns, events: Callable[[Array], TimedTokens]) -> dict[str, Any]:
    """Return the distribution of a rate over time by status."""
    return columns.each(lambda rows: rates(*events(rows), columns.began_s, columns.ended_s))


def _of_requests(columns: Columns) -> dict[str, Any]:
    return {
        "requests_per_second": _rate(
            columns, lambda rows: TimedTokens(columns.end_s[rows], np.ones(len(rows)))
        ),
        "request_concurrency": columns.each(
            lambda rows: concurrency(
                columns.start_s[rows], columns.end_s[rows], columns.began_s, columns.ended_s
            )
        ),
        "request_latency": _of(columns, columns.end_s - columns.start_s),
        "request_dispatch_delay": None,
        "request_scheduled_latency": None,
        "turn_predecessor_delay": None,
        "turn_scheduling_delay": None,
        "root_dispatch_delay": None,
        "request_streaming_iterations_count": _of(columns, columns.chunks.astype(float)),
    }


def _of_tokens(columns: Columns) -> dict[str, Any]:
    prompts = columns.answers.prompt_tokens
    return {
        "prompt_token_count": _of(columns, prompts.astype(float)),
        "output_token_count": _of(columns, columns.output.astype(float)),
        "total_token_count": _of(columns, (prompts + columns.output).astype(float)),
    }


def _of_latency(columns: Columns) -> dict[str, Any]:
    """Return the latencies of the first token, per token and of a round trip, which is 0 [ms]."""
    latency_s = columns.end_s - columns.start_s
    has_first = columns.first_s == columns.first_s
    output = columns.output
    with np.errstate(divide="ignore", invalid="ignore"):
        each_s = np.where(output > 0, latency_s / output, 0.0)
        gap_s = np.where(
            output > 1, (columns.end_s - columns.first_s) / np.maximum(output - 1, 1), 0.0
        )
    ttft_ms = 1e3 * (columns.first_s - columns.start_s)
    ttfo_ms = 1e3 * (columns.first_output_s - columns.start_s)
    return {
        "time_to_first_token_ms": _of(columns, ttft_ms, None, has_first),
        "time_to_first_output_token_ms": _of(columns, ttfo_ms, None, has_first),
        "time_per_output_token_ms": _of(columns, 1e3 * each_s, output),
        "inter_token_latency_ms": _of(columns, 1e3 * gap_s, np.maximum(output - 1, 0), has_first),
        "time_to_last_round_trip_ms": _of(columns, 0.0 * latency_s),
        "avg_round_trip_time_ms": _of(columns, 0.0 * latency_s),
    }


def _of_rates(columns: Columns) -> dict[str, Any]:
    def prompts(rows: Array) -> TimedTokens:
        tokens = columns.answers.prompt_tokens[rows].astype(float)
        return TimedTokens(columns.first_seen_s(rows), tokens)

    return {
        "prompt_tokens_per_second": _rate(columns, prompts),
        "output_tokens_per_second": _rate(columns, columns.output_tokens),
        "tokens_per_second": _rate(columns, columns.all_tokens),
        "output_tokens_per_iteration": columns.each(
            lambda rows: summary(columns.output_tokens(rows).tokens)
        ),
        "iter_tokens_per_iteration": columns.each(lambda rows: summary(*columns.chunk_sizes(rows))),
    }


def _of_objectives(columns: Columns) -> dict[str, Any]:
    """Return the share and the rate of requests that meet the objectives."""
    good = columns.answers.good
    if good is None:
        return {"slo_attainment": None, "slo_determined_requests": 0, "request_goodput": None}
    determined = len(good) + int(np.sum(columns.of("errored")))
    attained = int(np.sum(good)) / determined if determined else None
    began_s, ended_s = columns.began_s, columns.ended_s
    finish_s = columns.answers.of_done.finish_s[good]
    met = rates(finish_s, np.ones(int(np.sum(good))), began_s, ended_s)
    none = rates(np.empty(0), np.empty(0), began_s, ended_s)
    return {
        "slo_attainment": attained,
        "slo_determined_requests": determined,
        "request_goodput": {
            "successful": met,
            "incomplete": none,
            "errored": none,
            "total": met,
        },
    }
