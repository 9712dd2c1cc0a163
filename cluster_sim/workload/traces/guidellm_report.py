"""Reader of GuideLLM's benchmarks.json: the requests of one benchmark, in seconds since 1970.

Reports of versions 1 and 2 (GuideLLM 0.4 and later) have the times of a request in `info.timings`,
older reports in `start_time` and `end_time`. The length of a prompt is counted by the server and
includes the history of its conversation. Source: vllm-project/guidellm at 1053a03 and 31c74ea,
src/guidellm/schemas/base/info.py and request_stats.py; for older reports
GenerativeTextResponseStats of 0.2 and 0.3.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from cluster_sim.errors import ScenarioError
from cluster_sim.workload.traces.client_rows import (
    ends_s,
    has_later_turns,
    in_time_order,
    links_of,
    starts_s,
)
from cluster_sim.workload.traces.documents import read_document
from cluster_sim.workload.traces.json_rows import MALFORMED
from cluster_sim.workload.traces.rows import NONE, Batch, batch_of_columns, tokens
from cluster_sim.workload.traces.session_numbers import SessionNumbers
from cluster_sim.workload.traces.source import Beginning, TraceSource
from cluster_sim.workload.traces.stamps import Stamps

_EXPECTED = '{"benchmarks": [{"requests": {"successful": [{"info": {"timings": {"request_start": s}}, "prompt_tokens": tokens, "output_tokens": tokens}]}}]}'
_KEYS = ("info", "prompt_tokens", "output_tokens", "input_metrics", "output_metrics", "type_")


def is_guidellm(begun: Beginning) -> bool:
    """Return whether a file is a report of GuideLLM."""
    return begun.has("benchmarks") and isinstance(begun.first["benchmarks"], list)


def links_guidellm(begun: Beginning) -> bool:
    """Return whether requests belong to conversations of several turns."""
    return has_later_turns(begun.path)


def guidellm_batches(source: TraceSource) -> Iterator[Batch]:
    """Yield the successful requests of a benchmark in order of time.

    Raises ScenarioError if the report has several benchmarks, or a request is malformed.
    """
    benchmark = _benchmark(source)
    try:
        requests = benchmark["requests"]
        successful = requests["successful"]
        if not isinstance(successful, list):
            raise TypeError
        lost = [len(requests.get(status) or ()) for status in ("errored", "incomplete")]
    except MALFORMED:
        raise ScenarioError.at(
            source.path, f"has no list of requests; expected {_EXPECTED}"
        ) from None
    if not successful and not any(lost):
        raise ScenarioError.at(source.path, "has no requests")
    source.tally.rows += sum(lost)
    source.tally.failed += sum(lost)
    source.place.name_rows(lambda row: f"{source.path}, request {row} of successful")
    if successful:
        yield from in_time_order([_batch(successful, source)])
        source.tally.note_unused(key for key in successful[0] if key not in _KEYS)


def _benchmark(source: TraceSource) -> Mapping[str, Any]:
    """Return the only benchmark of a report. Raises ScenarioError for several benchmarks."""
    document = read_document(source.path)
    benchmarks = document.get("benchmarks") if isinstance(document, dict) else None
    if not isinstance(benchmarks, list) or not all(isinstance(each, dict) for each in benchmarks):
        raise ScenarioError.at(source.path, f"is not a report of GuideLLM; expected {_EXPECTED}")
    if len(benchmarks) != 1:
        rates = ", ".join(_name(each) for each in benchmarks[:20])
        raise ScenarioError.at(
            source.path,
            f"has {len(benchmarks)} benchmarks ({rates}); expected one: keep one of `benchmarks` in a copy of the file",
        )
    only: Mapping[str, Any] = benchmarks[0]
    return only


def _name(benchmark: Mapping[str, Any]) -> str:
    """Return the request rate of a benchmark, or that it is unknown."""
    try:
        rate = benchmark["metrics"]["requests_per_second"]["successful"]["mean"]
        return f"{float(rate):.3g} requests/s"
    except MALFORMED:
        return "rate unknown"


def _batch(rows: list[Any], source: TraceSource) -> Batch:
    """Return all requests. Raises ScenarioError at a request that is malformed."""
    sessions, times = SessionNumbers(), Stamps(source, "request_start", "s")
    try:
        return _read(rows, np.arange(1, len(rows) + 1), times, sessions)
    except MALFORMED:
        batch = NONE
        for number, row in enumerate(rows, start=1):
            try:
                batch = batch.then(_read([row], np.array([number]), times, sessions))
            except MALFORMED:
                source.place.refuse_text(str(row)[:200], _EXPECTED, number)
        return batch


def _read(rows: list[Any], lines: np.ndarray, times: Stamps, sessions: SessionNumbers) -> Batch:
    """Return these requests. Raises one of MALFORMED if a request is malformed."""
    starts, ends, prompts, outputs, session = [], [], [], [], []
    for row in rows:
        info = row.get("info") or row.get("scheduler_info") or {}
        timings = info.get("timings") or info.get("request_timings") or {}
        starts.append(_first(timings, ("request_start", "resolve_start"), row.get("start_time")))
        ends.append(_first(timings, ("request_end", "resolve_end"), row.get("end_time")))
        prompts.append(_tokens(row, "prompt_tokens", "input_metrics"))
        outputs.append(_tokens(row, "output_tokens", "output_metrics"))
        session.append(sessions.of(info.get("conversation_id")))
    time_s = starts_s(times, starts, lines)
    if np.any(np.isnan(time_s)):
        raise ValueError
    links = links_of(session, ends_s(times, ends))
    return batch_of_columns(time_s, tokens(prompts), tokens(outputs), None, lines, links)


def _first(values: Mapping[str, Any], names: tuple[str, ...], otherwise: Any) -> Any:
    """Return the first existing value of these names, or `otherwise`."""
    return next((values[name] for name in names if values.get(name) is not None), otherwise)


def _tokens(row: Mapping[str, Any], key: str, metrics: str) -> Any:
    """Return a length of a request: the value of `key`, or of its metrics [tokens]."""
    if row.get(key) is not None:
        return row[key]
    return _first(row[metrics], ("total_tokens", "text_tokens"), None)
