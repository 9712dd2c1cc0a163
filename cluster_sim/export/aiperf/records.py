"""Writer of AIPerf's profile_export.jsonl, with one line per request."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from cluster_sim.export.aiperf.metrics import RECORDS
from cluster_sim.export.benchmark import nanoseconds
from cluster_sim.export.client_view import Answers
from cluster_sim.typing import Array


def records(answers: Answers, *, detailed: bool = False) -> Iterator[str]:
    """Yield one line per sent request.

    With `detailed`, a line has the gaps between the chunks of the answer.
    """
    columns = columns_of_done(answers)
    rows = iter(range(len(answers.of_done.arrival_s)))
    for place, is_done in enumerate(answers.done.tolist()):
        metrics: dict[str, Any] = {}
        if is_done:
            row = next(rows)
            metrics = {
                tag: {"value": column[row].item(), "unit": RECORDS[tag].unit}
                for tag, column in columns.items()
                if column[row] == column[row]
            }
            if detailed and len(gaps_s := answers.times.gaps_s(row)):
                metrics["inter_chunk_latency"] = {"value": (1e3 * gaps_s).tolist(), "unit": "ms"}
        else:
            metrics["error_isl"] = {"value": int(answers.prompt_tokens[place]), "unit": "tokens"}
        failure = answers.failure(place)
        error = None if failure is None else {"type": "SimulatedError", "message": failure}
        yield json.dumps(
            {"metadata": _metadata(answers, place), "metrics": metrics, "error": error}
        )


def _metadata(answers: Answers, place: int) -> dict[str, Any]:
    number = int(answers.number[place])
    return {
        "session_num": number,
        "x_request_id": str(number),
        "request_start_ns": nanoseconds(answers.arrival_s[place]),
        "request_end_ns": nanoseconds(answers.ended_s[place]),
        "worker_id": "cluster-sim",
        "record_processor_id": "cluster-sim",
        "benchmark_phase": "profiling",
        "was_cancelled": bool(answers.cut_off[place]),
    }


def columns_of_done(answers: Answers) -> dict[str, Array]:
    """Return the metrics of finished requests as columns by tag; NaN for a missing value."""
    done = answers.of_done
    later = done.output_tokens - answers.first_tokens
    several = answers.times.chunks > 1
    with np.errstate(divide="ignore", invalid="ignore"):
        tpot_s = np.where(later > 0, (done.finish_s - done.first_token_s) / later, np.nan)
        second_s = [
            answers.times.gaps_s(row)[0] if has_second else np.nan
            for row, has_second in enumerate(several.tolist())
        ]
        columns: dict[str, Array] = {
            "time_to_first_token": 1e3 * done.ttft_s,
            "time_to_second_token": 1e3 * np.array(second_s),
            "time_to_first_output_token": 1e3
            * (done.ttft_s if done.ttfo_s is None else done.ttfo_s),
            "request_latency": 1e3 * done.e2el_s,
            "inter_token_latency": 1e3 * tpot_s,
            "output_token_throughput_per_user": np.where(tpot_s > 0, 1 / tpot_s, np.nan),
            "prefill_throughput_per_user": np.where(
                done.ttft_s > 0, done.prompt_tokens / done.ttft_s, np.nan
            ),
            "input_sequence_length": done.prompt_tokens,
            "output_sequence_length": done.output_tokens,
            "output_token_count": done.output_tokens
            if done.reasoning_tokens is None
            else done.output_tokens - done.reasoning_tokens,
        }
    if done.reasoning_tokens is not None:
        columns["reasoning_token_count"] = done.reasoning_tokens
    return columns
