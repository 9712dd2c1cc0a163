"""What readers of traces are given, and what a format is."""

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
    """What a file begins with."""

    kind: Literal["table", "parquet", "json"]
    """Whether it is text with columns, Parquet, or JSON."""
    names: tuple[str, ...]
    """Names of the columns, or keys of the first object."""
    first: Any = None
    """First object of a JSON file: its first row, or the whole of it."""
    path: str = ""
    """File itself, for formats that must look further."""

    @property
    def leaves(self) -> list[str]:
        """Names that hold a value each: of JSON those of nested objects too, as `usage.total`."""
        return leaves(self.first) if self.kind == "json" else list(self.names)

    def has(self, *names: str) -> bool:
        """Return whether all of these are names of the file, spelt alike."""
        return set(names) <= set(self.names)

    def has_alike(self, *names: str) -> bool:
        """Return whether all of these are names of the file, whatever their case and signs."""
        return set(map(loose, names)) <= set(map(loose, self.names))


PrefixPlace = Literal["included", "in_front"]
"""Whether a prompt's length counts a prefix that the file names, or the prefix comes on top."""


class TraceSource(NamedTuple):
    """What a reader needs to know of the trace that it reads."""

    path: str
    """File, folder or archive."""
    place: Place
    """Place in it, which the reader keeps up to date."""
    tally: Tally
    """Counts of what the reader leaves out, and notes on how the file was read."""
    clock: TraceClock
    """Clock of the file."""
    block_tokens: int | None = None
    """Length of a block of hash_ids [tokens]; None for that of the format."""
    start_s: float = 0.0
    """Time before which nothing is wanted [s]."""
    columns: TraceColumns | None = None
    """Names of the columns, as the scenario gives them; None where the format knows them."""
    time_unit: TimeUnit | None = None
    """Unit of times, as the scenario gives it; None where the format or the data decides."""
    tokens_of: Callable[[str], int] | None = None
    """What counts the tokens of a text; None where the file has counts."""
    links_wanted: bool = False
    """Whether the batches shall have `links`; readers may give them in any case."""
    prefix: PrefixPlace | None = None
    """Place of prefixes, as the scenario gives it; None where the format or the data decides."""
    is_spread: bool = False
    """Whether the scenario spreads requests over a time after their stamps (`dejitter`)."""


class TraceFormat(NamedTuple):
    """The readers of a format."""

    recognises: Callable[[Beginning], bool]
    """Whether a file that begins so has the format."""
    batches: Callable[[TraceSource, np.random.Generator], Iterator[Batch]]
    """Reader of rows, in the order of the file."""
    sessions: Callable[[TraceSource], Iterator[RecordedSession]] | None = None
    """Reader of sessions that are written as such; None where rows have links, or none."""
    links_turns: Callable[[Beginning], bool] = lambda beginning: False
    """Whether the file says which requests follow which."""
    has_times: Callable[[Beginning], bool] = lambda beginning: True
    """Whether every request has a recorded time, so that it can be replayed at that."""
    is_text: bool = False
    """Whether the file holds texts, without times and without numbers of tokens."""
    begins_at_zero: bool = False
    """Whether times count from the beginning of the trace rather than from its first row."""
    units: tuple[TimeUnit, ...] = ()
    """Units of times that a scenario may give; none where the format has its own."""
    names: tuple[str, ...] = ()
    """Names of columns or keys by which the format is known, for messages."""
    records_failures: bool = False
    """Whether a row without an answer is a failure of the service."""
