"""Reader of inference-perf's per_request_lifecycle_metrics.json, a list of sent requests.

Times are seconds of the client's process clock. Newer versions have the lengths in
`request_metrics.text` and `response_metrics`. Source: kubernetes-sigs/inference-perf at 03e89d4 and
3ee0d71, inference_perf/apis/base.py (InferenceInfo), and the report `per_request` of reportgen.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from cluster_sim.workload.traces.client_rows import in_time_order, starts_s, without
from cluster_sim.workload.traces.json_rows import KeyedRow, KeyedRows, keyed_batches
from cluster_sim.workload.traces.rows import Batch, batch_of_columns, tokens
from cluster_sim.workload.traces.source import Beginning, TraceSource
from cluster_sim.workload.traces.stamps import Stamps

_KEYS = ("start_time", "end_time", "info", "error")
_EXPECTED = '{"start_time": s, "end_time": s, "info": {"input_tokens": tokens, "output_tokens": tokens}, "error": null}'


def is_inference_perf(begun: Beginning) -> bool:
    """Return whether a file is a list of requests of inference-perf."""
    return begun.has("start_time", "end_time", "info")


def inference_perf_batches(source: TraceSource) -> Iterator[Batch]:
    """Yield the answered requests in order of time.

    Raises ScenarioError with the line of a request that is malformed.
    """
    keys: dict[str, None] = {}
    times = Stamps(source, "start_time", "s")

    def batch_of(keyed: KeyedRows) -> Batch:
        starts, prompts, outputs, failed = [], [], [], []
        for row in keyed.rows:
            has_failed = row.get("error") is not None or row.get("info") is None
            prompt, output = (0, 0) if has_failed else _lengths(row)
            starts.append(row["start_time"])
            prompts.append(prompt)
            outputs.append(output)
            failed.append(has_failed)
        time_s = starts_s(times, starts, keyed.lines)
        batch = batch_of_columns(time_s, tokens(prompts), tokens(outputs), None, keyed.lines)
        has_failed_ = np.array(failed, dtype=bool)
        return without(batch, has_failed_, np.zeros_like(has_failed_), source.tally)

    batches = keyed_batches(source.path, source.place, batch_of, _EXPECTED, keys)
    yield from in_time_order(batches)
    source.tally.note_unused(key for key in keys if key not in _KEYS)


def _lengths(row: KeyedRow) -> tuple[Any, Any]:
    """Return the lengths of prompt and answer of a request [tokens].

    Raises one of MALFORMED if a length is missing.
    """
    info = row["info"]
    prompt = info.get("input_tokens")
    if prompt is None:
        prompt = info["request_metrics"]["text"]["input_tokens"]
    output = info.get("output_tokens")
    if output is None:
        output = info["response_metrics"]["output_tokens"]
    return prompt, output
