"""Reader of TraceV2 of BLIS (inference-sim): a CSV file in microseconds with a YAML header file.

BLIS excludes the prefix of a prefix_group from `input_tokens`: cmd/observe.go
(Recorder.RecordRequest) writes the length after the prefix, and sim/workload/replay.go adds the
prefix again. Files of other tools may include the prefix, so the count of the server decides. A
request arrives when it was sent (`send_time_us`), or at `arrival_time_us` if that is unknown, as in
injectionTime of replay.go. If the header has `session_context_growth: accumulate`, rows hold only
the new tokens of a turn. Source: inference-sim/inference-sim at 195cdff and 0045b72,
sim/workload/tracev2.go.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from cluster_sim.workload.traces.blis_header import BlisHeader, blis_header
from cluster_sim.workload.traces.client_rows import in_time_order, without
from cluster_sim.workload.traces.files import opened
from cluster_sim.workload.traces.json_rows import MALFORMED
from cluster_sim.workload.traces.rows import (
    AT_A_TIME,
    MAX_TOKENS,
    UNKNOWN,
    Batch,
    Blocks,
    Links,
    batch_of_columns,
)
from cluster_sim.workload.traces.session_numbers import SessionNumbers
from cluster_sim.workload.traces.source import Beginning, TraceSource
from cluster_sim.workload.traces.stamps import Stamps

_NEEDED = ("input_tokens", "output_tokens", "arrival_time_us")
_USED = (
    *_NEEDED,
    "request_id",
    "session_id",
    "round_index",
    "prefix_group",
    "prefix_length",
    "server_input_tokens",
    "send_time_us",
    "last_chunk_time_us",
    "think_time_us",
    "status",
)
_EXPECTED = "input_tokens, output_tokens and arrival_time_us as whole numbers"
_BEYOND = "beyond the heading"
"""Key of the fields of a row that have no name in the heading."""
_MAX_TIME = 4 * 10**18
"""Maximum time that is read: the year 2096 in nanoseconds."""


class _Row(NamedTuple):
    """Part of a row that is needed for a replay."""

    sent_us: int
    """Time at which the request was sent, or arrived [us]."""
    answered_us: int
    """Time at which the answer ended; 0 if it is unknown [us]."""
    think_us: int
    """Pause from the previous answer until the request; 0 if it is unknown [us]."""
    prompt: int
    """Length of the prompt [tokens]."""
    output: int
    """Length of the answer [tokens]."""
    session: int
    """Number of the conversation; -1 for none."""
    blocks: Blocks
    """Prefix of the prefix_group as a block; `UNKNOWN` without a prefix."""
    has_failed: bool
    """Whether the status is another one than ok."""


def is_blis(begun: Beginning) -> bool:
    """Return whether a file is a TraceV2 table."""
    return begun.kind == "table" and begun.has(*_NEEDED)


def links_blis(begun: Beginning) -> bool:
    """Return whether rows name their conversations."""
    return begun.has("session_id", "round_index") and _has_rounds(begun.path)


def _has_rounds(path: str) -> bool:
    """Return whether any conversation has a second request."""
    with opened(path) as text:
        return any(
            (row.get("round_index") or "0").strip() not in ("", "0") for row in csv.DictReader(text)
        )


def blis_batches(source: TraceSource) -> Iterator[Batch]:
    """Yield the answered requests in order of time.

    Raises ScenarioError with the line of a row that is malformed, and for a header with an unknown
    value.
    """
    return in_time_order(_batches(source, blis_header(source)))


def _batches(source: TraceSource, header: BlisHeader) -> Iterator[Batch]:
    """Yield the rows in the order of the file."""
    reader = _Reader(source, header)
    with opened(source.path) as text:
        table = csv.DictReader(text, restkey=_BEYOND)
        source.place.follow(lambda: table.line_num)
        names = [name.strip().lstrip("\ufeff") for name in table.fieldnames or ()]
        table.fieldnames = names
        source.tally.note_unused(name for name in names if name not in _USED)
        if missing := [name for name in _NEEDED if name not in names]:
            source.place.refuse_at(1, f"has no column {', '.join(missing)}; expected {_EXPECTED}")
        if twice := [name for name in _USED if names.count(name) > 1]:
            source.place.refuse_at(
                1, f"has two columns {twice[0]}; expected one column of each name"
            )
        try:
            while rows := list(islice(_numbered(table), AT_A_TIME)):
                yield reader.batch(rows)
        except csv.Error as fault:
            source.place.refuse(f"is not valid CSV: {fault}")


def _numbered(table: csv.DictReader[str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the line and the fields of each row."""
    for row in table:
        yield table.line_num, row


