"""A recorded trace, whichever format it is in: found out, put in order, and cut to what is wanted."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from orjson import loads
from pydantic import Field, field_validator

from cluster_sim.errors import ScenarioError
from cluster_sim.schema import Description, find
from cluster_sim.units import PositiveSeconds, Seconds
from cluster_sim.workload.random_streams import stream
from cluster_sim.workload.traces.llmservingsim import llmservingsim_rows, llmservingsim_sessions
from cluster_sim.workload.traces.mooncake import BLOCK_TOKENS, mooncake_batches
from cluster_sim.workload.traces.recorded import Recorded
from cluster_sim.workload.traces.rows import (
    NONE,
    Batch,
    Place,
    Row,
    Tally,
    in_batches,
    is_archive,
    members,
    opened,
)
from cluster_sim.workload.traces.servegen import is_servegen, servegen_batches
from cluster_sim.workload.traces.tables import LAYOUTS, layout_of, table_batches
from cluster_sim.workload.traces.weka import looks_like_weka, weka_rows, weka_sessions

Format = Literal[
    "azure", "burstgpt", "mooncake", "servegen", "weka", "vidur", "splitwise", "llmservingsim"
]

_AHEAD = 8192
"""Rows that are kept back so that later ones may still be put before them."""
_WANTED = "azure, burstgpt, vidur or splitwise CSV, mooncake or llmservingsim JSON lines, weka sessions, or a folder of servegen clients"


class Trace(Description):
    """Arrivals and lengths of a recorded trace, its first row at time zero.

    Rows of failures (BurstGPT: no answer) and rows without prompt or answer are left out; rows that
    are up to 8,192 rows late are put in their place; all are counted, see `Tally`. Anything else
    that is no request is a fault that names its line: a trace with holes would be another workload.
    """

    format: Format | None = None
    """Default: what the content looks like."""
    path: str
    """A file, packed by gzip or not; for servegen and weka also a folder or a tar archive."""
    start_s: Seconds = 0.0
    """Rows before this time of the trace are left out; what follows begins at time zero."""
    sample: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Share of rows that is kept, each by chance: a smaller service with the same habits."""
    dejitter_s: PositiveSeconds | None = None
    """Spread rows over this time after their stamps, evenly by chance: stamps that are ticks, as
    Mooncake's of 3 s, are bursts that never were."""
    speedup: Annotated[float, Field(gt=0.0)] = 1.0
    """Times are divided by this: 2 makes the traffic twice as fast."""
    limit: Annotated[int, Field(gt=0)] | None = None
    """Only so many requests from the first."""
    block_tokens: Annotated[int, Field(gt=0)] = BLOCK_TOKENS
    """Tokens of a block of Mooncake's hash_ids."""

    @field_validator("path", mode="before")
    @classmethod
    def _find(cls, came: Any) -> Any:
        if not isinstance(came, str):
            return came
        path = find(came, folders=True)
        if path is None:
            raise ValueError(f"no file '{came}'; name one with --set workload.trace.path=FILE")
        return str(path)

    def rows(self, seed: int = 0, tally: Tally | None = None) -> Iterator[Row]:
        """(arrival [s], prompt tokens, output tokens, pieces) of each request, read as they are
        asked for.

        `seed` decides what is sampled, dejittered and, of servegen, drawn; `tally` is counted up on
        the way. Raises ScenarioError with the line of a row that is malformed or too late, and for
        a trace without requests.
        """
        return chain.from_iterable(batch.rows() for batch in self.batches(seed, tally))

    def batches(self, seed: int = 0, tally: Tally | None = None) -> Iterator[Batch]:
        """The same, many at a time, as columns."""
        tally = Tally() if tally is None else tally
        rng = stream(seed, "trace")
        zero_s: float | None = None
        left = self.limit if self.limit is not None else 1 << 62
        for batch in self._in_order(rng, tally):
            if zero_s is None and len(batch.time_s):
                zero_s = (
                    0.0 if self.found_format == "servegen" else float(batch.time_s[0])
                ) + self.start_s
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

    def sessions(self, tally: Tally | None = None) -> Iterator[Recorded]:
        """Recorded sessions, whose requests wait for answers; requests without tokens are left out
        and counted.

        Raises ScenarioError for a format that has none, and with file and line of a session that is
        malformed.
        """
        tally = Tally() if tally is None else tally
        for recorded in self._sessions(tally):
            tally.rows += len(recorded.steps)
            steps = tuple(
                step for step in recorded.steps if step.prompt_tokens and step.output_tokens
            )
            tally.empty += len(recorded.steps) - len(steps)
            if steps:
                yield Recorded(recorded.start_s, steps)

    def check(self) -> Tally:
        """Read the whole trace once; what was left out. Raises ScenarioError as `rows` does."""
        tally = Tally()
        for _ in self.rows(tally=tally):
            pass
        return tally

    @cached_property
    def found_format(self) -> Format:
        """The format given, or the one that the content looks like. Raises ScenarioError where it
        looks like none.
        """
        return self.format or _recognised(self.path)

    def _in_order(self, rng: np.random.Generator, tally: Tally) -> Iterator[Batch]:
        """Requests in order of time; a row may be `_AHEAD` rows late."""
        place = Place(self.path)
        ahead = NONE
        latest_s = given_s = float("-inf")
        for batch in self._raw(rng, place, tally):
            tally.rows += len(batch.time_s)
            before_s = np.maximum.accumulate(np.concatenate([[latest_s], batch.time_s]))
            late = batch.time_s < before_s[:-1]
            latest_s = float(before_s[-1])
            if np.any(late):
                tally.unsorted += int(np.sum(late))
                lost = np.nonzero(batch.time_s < given_s)[0]
                if len(lost):
                    by_s = given_s - batch.time_s[lost[0]]
                    place.refuse_at(
                        int(batch.line[lost[0]]),
                        f"is {by_s:.3f} s earlier than a row {_AHEAD:,} rows above; wanted rows nearly in order of time",
                    )
            batch = batch.take(self._requests(batch, tally))
            if self.dejitter_s is not None:
                batch = batch._replace(
                    time_s=batch.time_s + self.dejitter_s * rng.random(len(batch.time_s))
                )
            ahead = ahead.then(batch)
            if np.any(np.diff(ahead.time_s) < 0.0):
                ahead = ahead.take(np.argsort(ahead.time_s, kind="stable"))
            # of rows that are spread, those are due before which none to come can fall
            due = (
                max(len(ahead.time_s) - _AHEAD, 0)
                if self.dejitter_s is None
                else int(np.searchsorted(ahead.time_s, latest_s))
            )
            if due:
                given_s = float(ahead.time_s[due - 1])
                yield ahead.take(np.arange(due))
                ahead = ahead.take(np.arange(due, len(ahead.time_s)))
        yield ahead

    def _requests(self, batch: Batch, tally: Tally) -> np.ndarray:
        """Which rows are requests; the others are counted."""
        unanswered = batch.output < 1
        empty = (batch.prompt < 1) | unanswered
        failed = int(np.sum(unanswered)) if self.found_format == "burstgpt" else 0
        tally.failed += failed
        tally.empty += int(np.sum(empty)) - failed
        return ~empty

    def _raw(self, rng: np.random.Generator, place: Place, tally: Tally) -> Iterator[Batch]:
        """Rows as the format's reader gives them."""
        format_ = self.found_format
        if format_ == "servegen":
            yield from servegen_batches(self.path, place, rng, self.start_s)
        elif format_ == "weka":
            yield from in_batches(weka_rows(_documents(self.path), place, tally), place)
        else:
            with opened(self.path) as text:
                if format_ == "mooncake":
                    yield from mooncake_batches(text, place, self.block_tokens)
                elif format_ == "llmservingsim":
                    yield from in_batches(llmservingsim_rows(text, place), place)
                else:
                    yield from table_batches(text, place, LAYOUTS[format_])

    def _sessions(self, tally: Tally) -> Iterator[Recorded]:
        place = Place(self.path)
        format_ = self.found_format
        if format_ == "weka":
            yield from (
                recorded for recorded, _ in weka_sessions(_documents(self.path), place, tally)
            )
        elif format_ == "llmservingsim":
            with opened(self.path) as text:
                yield from llmservingsim_sessions(text, place)
        else:
            raise ScenarioError.at(
                self.path,
                f"is a {format_} trace, which has no sessions; wanted weka or llmservingsim",
            )


