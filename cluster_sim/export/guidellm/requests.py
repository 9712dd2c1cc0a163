"""Statistics of single requests, and of the client's scheduler, in GuideLLM's report."""

from __future__ import annotations

from typing import Any

import numpy as np

from cluster_sim.export.guidellm.columns import Columns
from cluster_sim.export.guidellm.distributions import summary

_COMPLETION = {"successful": "completed", "incomplete": "cancelled", "errored": "errored"}
"""Status of a request in the client's scheduler, by status in the report."""
_SENT = (
    "targeted_start",
    "queued",
    "dequeued",
    "scheduled_at",
    "resolve_start",
    "request_start",
)
"""Names of times that equal the start of a request, since a simulated client causes no delay."""
_DELAYS = (
    "queued_time_avg",
    "resolve_start_delay_avg",
    "resolve_targeted_start_delay_avg",
    "request_start_delay_avg",
    "request_targeted_start_delay_avg",
    "resolve_end_delay_avg",
    "finalized_delay_avg",
    "processed_delay_avg",
)
"""Names of delays of the client, which are 0."""


def scheduler_state(columns: Columns) -> dict[str, Any]:
    """Return the counts of the client's scheduler at the end of the run."""
    counts = columns.counts()
    return {
        "node_id": 0,
        "num_processes": 1,
        "start_time": columns.began_s,
        "end_time": columns.ended_s,
        "created_requests": counts["total"],
        "queued_requests": 0,
        "pending_requests": 0,
        "processing_requests": 0,
        "processed_requests": counts["total"],
        "successful_requests": counts["successful"],
        "errored_requests": counts["errored"],
        "cancelled_requests": counts["incomplete"],
    }


def scheduler_metrics(columns: Columns) -> dict[str, Any]:
    """Return the times of the client's scheduler, whose delays are 0."""
    times_s = columns.end_s - columns.start_s
    mean_s = float(np.mean(times_s)) if len(times_s) else 0.0
    return {
        "start_time": columns.began_s,
        "request_start_time": columns.began_s,
        "measure_start_time": columns.began_s,
        "measure_end_time": columns.ended_s,
        "request_end_time": columns.ended_s,
        "end_time": columns.ended_s,
        "requests_made": columns.counts(),
        "generation_delay": summary(np.empty(0)),
        **dict.fromkeys(_DELAYS, 0.0),
        "request_time_avg": mean_s,
        "resolve_time_avg": mean_s,
        "dataset_incomplete": False,
    }


def requests(columns: Columns, status: str) -> list[dict[str, Any]]:
    """Return the statistics of each request with this status."""
    rows = np.nonzero(columns.of(status))[0].tolist()
    return [_request(columns, row, status) for row in rows]


def _request(columns: Columns, row: int, status: str) -> dict[str, Any]:
    start_s, end_s = float(columns.start_s[row]), float(columns.end_s[row])
    prompt, output = int(columns.answers.prompt_tokens[row]), int(columns.output[row])
    cached = int(columns.answers.prefix_hit_tokens[row])
    identity = str(columns.answers.number[row])
    return {
        "type_": "generative_request_stats",
        "request_id": identity,
        "response_id": None,
        "request_args": None,
        "output": None,
        "info": {
            "request_id": identity,
            "status": _COMPLETION[status],
            "scheduler_node_id": 0,
            "scheduler_process_id": 0,
            "scheduler_start_time": columns.began_s,
            "timings": _timings(columns, row),
            "error": "rejected" if status == "errored" else None,
        },
        "input_metrics": {"text_tokens": prompt, "cached_tokens": cached},
        "output_metrics": {"text_tokens": output},
        "request_start_time": start_s,
        "request_end_time": end_s,
        "request_latency": end_s - start_s,
        "prompt_tokens": prompt,
        "cached_tokens": cached,
        "output_tokens": output,
        "total_tokens": prompt + output,
        **_speeds(columns, row),
    }


def _timings(columns: Columns, row: int) -> dict[str, Any]:
    """Return the times of the start, the tokens and the end of a request [s]."""
    start_s, end_s = float(columns.start_s[row]), float(columns.end_s[row])
    first_s, chunks = _known(columns.first_s[row]), int(columns.chunks[row])
    last_s = None if first_s is None else float(columns.last_s[row])
    return {
        **dict.fromkeys(_SENT, start_s),
        "first_request_iteration": first_s,
        "first_token_iteration": first_s,
        "first_output_token_iteration": _known(columns.first_output_s[row]),
        "last_token_iteration": last_s,
        "last_request_iteration": last_s,
        "request_iterations": chunks,
        "token_iterations": chunks,
        "request_end": end_s,
        "resolve_end": end_s,
        "finalized": end_s,
    }


def _speeds(columns: Columns, row: int) -> dict[str, Any]:
    """Return latencies [ms] and rates [tokens/s] of a request; None for a missing value."""
    start_s, end_s = float(columns.start_s[row]), float(columns.end_s[row])
    first_s, first_output_s = _known(columns.first_s[row]), float(columns.first_output_s[row])
    prompt, output = int(columns.answers.prompt_tokens[row]), int(columns.output[row])
    chunks, latency_s = int(columns.chunks[row]), end_s - start_s
    has_first = first_s is not None
    return {
        "time_to_first_token_ms": None if first_s is None else 1e3 * (first_s - start_s),
        "time_to_first_output_token_ms": 1e3 * (first_output_s - start_s) if has_first else None,
        "time_per_output_token_ms": 1e3 * latency_s / output if output else None,
        "inter_token_latency_ms": 1e3 * (end_s - first_s) / (output - 1)
        if output > 1 and first_s is not None
        else None,
        "tokens_per_second": (prompt + output) / latency_s if latency_s else None,
        "output_tokens_per_second": output / latency_s if latency_s else None,
        "iter_tokens_per_iteration": (output - 1) / (chunks - 1)
        if output > 1 and chunks > 1
        else None,
        "output_tokens_per_iteration": output / chunks if chunks else None,
    }


def _known(value: Any) -> float | None:
    return float(value) if value == value else None