class _Reader:
    """Reader of rows, with its counters."""

    def __init__(self, source: TraceSource, header: BlisHeader) -> None:
        self._source, self._header = source, header
        self._times = Stamps(source, "arrival_time_us", "us")
        self._sessions = SessionNumbers()
        self._groups: dict[tuple[str, int], int] = {}
        self._begun: set[int] = set()
        self._count = 0

    def batch(self, numbered: list[tuple[int, Mapping[str, Any]]]) -> Batch:
        """Return these rows. Raises ScenarioError with the line of a row that is malformed."""
        rows = []
        for line, row in numbered:
            try:
                rows.append(self._row(row))
            except MALFORMED:
                text = ",".join(str(value) for value in row.values())
                self._source.place.refuse_text(text, _EXPECTED, line)
        batch = self._columns(rows, np.array([line for line, _ in numbered]))
        warmup = np.arange(self._count, self._count + len(rows)) < self._header.warm_up
        self._count += len(rows)
        failed = np.array([row.has_failed for row in rows], dtype=bool)
        return without(batch, failed, warmup, self._source.tally)

    def _columns(self, rows: list[_Row], lines: np.ndarray) -> Batch:
        times = self._times
        sent_us, answered_us, think_us, prompts, outputs, sessions = (
            np.array(column, dtype=np.int64) for column in list(zip(*rows, strict=True))[:6]
        )
        blocks = [row.blocks for row in rows]
        sent_s = times.seconds(sent_us, lines)
        answered_s = np.where(answered_us > 0, times.also_seconds(answered_us), np.nan)
        links = Links(
            sessions,
            answered_s,
            np.where(think_us > 0, times.spans(think_us), np.nan),
            self._header.adds,
        )
        known = any(ids for ids, _ in blocks)
        return batch_of_columns(sent_s, prompts, outputs, blocks if known else None, lines, links)

    def _row(self, row: Mapping[str, Any]) -> _Row:
        """Return the part of a row for a replay. Raises one of MALFORMED if it is malformed."""
        if None in row.values() or any(map(str.strip, row.get(_BEYOND, ()))):
            raise ValueError
        session = self._sessions.of((row.get("session_id") or "").strip())
        prompt, output = int(row["input_tokens"]), int(row["output_tokens"])
        group, length = (row.get("prefix_group") or "").strip(), _number(row, "prefix_length")
        server = _number(row, "server_input_tokens")
        if (
            not 0
            <= min(prompt, output, length)
            <= max(prompt, output, length, server)
            <= MAX_TOKENS
        ):
            raise ValueError
        blocks = UNKNOWN
        # A conversation whose rows hold only new tokens has the prefix in its first turn alone.
        is_first = not (self._header.adds and session >= 0 and session in self._begun)
        if group and length > 0 and is_first:
            number = self._groups.setdefault((group, length), len(self._groups) + 1)
            blocks = ((number,), length)
            if self._is_in_front(prompt, length, server):
                prompt += length
        elif server > 0 and not group and not self._header.adds and server != prompt:
            prompt = server
            self._source.tally.note(
                "lengths of prompts are those that the server counted (server_input_tokens), not input_tokens"
            )
        self._begun.add(session)
        sent_us, arrived_us = _number(row, "send_time_us"), _number(row, "arrival_time_us")
        if sent_us <= 0 and not row["arrival_time_us"].strip():
            raise ValueError
        if sent_us > 0 and sent_us != arrived_us:
            self._source.tally.note("requests arrive when they were sent (send_time_us)")
        status = (row.get("status") or "").strip()
        return _Row(
            sent_us if sent_us > 0 else arrived_us,
            _number(row, "last_chunk_time_us"),
            _number(row, "think_time_us"),
            prompt,
            output,
            session,
            blocks,
            has_failed=status not in ("", "ok"),
        )

    def _is_in_front(self, prompt: int, length: int, server: int) -> bool:
        """Return whether `input_tokens` excludes the prefix of the prompt, and note why.

        Parameters
        ----------
        prompt
            `input_tokens` of the row [tokens].
        length
            Length of the prefix [tokens].
        server
            Length of the prompt that the server counted [tokens]; 0 if it is unknown.
        """
        place, tally = self._source.prefix, self._source.tally
        if place is not None:
            is_in_front, why = place == "in_front", "the scenario says so"
        elif server > 0:
            is_in_front, why = (
                server > prompt + length / 2,
                "this follows from the count of the server (server_input_tokens)",
            )
        elif self._header.is_simulated:
            is_in_front, why = True, "BLIS writes simulated requests in this way"
        else:
            is_in_front, why = (
                False,
                "there are no server_input_tokens to check it, although BLIS's own client excludes the prefix",
            )
        if is_in_front:
            tally.prefixes_apart = True
            tally.note(
                f"the length of a prompt is input_tokens plus prefix_length of its prefix_group: {why}; otherwise write prefix: included"
            )
        else:
            tally.note(
                f"input_tokens is read as including the prefix of its prefix_group: {why}; otherwise write prefix: in_front"
            )
        return is_in_front


def _number(row: Mapping[str, Any], name: str) -> int:
    """Return a whole number of a column; 0 if the column is missing or empty.

    Raises ValueError for a text, and for a number beyond the range of times.
    """
    number = int(row.get(name) or 0)
    if abs(number) > _MAX_TIME:
        raise ValueError
    return number
