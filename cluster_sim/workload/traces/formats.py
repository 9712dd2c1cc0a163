"""The formats of recorded traces: by what each is recognised, and what reads it.

A new format is a reader of its own file and an entry here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Literal, NamedTuple, get_args

import numpy as np
from orjson import loads

from cluster_sim.errors import ScenarioError
from cluster_sim.workload.traces.files import documents, is_archive, opened
from cluster_sim.workload.traces.llmservingsim import llmservingsim_rows, llmservingsim_sessions
from cluster_sim.workload.traces.mooncake import mooncake_batches
from cluster_sim.workload.traces.progress import Place, Tally
from cluster_sim.workload.traces.recorded import RecordedSession
from cluster_sim.workload.traces.rows import Batch, in_batches
from cluster_sim.workload.traces.servegen import is_servegen, servegen_batches
from cluster_sim.workload.traces.tables import LAYOUTS, layout_of, table_batches
from cluster_sim.workload.traces.weka import looks_like_weka, weka_rows, weka_sessions

Format = Literal[
    "azure", "burstgpt", "mooncake", "servegen", "weka", "vidur", "splitwise", "llmservingsim"
]

_EXPECTED = "azure, burstgpt, vidur or splitwise CSV, mooncake or llmservingsim JSON lines, weka sessions, or a folder of servegen clients"
_KEYS = {
    "input_length": "mooncake",
    "input_toks": "llmservingsim",
    "sub_requests": "llmservingsim",
}
"""Format by a key of its first JSON line."""


class TraceSource(NamedTuple):
    """What a reader needs to know of the trace that it reads."""

    path: str
    """File, folder or archive."""
    place: Place
    """Place in it, which the reader keeps up to date."""
    tally: Tally
    """Counts of what the reader leaves out."""
    block_tokens: int
    """Length of a block of Mooncake's hash_ids [tokens]."""
    start_s: float = 0.0
    """Time before which nothing is wanted [s]."""


class TraceFormat(NamedTuple):
    """The readers of a format."""

    batches: Callable[[TraceSource, np.random.Generator], Iterator[Batch]]
    """Reader of rows, in the order of the file."""
    sessions: Callable[[TraceSource], Iterator[RecordedSession]] | None = None
    """Reader of sessions; None where the format has none."""
    begins_at_zero: bool = False
    """Whether times count from the beginning of the trace rather than from its first row."""
    records_failures: bool = False
    """Whether a row without an answer is a failure of the service."""


def _table(source: TraceSource, name: str) -> Iterator[Batch]:
    with opened(source.path) as text:
        yield from table_batches(text, source.place, LAYOUTS[name])


def _mooncake(source: TraceSource, rng: np.random.Generator) -> Iterator[Batch]:
    with opened(source.path) as text:
        yield from mooncake_batches(text, source.place, source.block_tokens)


def _servegen(source: TraceSource, rng: np.random.Generator) -> Iterator[Batch]:
    return servegen_batches(source.path, source.place, rng, source.start_s)


def _weka(source: TraceSource, rng: np.random.Generator) -> Iterator[Batch]:
    rows = weka_rows(documents(source.path), source.place, source.tally)
    return in_batches(rows, source.place)


def _weka_sessions(source: TraceSource) -> Iterator[RecordedSession]:
    sessions = weka_sessions(documents(source.path), source.place, source.tally)
    return (recorded for recorded, _ in sessions)


def _llmservingsim(source: TraceSource, rng: np.random.Generator) -> Iterator[Batch]:
    with opened(source.path) as text:
        yield from in_batches(llmservingsim_rows(text, source.place), source.place)


def _llmservingsim_sessions(source: TraceSource) -> Iterator[RecordedSession]:
    with opened(source.path) as text:
        yield from llmservingsim_sessions(text, source.place)


FORMATS: dict[str, TraceFormat] = {
    "azure": TraceFormat(lambda source, _: _table(source, "azure")),
    "burstgpt": TraceFormat(lambda source, _: _table(source, "burstgpt"), records_failures=True),
    "vidur": TraceFormat(lambda source, _: _table(source, "vidur")),
    "splitwise": TraceFormat(lambda source, _: _table(source, "splitwise")),
    "mooncake": TraceFormat(_mooncake),
    "servegen": TraceFormat(_servegen, begins_at_zero=True),
    "weka": TraceFormat(_weka, _weka_sessions),
    "llmservingsim": TraceFormat(_llmservingsim, _llmservingsim_sessions),
}
assert set(FORMATS) == set(get_args(Format))


def recognised(path: str) -> str:
    """Return the name of the format that the content looks like.

    Raises ScenarioError where it looks like none of those that are known.
    """
    if is_archive(path):
        return "servegen" if is_servegen(path) else "weka"
    with opened(path) as text:
        lines = (line for line in islice(text, 100) if line.strip())
        first = next(lines, "")
    if not first:
        raise ScenarioError.at(path, "is empty; wanted a trace with a heading and rows")
    if not first.lstrip("\ufeff \t").startswith("{"):
        if (layout := layout_of(first)) is not None:
            return layout
        raise ScenarioError.at(f"{path}:1", f"is of no known format; wanted {_EXPECTED}")
    try:
        document = loads(first)
    except (ValueError, RecursionError):
        document = {"requests": []} if '"requests"' in first or first.strip() == "{" else {}
    if looks_like_weka(document):
        return "weka"
    for key, name in _KEYS.items():
        if key in document:
            return name
    raise ScenarioError.at(f"{path}:1", f"is of no known format; wanted {_EXPECTED}")