def _recognised(path: str) -> Format:
    """The format by the content. Raises ScenarioError where it is none of those that are known."""
    if is_archive(path):
        return "servegen" if is_servegen(path) else "weka"
    with opened(path) as text:
        lines = (line for line in islice(text, 100) if line.strip())
        first = next(lines, "")
    if not first:
        raise ScenarioError.at(path, "is empty; wanted a trace with a heading and rows")
    if not first.lstrip("\ufeff \t").startswith("{"):
        if layout := layout_of(first):
            return layout  # type: ignore[return-value]  # the names of LAYOUTS are formats
        raise ScenarioError.at(f"{path}:1", f"is of no known format; wanted {_WANTED}")
    try:
        document = loads(first)
    except (ValueError, RecursionError):
        document = {"requests": []} if '"requests"' in first or first.strip() == "{" else {}
    if looks_like_weka(document):
        return "weka"
    for key, format_ in (
        ("input_length", "mooncake"),
        ("input_toks", "llmservingsim"),
        ("sub_requests", "llmservingsim"),
    ):
        if key in document:
            return format_  # type: ignore[return-value]
    raise ScenarioError.at(f"{path}:1", f"is of no known format; wanted {_WANTED}")


def _documents(path: str) -> Iterator[tuple[str, int, str]]:
    """(file, line, text) of each JSON document: of a folder or archive each file's, of a file each
    line, or the whole of it.
    """
    if is_archive(path):
        yield from (
            (name, 1, text)
            for name, text in members(path)
            if name.rstrip(")").endswith((".json", ".jsonl"))
        )
        return
    with opened(path) as text:
        first = text.readline()
        try:
            loads(first)
        except (ValueError, RecursionError):
            yield path, 1, first + text.read()
            return
        yield path, 1, first
        yield from (
            (path, number, line) for number, line in enumerate(text, start=2) if line.strip()
        )


def find_trace(path: str | Path) -> Trace:
    """The trace in a file or folder, as it is. Raises ScenarioError where there is none, or where
    it is of no known format.
    """
    if find(str(path), folders=True) is None:
        raise ScenarioError.at(str(path), "cannot be read: no such file or folder")
    trace = Trace(path=str(path))
    _ = trace.found_format
    return trace
