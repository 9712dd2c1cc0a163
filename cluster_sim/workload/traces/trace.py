"""Recorded trace of any format, sorted by time and cut to the selected part."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from cluster_sim.errors import ScenarioError
from cluster_sim.schema import Description, Document, describe, find
from cluster_sim.typing import Count, RequestCount
from cluster_sim.units import PositiveSeconds, Seconds
from cluster_sim.workload.arrivals import Arrivals
from cluster_sim.workload.random_streams import stream
from cluster_sim.workload.traces.archives import is_archive
from cluster_sim.workload.traces.clock import TimeUnit, TraceClock
from cluster_sim.workload.traces.columns import TraceColumns
from cluster_sim.workload.traces.cuts import Cut, start_of
from cluster_sim.workload.traces.formats import FORMATS, Format, recognised, refuse_unlike
from cluster_sim.workload.traces.progress import Place, Tally
from cluster_sim.workload.traces.reading import TraceReader
from cluster_sim.workload.traces.recognise import beginning
from cluster_sim.workload.traces.recorded import RecordedSession
from cluster_sim.workload.traces.rows import Batch, Row
from cluster_sim.workload.traces.source import Beginning, PrefixPlace, TraceFormat, TraceSource
from cluster_sim.workload.traces.texts import TextKeys, started

Seen = Batch | RecordedSession
"""Part of a replay: requests at their times, or a session whose requests wait for answers."""


class _KnownFile(NamedTuple):
    """Format and beginning of the file of a trace."""

    format: str
    """Name of the format."""
    begun: Beginning | None
    """Beginning of the file, without its first object; None for a folder or an archive."""


class Trace(Description):
    """Arrivals and lengths of a recorded trace, with its first row at time zero.

    Rows of failures (BurstGPT: no answer) and rows without prompt or answer are omitted. Rows that
    are up to 8,192 rows late are moved to their position. All such rows are counted, see `Tally`.
    Any other row that is not a request is a fault that names its line, because a trace with gaps
    would be a different workload.
    """

    bare_key: ClassVar[str] = "path"

    format: Format | None = None
    """Format of the trace. Default: detected from the content."""
    path: str
    """Path of the file, which may be packed by gzip, zstd, xz, bz2 or zip. servegen and weka also
    accept a folder, or an archive: tar, packed or not, or zip."""
    start_s: Seconds = 0.0
    """Time in the trace that becomes time zero [s]. Earlier rows are omitted."""
    sample: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Share of requests or sessions that is kept, chosen at random. The result is the traffic of a
    smaller service with similar users."""
    dejitter_s: PositiveSeconds | None = None
    """Time over which rows are spread evenly at random after their timestamps [s]. Timestamps in
    coarse ticks, such as 3 s in Mooncake, would otherwise cause artificial bursts. Default: rows
    arrive at their timestamps."""
    speedup: Annotated[float, Field(gt=0.0)] = 1.0
    """Factor by which times are divided. 2 makes the traffic twice as fast."""
    limit: RequestCount | None = None
    """Maximum number of requests, counted from the first one. Default: all."""
    block_tokens: Count | None = None
    """Length of a block of hash_ids [tokens]. Default: 512 for Mooncake, 16 for Bailian."""
    columns: TraceColumns | None = None
    """Names of the columns or keys, for a file of no known format. Default: the names of the
    format."""
    time_unit: TimeUnit | None = None
    """Unit of arrival times, or iso for dates and times of ISO 8601. Default: the unit of the
    format. If the format leaves it open, the magnitude of the times decides, and a note reports the
    choice."""
    replay: Literal["sessions", "timestamps"] | None = None
    """Replay of requests that belong to one conversation. sessions: each request waits for the
    answer to the previous one. timestamps: each request arrives at its recorded time. Default:
    sessions if the file links requests to conversations."""

    prefix: PrefixPlace | None = None
    """Position of the prefix of a request's prefix_group in a blis file. included: the prompt length
    includes the prefix. in_front: the prefix comes in addition, before the prompt. Default: in_front
    if a simulator wrote the file or the count of the server shows it, otherwise included. A note
    reports the choice."""

    arrivals: Arrivals | None = None
    """Arrival process of the conversations of a sharegpt file, or of its requests if replay is
    timestamps. Required for a sharegpt file; other formats have recorded times."""
    tokens_per_word: Annotated[float, Field(gt=0.0, le=1000.0)] | None = None
    """Number of tokens per word of a sharegpt file; English has about 1.3. A text has at least one
    token. Required for a sharegpt file without `tokenizer`; other formats have recorded counts."""
    tokenizer: str | None = None
    """Path of a tokenizer.json that counts the tokens of a sharegpt file, instead of
    tokens_per_word. It needs the package tokenizers. Default: no tokenizer."""

    @model_validator(mode="after")
    def _count_in_one_way(self) -> Self:
        if self.tokenizer is not None and self.tokens_per_word is not None:
            raise ValueError("got tokens_per_word and a tokenizer; expected one of them")
        return self

    @field_validator("tokenizer", mode="before")
    @classmethod
    def _find_tokenizer(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        path = find(value)
        if path is None:
            raise ValueError(f"no file '{value}'; expected a tokenizer.json")
        return str(path)

    @field_validator("path", mode="before")
    @classmethod
    def _find(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        path = find(value, folders=True) if value.strip() else None
        if path is None:
            raise ValueError(f"no file '{value}'; name one with --set workload.trace.path=FILE")
        return str(path)

    @field_validator("columns")
    @classmethod
    def _belongs_to_tables(
        cls, value: TraceColumns | None, info: ValidationInfo
    ) -> TraceColumns | None:
        named = info.data.get("format")
        if value is not None and named not in (None, "table"):
            raise ValueError(
                f"got columns and format: {named}, which has fixed columns; expected only columns, or format: table"
            )
        return value

    def rows(self, seed: int = 0, tally: Tally | None = None) -> Iterator[Row]:
        """Yield (arrival [s], prompt tokens, output tokens, pieces) of each request, while reading.

        Parameters
        ----------
        seed
            Seed of sampling and dejittering and, for servegen, of the drawn rows.
        tally
            Counts of omitted rows, which are updated while reading.

        Raises
        ------
        ScenarioError
            With the line of a row that is malformed or too late, or for a trace without requests.
        """
        return chain.from_iterable(batch.rows() for batch in self.batches(seed, tally))

    def batches(
        self, seed: int = 0, tally: Tally | None = None, *, links_wanted: bool = False
    ) -> Iterator[Batch]:
        """Yield batches of requests as columns; see `rows` for parameters and errors.

        `links_wanted` requests the links of conversations, if the file has them.
        """
        tally = Tally() if tally is None else tally
        starts_s = self._texts.starts_s(seed) if self.is_text else None
        reader = self._reader(tally, links_wanted=links_wanted)
        rng = stream(seed, "trace")
        return self._cut(tally).batches(reader.in_order(rng, self.dejitter_s, starts_s), rng)

    def sessions(self, tally: Tally | None = None) -> Iterator[RecordedSession]:
        """Yield recorded sessions, whose requests wait for answers.

        Requests without tokens are omitted and counted. Raises ScenarioError for a format without
        sessions, for a trace without sessions, and with file and line of a session that is malformed.
        """
        if self._format.sessions is None and not self.links_turns:
            raise ScenarioError.at(
                self.path,
                f"has format {self.found_format} and does not link the requests of conversations; expected replay: timestamps, or a file of sessions",
            )
        return self._reader(Tally() if tally is None else tally, links_wanted=True).sessions()

    def replayed_sessions(
        self, seed: int = 0, tally: Tally | None = None
    ) -> Iterator[RecordedSession]:
        """Yield recorded sessions in order of their recorded starts; the first starts at time zero.

        `start`, `sample`, `dejitter` and `speedup` apply to whole sessions. `limit` counts requests and
        is applied by the sender. Raises ScenarioError in the cases of `sessions`.
        """
        tally = Tally() if tally is None else tally
        sessions = self.sessions(tally)
        if self.is_text:
            sessions = started(sessions, self._texts.starts_s(seed), tally)
        elif self._format.sessions is not None:
            sessions = iter(sorted(sessions, key=start_of))
        return self._cut(tally).sessions(sessions, stream(seed, "trace"), self.dejitter_s)

    def check(
        self,
        seed: int = 0,
        seen: Callable[[Seen], None] | None = None,
        *,
        as_sessions: bool = False,
    ) -> Tally:
        """Read the whole trace once, and return the counts of omitted rows.

        Parameters
        ----------
        seed
            Seed of sampling and dejittering and, for servegen, of the drawn rows.
        seen
            Function that is called with each part of the replay while reading: a batch of requests,
            or a session.
        as_sessions
            Whether the trace is read as sessions, whatever `replay` says.

        Raises
        ------
        ScenarioError
            In the cases of `rows`, or of `sessions` if sessions are read.
        """
        tally = Tally()
        replayed: Iterable[Seen]
        if as_sessions:
            replayed = islice(self.sessions(tally), self.limit)
        elif self.replays_sessions:
            replayed = self.replayed_sessions(seed, tally)
        else:
            replayed = self.batches(seed, tally)
        for each in replayed:
            if seen is not None:
                seen(each)
        return tally

    @cached_property
    def links_turns(self) -> bool:
        """Whether the file links the requests of conversations."""
        if self.columns is not None:
            return self.columns.session is not None
        begun = self._known.begun
        if begun is None:
            return self._format.sessions is not None
        return self._format.links_turns(begun)

    @cached_property
    def is_text(self) -> bool:
        """Whether the file has texts, without times and numbers of tokens."""
        return self._format.is_text

    @cached_property
    def has_times(self) -> bool:
        """Whether every request has a recorded time."""
        begun = self._known.begun
        return begun is None or self._format.has_times(begun)

    @property
    def replays_sessions(self) -> bool:
        """Whether requests wait for the previous answer of their conversation."""
        return self.links_turns if self.replay is None else self.replay == "sessions"

    @property
    def found_format(self) -> str:
        """Name of the format, as given or as recognised by the content.

        Raises ScenarioError if the content has no known format.
        """
        return self._known.format

    @cached_property
    def _known(self) -> _KnownFile:
        """Format and beginning of the file, which is read once.

        Raises ScenarioError if the content has no known format, or not the given format.
        """
        begun = None if is_archive(self.path) else beginning(self.path)
        if self.columns is not None:
            name = "table"
        elif self.format is None:
            name = recognised(self.path, begun)
        else:
            name = self.format
            refuse_unlike(self.path, begun, name)
        # The first object may be a whole large file, and is not needed any more.
        return _KnownFile(name, None if begun is None else begun._replace(first=None))

    @property
    def _format(self) -> TraceFormat:
        return FORMATS[self.found_format]

    @property
    def _texts(self) -> TextKeys:
        return TextKeys(self.path, self.arrivals, self.tokens_per_word, self.tokenizer)

    def _cut(self, tally: Tally) -> Cut:
        """Return the selection of the replayed part."""
        return Cut(
            path=self.path,
            start_s=self.start_s,
            sample=self.sample,
            speedup=self.speedup,
            limit=self.limit,
            begins_at_zero=self._format.begins_at_zero,
            begin_at=_forget if self.is_text else tally.begin_at,
            tally=tally,
        )

    def _reader(self, tally: Tally, *, links_wanted: bool) -> TraceReader:
        """Return the reader of the trace. Raises ScenarioError for a key that the format refuses."""
        if not self.is_text and (given := self._texts.given()):
            raise ScenarioError.at(
                self.path,
                f"has format {self.found_format}, which has times and numbers of tokens; got {' and '.join(given)}; expected no such key",
            )
        if self.time_unit is not None and self.time_unit not in self._format.units:
            units = ", ".join(self._format.units) or "no time_unit: the format has a fixed unit"
            raise ScenarioError.at(
                self.path,
                f"has format {self.found_format}; got time_unit: {self.time_unit}; expected {units}",
            )
        if self.prefix is not None and self.found_format != "blis":
            raise ScenarioError.at(
                self.path,
                f"has format {self.found_format}; got prefix: {self.prefix}; expected prefix only for format blis",
            )
        tally.clock = TraceClock()
        source = TraceSource(
            path=self.path,
            place=Place(self.path),
            tally=tally,
            clock=tally.clock,
            block_tokens=self.block_tokens,
            start_s=self.start_s,
            columns=self.columns,
            time_unit=self.time_unit,
            tokens_of=self._texts.counter() if self.is_text else None,
            links_wanted=links_wanted,
            prefix=self.prefix,
            is_spread=self.dejitter_s is not None,
        )
        return TraceReader(self._format, source)


def _forget(zero_s: float) -> None:
    """Do nothing: the times of a trace of texts are random and have no origin."""


def find_trace(path: str | Path, **keys: Any) -> Trace:
    """Return the trace of a file or folder.

    Parameters
    ----------
    path
        Path of the trace.
    **keys
        Further keys of `workload.trace` in a scenario, such as `format` or `speedup`.

    Returns
    -------
    Trace
        Description of the trace; its methods read the file.

    Raises
    ------
    ScenarioError
        If the file does not exist, a key is at fault, or the content has no known format.
    """
    if find(str(path), folders=True) is None:
        raise ScenarioError.at(str(path), "cannot be read: no such file or folder")
    trace = describe(Trace, Document({"path": str(path)} | keys, str(path)))
    _ = trace.found_format
    return trace
