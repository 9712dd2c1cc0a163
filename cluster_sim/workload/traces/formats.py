"""The formats of recorded traces: by what each is known, and what reads it.

A new format is a reader of its own file and an entry here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

import numpy as np

from cluster_sim.errors import ScenarioError
from cluster_sim.workload.traces.archives import documents, is_archive
from cluster_sim.workload.traces.bailian import bailian_batches, is_bailian
from cluster_sim.workload.traces.client_formats import CLIENT_FORMATS
from cluster_sim.workload.traces.files import opened
from cluster_sim.workload.traces.llmservingsim import llmservingsim_batches, llmservingsim_sessions
from cluster_sim.workload.traces.mooncake import mooncake_batches
from cluster_sim.workload.traces.recognise import beginning
from cluster_sim.workload.traces.recorded import RecordedSession
from cluster_sim.workload.traces.rows import Batch, in_batches
from cluster_sim.workload.traces.servegen import is_servegen, servegen_batches
from cluster_sim.workload.traces.source import Beginning, TraceFormat, TraceSource
from cluster_sim.workload.traces.summaries import refuse_run_folder, refuse_summaries
from cluster_sim.workload.traces.tables import LAYOUTS, table_batches
from cluster_sim.workload.traces.weka import looks_like_weka, weka_rows, weka_sessions

Format = Literal[
    "azure",
    "burstgpt",
    "vidur",
    "splitwise",
    "mooncake",
    "bailian",
    "aiperf",
    "servegen",
    "weka",
    "llmservingsim",
    "vllm-bench",
    "guidellm",
    "inference-perf",
    "sharegpt",
    "blis",
    "cluster-sim",
]

_EXPECTED = "azure, burstgpt, vidur or splitwise CSV, mooncake, bailian, aiperf or llmservingsim JSON lines, weka sessions, or a folder of servegen clients"


def _table(name: str) -> TraceFormat:
    """Return the format of a CSV file with these columns."""

    def batches(source: TraceSource, rng: np.random.Generator) -> Iterator[Batch]:
        with opened(source.path) as text:
            yield from table_batches(text, source.place, LAYOUTS[name])

    return TraceFormat(
        lambda begun: begun.kind == "table" and begun.has(*LAYOUTS[name].columns),
        batches,
        records_failures=name == "burstgpt",
    )


def _weka(source: TraceSource, rng: np.random.Generator) -> Iterator[Batch]:
    rows = weka_rows(documents(source.path), source.place, source.tally)
    return in_batches(rows, source.place)


def _weka_sessions(source: TraceSource) -> Iterator[RecordedSession]:
    sessions = weka_sessions(documents(source.path), source.place, source.tally)
    return (recorded for recorded, _ in sessions)


def _never(begun: Beginning) -> bool:
    """Return False: a folder has no beginning."""
    return False


FORMATS: dict[str, TraceFormat] = {
    "azure": _table("azure"),
    "burstgpt": _table("burstgpt"),
    "vidur": _table("vidur"),
    "splitwise": _table("splitwise"),
    "weka": TraceFormat(
        lambda begun: looks_like_weka(begun.first),
        _weka,
        _weka_sessions,
        links_turns=lambda begun: True,
    ),
    "llmservingsim": TraceFormat(
        lambda begun: begun.has("input_toks") or begun.has("sub_requests"),
        lambda source, rng: llmservingsim_batches(source),
        llmservingsim_sessions,
        links_turns=lambda begun: begun.has("sub_requests"),
        has_times=lambda begun: not begun.has("sub_requests"),
    ),
    "bailian": TraceFormat(
        is_bailian,
        lambda source, rng: bailian_batches(source),
        links_turns=lambda begun: begun.has("chat_id"),
    ),
    **CLIENT_FORMATS,
    "mooncake": TraceFormat(
        lambda begun: begun.has("input_length"), lambda source, rng: mooncake_batches(source)
    ),
    "servegen": TraceFormat(
        _never,
        lambda source, rng: servegen_batches(source.path, source.place, rng, source.start_s),
        begins_at_zero=True,
    ),
}
"""Formats by name; a file has the first whose `recognises` knows its beginning."""
assert set(FORMATS) == set(get_args(Format))


def recognised(path: str) -> str:
    """Return the name of the format that the content looks like.

    Raises ScenarioError where it looks like none of those that are known.
    """
    if is_archive(path):
        refuse_run_folder(path)
        return "servegen" if is_servegen(path) else "weka"
    begun = beginning(path)
    refuse_summaries(begun)
    for name, format_ in FORMATS.items():
        if format_.recognises(begun):
            return name
    raise ScenarioError.at(f"{path}:1", f"is of no known format; expected {_EXPECTED}")
