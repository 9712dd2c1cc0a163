"""Inputs of the readers of traces, and the description of a format."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

import numpy as np

from cluster_sim.workload.traces.clock import TimeUnit, TraceClock
from cluster_sim.workload.traces.columns import TraceColumns
from cluster_sim.workload.traces.known_names import leaves, loose
from cluster_sim.workload.traces.progress import Place, Tally
from cluster_sim.workload.traces.recorded import RecordedSession
from cluster_sim.workload.traces.rows import Batch


class Beginning(NamedTuple):
    """Beginning of a file."""

    kind: Literal["table", "parquet", "json"]
    """Kind of the file: text with columns, Parquet, or JSON."""
    names: tuple[str, ...]
    """Names of the columns, or keys of the first object."""
    first: Any = None
    """First value of a JSON file: its first row, or the whole document."""
    path: str = ""
    """Path of the file, for formats that need to read more of it."""

    @property
    def leaves(self) -> list[str]:
        """Names of single values; for JSON also keys of nested objects, such as `usage.total`."""
        return leaves(self.first) if self.kind == "json" else list(self.names)

    def has(self, *names: str) -> bool:
        """Return whether the file has all these names, with equal spelling."""
        return set(names) <= set(self.names)

    def has_alike(self, *names: str) -> bool:
        """Return whether the file has all these names, whatever their case and punctuation."""
        return set(map(loose, names)) <= set(map(loose, self.names))


PrefixPlace = Literal["included", "in_front"]
"""Position of a named prefix: included in the length of the prompt, or in front of the prompt."""


class TraceSource(NamedTuple):
    """Trace as the input of a reader."""

    path: str
    """File, folder or archive."""
    place: Place
    """Position in the trace, which the reader updates."""
    tally: Tally
    """Counts of omitted rows, and notes on how the file was read."""
    clock: TraceClock
    """Clock of the file."""
    block_tokens: int | None = None
    """Length of a block of hash_ids [tokens]; None for the default of the format."""
    start_s: float = 0.0
    """Time before which no requests are needed [s]."""
    columns: TraceColumns | None = None
    """Names of the columns in the scenario; None if the format defines them."""
    time_unit: TimeUnit | None = None
    """Unit of times in the scenario; None if the format or the data decides."""
    tokens_of: Callable[[str], int] | None = None
    """Function that counts the tokens of a text; None if the file has counts."""
    links_wanted: bool = False
    """Whether batches must have `links`; readers may always set them."""
    prefix: PrefixPlace | None = None
    """Position of prefixes in the scenario; None if the format or the data decides."""
    is_spread: bool = False
    """Whether the scenario spreads requests over a time after their timestamps (`dejitter`)."""


class TraceFormat(NamedTuple):
    """Format of a trace, with its readers."""

    recognises: Callable[[Beginning], bool]
    """Test whether a file with this beginning has the format."""
    batches: Callable[[TraceSource, np.random.Generator], Iterator[Batch]]
    """Reader of batches of rows, in the order of the file."""
    sessions: Callable[[TraceSource], Iterator[RecordedSession]] | None = None
    """Reader of a file of sessions; None if the file has rows."""
    links_turns: Callable[[Beginning], bool] = lambda beginning: False
    """Test whether the file links the requests of conversations."""
    has_times: Callable[[Beginning], bool] = lambda beginning: True
    """Test whether every request has a recorded time, at which it can be replayed."""
    is_text: bool = False
    """Whether the file has texts, without times and without numbers of tokens."""
    begins_at_zero: bool = False
    """Whether times count from the beginning of the trace, and not from its first row."""
    units: tuple[TimeUnit, ...] = ()
    """Units of times that a scenario may give; empty if the format has a fixed unit."""
    names: tuple[str, ...] = ()
    """Names of columns or keys that the format has, for messages."""
    records_failures: bool = False
    """Whether a row without an answer is counted as a failure of the service."""
