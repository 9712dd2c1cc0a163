"""Reader of AIPerf's profile_export.jsonl, which has one record per request.

Times are whole nanoseconds since 1970. The length of a prompt includes the history of its
conversation, and the length of an answer includes its reasoning. Source: ai-dynamo/aiperf at
017c63d, src/aiperf/common/models/record_models.py (MetricRecordMetadata) and
inference_result_parser.py (compute_input_token_count); docs/tutorials/working-with-profile-exports.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from cluster_sim.errors import shown
from cluster_sim.workload.traces.client_rows import (
    has_later_turns,
    in_time_order,
    links_of,
    without,
)
from cluster_sim.workload.traces.json_rows import KeyedRow, KeyedRows, keyed_batches
from cluster_sim.workload.traces.rows import Batch, batch_of_columns, numbers, tokens
from cluster_sim.workload.traces.session_numbers import SessionNumbers
from cluster_sim.workload.traces.source import Beginning, TraceSource
from cluster_sim.workload.traces.stamps import Stamps

_OUTPUTS = ("output_sequence_length", "output_token_count")
"""Metrics with the length of an answer; the second one excludes reasoning."""
_USED = ("input_sequence_length", *_OUTPUTS, "error_isl")
_PHASES = ("warmup", "profiling")
"""Known phases of a benchmark; records of other phases are replayed with a note."""
_EXPECTED = '{"metadata": {"request_start_ns": ns, "request_end_ns": ns}, "metrics": {"input_sequence_length": {"value": tokens}, "output_sequence_length": {"value": tokens}}, "error": null}'


class _Record(NamedTuple):
    """Part of a record that is needed for a replay."""

    start_ns: int
    """Time at which the request was sent, since 1970 [ns]."""
    end_ns: int
    """Time at which the request ended, since 1970 [ns]."""
    prompt: Any
    """Length of the prompt [tokens], not checked yet."""
    output: Any
    """Length of the answer [tokens], not checked yet."""
    session: int
    """Number of the conversation; -1 for none."""
    has_failed: bool
    """Whether the request failed or was cancelled."""
    is_warmup: bool
    """Whether the request is part of the warm-up."""


def is_aiperf_records(begun: Beginning) -> bool:
    """Return whether a file has records of AIPerf."""
    return begun.has("metadata", "metrics")


def links_aiperf_records(begun: Beginning) -> bool:
    """Return whether records belong to conversations of several turns."""
    return has_later_turns(begun.path)


def aiperf_record_batches(source: TraceSource) -> Iterator[Batch]:
    """Yield the requests of the benchmark in order of time, without warm-up and failures.

    Raises ScenarioError with the line of a record that is malformed.
    """
    sessions, times = SessionNumbers(), Stamps(source, "request_start_ns", "ns")
    metrics: dict[str, None] = {}
    phases: dict[str, None] = {}

    def batch_of(keyed: KeyedRows) -> Batch:
        rows = []
        for row in keyed.rows:
            rows.append(_record(row, sessions))
            metrics.update(dict.fromkeys(row["metrics"]))
            phases[str(row["metadata"].get("benchmark_phase", _PHASES[1]))] = None
        starts_ns, ends_ns, prompts, outputs, session, failed, warmup = zip(*rows, strict=True)
        batch = batch_of_columns(
            times.seconds(_whole(starts_ns), keyed.lines),
            tokens(prompts),
            tokens(outputs),
            None,
            keyed.lines,
            links_of(session, times.also_seconds(_whole(ends_ns))),
        )
        return without(batch, np.array(failed), np.array(warmup), source.tally)

    yield from in_time_order(keyed_batches(source.path, source.place, batch_of, _EXPECTED))
    source.tally.note_unused(name for name in metrics if name not in _USED)
    for phase in phases:
        if phase not in _PHASES:
            source.tally.note(
                f"records of the unknown benchmark_phase {shown(phase)} are replayed like those of profiling"
            )


def _record(row: KeyedRow, sessions: SessionNumbers) -> _Record:
    """Return the part of a record for a replay. Raises one of MALFORMED if it is malformed."""
    metadata, metrics = row["metadata"], row["metrics"]
    has_failed = row.get("error") is not None or bool(metadata.get("was_cancelled"))
    is_warmup = metadata.get("benchmark_phase") == _PHASES[0]
    prompt = output = 0
    if not (has_failed or is_warmup):
        prompt = metrics["input_sequence_length"]["value"]
        output = _output(metrics)
    return _Record(
        metadata["request_start_ns"],
        metadata["request_end_ns"],
        prompt,
        output,
        sessions.of(metadata.get("x_correlation_id")),
        has_failed,
        is_warmup,
    )


def _output(metrics: Mapping[str, Any]) -> Any:
    name = next((name for name in _OUTPUTS if name in metrics), _OUTPUTS[0])
    return metrics[name]["value"]


def _whole(stamps: tuple[Any, ...]) -> np.ndarray:
    """Return whole nanoseconds. Raises ValueError if a value is not a whole number."""
    column = numbers(stamps)
    if column.dtype != np.int64:
        raise ValueError
    return column
