"""A recorded trace, whatever its format: put in order, and cut to what is wanted."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field, field_validator

from cluster_sim.errors import ScenarioError
from cluster_sim.schema import Description, find
from cluster_sim.typing import Count, RequestCount
from cluster_sim.units import PositiveSeconds, Seconds
from cluster_sim.workload.random_streams import stream
from cluster_sim.workload.traces.formats import (
    FORMATS,
    Format,
    TraceFormat,
    TraceSource,
    recognised,
)
from cluster_sim.workload.traces.mooncake import BLOCK_TOKENS
from cluster_sim.workload.traces.ordering import RowOrder
from cluster_sim.workload.traces.progress import Place, Tally
from cluster_sim.workload.traces.recorded import RecordedSession
from cluster_sim.workload.traces.rows import Batch, Row


class Trace(Description):
    """Arrivals and lengths of a recorded trace, its first row at time zero.

    Rows of failures (BurstGPT: no answer) and rows without prompt or answer are left out; rows that
    are up to 8,192 rows late are put in their place; all are counted, see `Tally`. Anything else
    that is no request is a fault that names its line: a trace with holes would be another workload.
    """

    format: Format | None = None
    """Format of the trace. Default: the one that the content looks like."""
    path: str
    """File, packed by gzip or not; for servegen and weka also a folder or a tar archive."""
    start_s: Seconds = 0.0
    """Time of the trace before which rows are left out; what follows begins at time zero [s]."""
    sample: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Share of rows that is kept, each by chance: a smaller service with the same habits."""
    dejitter_s: PositiveSeconds | None = None
    """Time after their stamps over which rows are spread evenly by chance [s]. Stamps that are
    ticks, such as Mooncake's of 3 s, are bursts that never were. Default: rows come at their
    stamps."""
    speedup: Annotated[float, Field(gt=0.0)] = 1.0
    """Number by which times are divided: 2 makes the traffic twice as fast."""
    limit: RequestCount | None = None
    """Number of requests, from the first. Default: all."""
    block_tokens: Count = BLOCK_TOKENS
    """Length of a block of Mooncake's hash_ids [tokens]."""

    @field_validator("path", mode="before")
    @classmethod
    def _find(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        path = find(value, folders=True)
        if path is None:
            raise ValueError(f"no file '{value}'; name one with --set workload.trace.path=FILE")
        return str(path)

    def rows(self, seed: int = 0, tally: Tally | None = None) -> Iterator[Row]:
        """Yield (arrival [s], prompt tokens, output tokens, pieces) of each request as it is read.

        Parameters
        ----------
        seed
            Decides which rows are sampled, how they are dejittered and, for servegen, drawn.
        tally
            Counts of what is left out, which are kept up to date.

        Raises
        ------
        ScenarioError
            With the line of a row that is malformed or too late, and for a trace without requests.
        """
        return chain.from_iterable(batch.rows() for batch in self.batches(seed, tally))

    def batches(self, seed: int = 0, tally: Tally | None = None) -> Iterator[Batch]:
        """Yield the requests as columns, many at a time; see `rows` for parameters and faults."""
        tally = Tally() if tally is None else tally
        rng = stream(seed, "trace")
        zero_s: float | None = None
        left = self.limit if self.limit is not None else 1 << 62
        for batch in self._in_order(rng, tally):
            if zero_s is None and len(batch.time_s):
                first_s = 0.0 if self._format.begins_at_zero else float(batch.time_s[0])
                zero_s = first_s + self.start_s
            if zero_s is None:
                continue
            kept = batch if not self.start_s else batch.take(batch.time_s >= zero_s)
            if self.sample < 1.0:
                kept = kept.take(rng.random(len(kept.time_s)) < self.sample)
            if len(kept.time_s) >= left:
                kept = kept.take(np.arange(left))
            yield kept._replace(time_s=(kept.time_s - zero_s) / self.speedup)
            left -= len(kept.time_s)
            if not left:
                return
        if zero_s is None:
            raise ScenarioError.at(self.path, "holds no requests")

    def sessions(self, tally: Tally | None = None) -> Iterator[RecordedSession]:
        """Yield recorded sessions, whose requests wait for answers.

        Requests without tokens are left out and counted. Raises ScenarioError for a format that has
        no sessions, for a trace without any, and with file and line of a session that is malformed.
        """
        tally = Tally() if tally is None else tally
        read = self._format.sessions
        if read is None:
            others = " or ".join(
                name for name, kind in FORMATS.items() if kind.sessions is not None
            )
            raise ScenarioError.at(
                self.path,
                f"is a {self.found_format} trace, which has no sessions; wanted {others}",
            )
        is_empty = True
        for recorded in read(self._source(tally)):
            tally.rows += len(recorded.steps)
            steps = tuple(
                step for step in recorded.steps if step.prompt_tokens and step.output_tokens
            )
            tally.empty += len(recorded.steps) - len(steps)
            if steps:
                is_empty = False
                yield RecordedSession(recorded.start_s, steps)
        if is_empty:
            raise ScenarioError.at(self.path, "holds no requests")

    def check(self, *, as_sessions: bool = False) -> Tally:
        """Read the whole trace once, and return what is left out.

        Raises ScenarioError as `rows` does, or as `sessions` does where it is read `as_sessions`.
        """
        tally = Tally()
        for _ in self.sessions(tally) if as_sessions else self.rows(tally=tally):
            pass
        return tally

    @cached_property
    def found_format(self) -> str:
        """Name of the format, as given or as the content looks.

        Raises ScenarioError where it looks like none.
        """
        return self.format or recognised(self.path)

    @property
    def _format(self) -> TraceFormat:
        return FORMATS[self.found_format]

    def _source(self, tally: Tally) -> TraceSource:
        return TraceSource(self.path, Place(self.path), tally, self.block_tokens, self.start_s)

    def _in_order(self, rng: np.random.Generator, tally: Tally) -> Iterator[Batch]:
        """Yield the requests in order of time."""
        source = self._source(tally)
        order = RowOrder(source.place, tally, is_spread=self.dejitter_s is not None)
        for rows in self._format.batches(source, rng):
            order.read(rows)
            batch = rows.take(self._are_requests(rows, tally))
            if self.dejitter_s is not None:
                late_s = self.dejitter_s * rng.random(len(batch.time_s))
                batch = batch._replace(time_s=batch.time_s + late_s)
            if (due := order.put(batch)) is not None:
                yield due
        yield order.rest()

    def _are_requests(self, batch: Batch, tally: Tally) -> np.ndarray:
        """Return which rows are requests, and count the others."""
        unanswered = batch.output < 1
        empty = (batch.prompt < 1) | unanswered
        failed = int(np.sum(unanswered)) if self._format.records_failures else 0
        tally.failed += failed
        tally.empty += int(np.sum(empty)) - failed
        return ~empty


def find_trace(path: str | Path) -> Trace:
    """Return the trace in a file or folder, as it is.

    Raises ScenarioError where there is none, or where it is of no known format.
    """
    if find(str(path), folders=True) is None:
        raise ScenarioError.at(str(path), "cannot be read: no such file or folder")
    trace = Trace(path=str(path))
    _ = trace.found_format
    return trace
