"""Formats of recorded traces: how each format is recognised, and its reader.

A new format is a reader in its own file and an entry in `FORMATS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal, get_args

import numpy as np

from cluster_sim.workload.traces.archives import documents
from cluster_sim.workload.traces.bailian import bailian_batches, is_bailian
from cluster_sim.workload.traces.client_formats import CLIENT_FORMATS
from cluster_sim.workload.traces.clock import NUMBER_UNITS, TIME_UNITS
from cluster_sim.workload.traces.known_names import known_columns, mapping
from cluster_sim.workload.traces.llmservingsim import llmservingsim_batches, llmservingsim_sessions
from cluster_sim.workload.traces.mooncake import mooncake_batches
from cluster_sim.workload.traces.recorded import RecordedSession
from cluster_sim.workload.traces.refusals import missing_columns, unknown_format
from cluster_sim.workload.traces.rows import Batch, in_batches
from cluster_sim.workload.traces.servegen import is_servegen, servegen_batches
from cluster_sim.workload.traces.source import Beginning, TraceFormat, TraceSource
from cluster_sim.workload.traces.summaries import refuse_run_folder, refuse_summaries, refuse_tables
from cluster_sim.workload.traces.table_layouts import LAYOUTS
from cluster_sim.workload.traces.tables import any_table_batches, table_batches
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
    "table",
]


def _table(name: str) -> TraceFormat:
    """Return the format of a table with the columns of a layout."""
    layout = LAYOUTS[name]
    return TraceFormat(
        lambda begun: begun.has_alike(*layout.columns),
        lambda source, rng: table_batches(source, layout),
        units=TIME_UNITS,
        names=layout.columns,
        links_turns=lambda begun: layout.session is not None and begun.has_alike(layout.session),
        records_failures=name == "burstgpt",
    )


def _rows(recognises: Callable[[Beginning], bool]) -> Callable[[Beginning], bool]:
    """Return a test whether a file is recognised and has rows with keys: JSON, or Parquet."""
    return lambda begun: begun.kind != "table" and recognises(begun)


def _weka(source: TraceSource, rng: np.random.Generator) -> Iterator[Batch]:
    rows = weka_rows(documents(source.path), source)
    return in_batches(rows, source.place)


def _weka_sessions(source: TraceSource) -> Iterator[RecordedSession]:
    sessions = weka_sessions(documents(source.path), source)
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
        units=NUMBER_UNITS,
        names=("requests", "block_size"),
    ),
    "llmservingsim": TraceFormat(
        lambda begun: begun.has("input_toks") or begun.has("sub_requests"),
        lambda source, rng: llmservingsim_batches(source),
        llmservingsim_sessions,
        links_turns=lambda begun: begun.has("sub_requests"),
        units=NUMBER_UNITS,
        names=("arrival_time_ns", "input_toks", "output_toks"),
        has_times=lambda begun: not begun.has("sub_requests"),
    ),
    "bailian": TraceFormat(
        _rows(is_bailian),
        lambda source, rng: bailian_batches(source),
        units=NUMBER_UNITS,
        names=("timestamp", "input_length", "output_length", "chat_id"),
        links_turns=lambda begun: begun.has("chat_id"),
    ),
    **CLIENT_FORMATS,
    "mooncake": TraceFormat(
        _rows(lambda begun: begun.has("input_length")),
        lambda source, rng: mooncake_batches(source),
        units=NUMBER_UNITS,
        names=("timestamp", "input_length", "output_length"),
    ),
    "table": TraceFormat(
        lambda begun: known_columns(begun.names) is not None,
        lambda source, rng: any_table_batches(source),
        units=TIME_UNITS,
    ),
    "servegen": TraceFormat(
        _never,
        lambda source, rng: servegen_batches(source.path, source.place, rng, source.start_s),
        begins_at_zero=True,
    ),
}
"""Formats by name; a file has the first format whose `recognises` accepts its beginning."""
assert set(FORMATS) == set(get_args(Format))


def recognised(path: str, begun: Beginning | None) -> str:
    """Return the name of the format that the content has.

    `begun` is the beginning of the file; None for a folder or an archive. Raises ScenarioError if the
    content has no known format.
    """
    if begun is None:
        refuse_run_folder(path)
        if is_servegen(path):
            return "servegen"
        refuse_tables(path)
        return "weka"
    refuse_summaries(begun)
    for name, format_ in FORMATS.items():
        if format_.recognises(begun):
            return name
    known = {name: format_.names for name, format_ in FORMATS.items() if name != "table"}
    raise unknown_format(path, begun, known)


def refuse_unlike(path: str, begun: Beginning | None, name: str) -> None:
    """Raise ScenarioError if a file has no column or key of the given format."""
    names = FORMATS[name].names
    if not names or begun is None:
        return
    if FORMATS[name].recognises(begun) or any(begun.has_alike(own) for own in names):
        return
    expected = f"{','.join(names)}, or no format and {mapping(begun.leaves)}"
    raise missing_columns(path, begun, names, expected)
