"""Reader of results of `vllm bench serve --save-result --save-detailed`: lists in one object.

Times are seconds of the client's process clock. A failed request has an error, a prompt and no
answer. With `--append-result` a file has one object per line. Source: vllm-project/vllm,
vllm/benchmarks/serve.py; pull request 32667 of January 2026 added `start_times`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from cluster_sim.errors import ScenarioError
from cluster_sim.workload.traces.client_rows import in_time_order, starts_s, without
from cluster_sim.workload.traces.csv_rows import read_or_fault
from cluster_sim.workload.traces.documents import parsed, whole_text
from cluster_sim.workload.traces.files import opened
from cluster_sim.workload.traces.json_rows import MALFORMED
from cluster_sim.workload.traces.rows import Batch, batch_of_columns, tokens
from cluster_sim.workload.traces.source import Beginning, TraceSource
from cluster_sim.workload.traces.stamps import Stamps

_NEEDED = ("input_lens", "output_lens", "start_times")
_LISTS = (*_NEEDED, "errors")
_KNOWN_BY = (
    ("request_throughput", "duration", "completed"),
    ("input_lens", "output_lens"),
    ("num_prompts", "request_rate", "total_input_tokens"),
)
_EXPECTED = "input_lens and output_lens of whole tokens, start_times in s, errors of texts"


def is_vllm_bench(begun: Beginning) -> bool:
    """Return whether a file is a result of vLLM's benchmark, with or without single requests."""
    return any(begun.has(*names) for names in _KNOWN_BY)


def vllm_bench_batches(source: TraceSource) -> Iterator[Batch]:
    """Yield the answered requests of a result in order of time.

    Raises ScenarioError if a file has several results, or a result lacks lists for a replay.
    """
    result = _result(source)
    columns = _columns(result, source)
    source.place.name_rows(lambda row: f"{source.path}, request {row}")
    lines = np.arange(1, len(columns["start_times"]) + 1)
    if not len(lines):
        raise ScenarioError.at(source.path, "has no requests")
    times = Stamps(source, "start_times", "s")

    def read(count: int) -> Batch:
        prompts, outputs, starts = (columns[name][:count] for name in _NEEDED)
        try:
            return batch_of_columns(
                starts_s(times, starts, lines[:count]),
                tokens(prompts),
                tokens([0 if each is None else each for each in outputs]),
                None,
                lines[:count],
            )
        except MALFORMED:
            raise ValueError from None

    batch, fault = read_or_fault(read, len(lines))
    if batch is None:
        values = {name: columns[name][fault] for name in _NEEDED}
        source.place.refuse_text(str(values), _EXPECTED, fault + 1)
    has_error = np.array([bool(error) for error in columns["errors"]], dtype=bool)
    failed = has_error | (batch.output < 1)
    source.tally.note_unused(
        name
        for name, value in result.items()
        if isinstance(value, list) and name not in _LISTS and len(value) == len(lines)
    )
    if result.get("max_concurrency") is not None:
        source.tally.note(
            f"at most {result['max_concurrency']} requests ran concurrently (max_concurrency), so start_times depend on the speed of the measured server"
        )
    yield from in_time_order([without(batch, failed, np.zeros_like(failed), source.tally)])


def _result(source: TraceSource) -> Mapping[str, Any]:
    """Return the only result of a file. Raises ScenarioError if there is not exactly one."""
    with opened(source.path, has_lines=False) as text:
        content = whole_text(text, source.path)
    try:
        results = [parsed(content)]
    except (ValueError, RecursionError) as fault:
        lines = [line for line in content.splitlines() if line.strip()]
        try:
            results = [parsed(line) for line in lines]
        except (ValueError, RecursionError):
            line_number = getattr(fault, "lineno", 1)
            raise ScenarioError.at(
                f"{source.path}:{line_number}", f"is not valid JSON: {fault}"
            ) from None
    if len(results) != 1:
        raise ScenarioError.at(
            source.path,
            f"has {len(results)} results (--append-result); expected one: split the file with `split -l 1 FILE` and replay one of the parts",
        )
    if not isinstance(results[0], dict):
        raise ScenarioError.at(
            source.path, "is not a JSON object; expected a result of vllm bench serve"
        )
    return results[0]


def _columns(result: Mapping[str, Any], source: TraceSource) -> dict[str, list[Any]]:
    """Return the lists of a result that a replay needs.

    Raises ScenarioError if a list is missing, or if lists differ in length.
    """
    lists = {name: result[name] for name in _LISTS if isinstance(result.get(name), list)}
    if "start_times" not in lists and "input_lens" in lists and "output_lens" in lists:
        raise ScenarioError.at(
            source.path,
            "has no start_times; expected a result of vLLM with pull request 32667 (January 2026) or later",
        )
    if missing := [name for name in _NEEDED if name not in lists]:
        raise ScenarioError.at(
            source.path,
            f"is a result of vllm bench serve without {', '.join(missing)}; run it with --save-detailed",
        )
    if result.get("errors") is not None and "errors" not in lists:
        raise ScenarioError.at(
            source.path, "has errors that are not a list; expected one entry per request"
        )
    lists.setdefault("errors", [""] * len(lists["start_times"]))
    if len({len(column) for column in lists.values()}) != 1:
        lengths = ", ".join(f"{name} {len(column)}" for name, column in lists.items())
        raise ScenarioError.at(
            source.path,
            f"has lists of different lengths ({lengths}); expected one entry per request",
        )
    return lists
