"""Formats of the files of benchmark clients, and of the tables of this project."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cluster_sim.workload.traces.aiperf_records import (
    aiperf_record_batches,
    is_aiperf_records,
    links_aiperf_records,
)
from cluster_sim.workload.traces.aiperf_rows import aiperf_row_batches, is_aiperf_rows
from cluster_sim.workload.traces.blis import blis_batches, is_blis, links_blis
from cluster_sim.workload.traces.clock import NUMBER_UNITS
from cluster_sim.workload.traces.guidellm_report import (
    guidellm_batches,
    is_guidellm,
    links_guidellm,
)
from cluster_sim.workload.traces.inference_perf import inference_perf_batches, is_inference_perf
from cluster_sim.workload.traces.own_tables import is_own_table, own_table_batches
from cluster_sim.workload.traces.recognise import beginning
from cluster_sim.workload.traces.rows import Batch
from cluster_sim.workload.traces.sharegpt import is_sharegpt, sharegpt_batches
from cluster_sim.workload.traces.source import Beginning, TraceFormat, TraceSource
from cluster_sim.workload.traces.vllm_bench import is_vllm_bench, vllm_bench_batches


def _aiperf(source: TraceSource, rng: np.random.Generator) -> Iterator[Batch]:
    """Yield the requests of AIPerf's input or of its results."""
    if is_aiperf_records(beginning(source.path)):
        return aiperf_record_batches(source)
    return aiperf_row_batches(source)


def _links_aiperf(begun: Beginning) -> bool:
    return not is_aiperf_records(begun) or links_aiperf_records(begun)


CLIENT_FORMATS: dict[str, TraceFormat] = {
    "aiperf": TraceFormat(
        lambda begun: begun.kind != "table" and (is_aiperf_records(begun) or is_aiperf_rows(begun)),
        _aiperf,
        links_turns=_links_aiperf,
        has_times=is_aiperf_records,
        units=NUMBER_UNITS,
        names=("timestamp", "input_length", "output_length", "session_id"),
    ),
    "vllm-bench": TraceFormat(
        is_vllm_bench,
        lambda source, rng: vllm_bench_batches(source),
        units=NUMBER_UNITS,
        names=("input_lens", "output_lens", "start_times"),
    ),
    "guidellm": TraceFormat(
        is_guidellm,
        lambda source, rng: guidellm_batches(source),
        links_turns=links_guidellm,
        units=NUMBER_UNITS,
    ),
    "inference-perf": TraceFormat(
        is_inference_perf,
        lambda source, rng: inference_perf_batches(source),
        units=NUMBER_UNITS,
    ),
    "sharegpt": TraceFormat(
        is_sharegpt,
        lambda source, rng: sharegpt_batches(source),
        links_turns=lambda begun: True,
        has_times=lambda begun: False,
        begins_at_zero=True,
        is_text=True,
    ),
    "blis": TraceFormat(
        is_blis,
        lambda source, rng: blis_batches(source),
        links_turns=links_blis,
        units=NUMBER_UNITS,
        names=("arrival_time_us", "input_tokens", "output_tokens"),
    ),
    "cluster-sim": TraceFormat(
        is_own_table,
        lambda source, rng: own_table_batches(source),
        names=("arrival_s", "prompt_tokens", "output_tokens"),
    ),
}
"""Formats by name; the beginning of a file distinguishes them from all other formats."""
