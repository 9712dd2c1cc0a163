"""Reader of LLMServingSim's JSON lines: single requests, or sessions with tools between requests."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
from orjson import loads

from cluster_sim.workload.traces.clock import MAX_STAMP, TraceClock
from cluster_sim.workload.traces.files import opened
from cluster_sim.workload.traces.json_rows import MALFORMED, KeyedRow, KeyedRows, keyed_batches
from cluster_sim.workload.traces.recorded import RecordedSession, RecordedStep
from cluster_sim.workload.traces.rows import (
    AT_A_TIME,
    MAX_TOKENS,
    Batch,
    batch_of_columns,
    numbers,
    tokens,
)
from cluster_sim.workload.traces.source import TraceSource
from cluster_sim.workload.traces.stamps import Stamps

_BLOCK_TOKENS = 16
"""Length of a block of token ids [tokens]."""

_EXPECTED = '{"arrival_time_ns": ns, "input_toks": tokens, "output_toks": tokens}'
_EXPECTED_SESSION = '{"session_id": …, "arrival_time_ns": ns, "sub_requests": [{"input_toks": tokens, "output_toks": tokens, "tool_duration_ns": ns}]}'


def llmservingsim_batches(source: TraceSource) -> Iterator[Batch]:
    """Yield the rows in the order of the file.

    If rows have token ids, prompts with the same beginning share its complete blocks of 16 tokens.
    Raises ScenarioError with the line of a row that is malformed, or that is a session.
    """
    times = Stamps(source, "arrival_time_ns", "ns")

    def batch_of(keyed: KeyedRows) -> Batch:
        stamps, prompts, outputs, blocks, known = [], [], [], [], False
        for place, row in enumerate(keyed.rows):
            if "sub_requests" in row:
                source.place.refuse_at(
                    int(keyed.lines[place]),
                    "is a session with requests that wait for answers; expected replay: sessions",
                )
            stamps.append(row["arrival_time_ns"])
            prompts.append(row["input_toks"])
            outputs.append(row["output_toks"])
            blocks.append(_blocks(row.get("input_tok_ids") or ()))
            known |= len(blocks[-1]) > 0
        return batch_of_columns(
            times.seconds(numbers(stamps), keyed.lines),
            tokens(prompts),
            tokens(outputs),
            [(own, _BLOCK_TOKENS) for own in blocks] if known else None,
            keyed.lines,
        )

    return keyed_batches(source.path, source.place, batch_of, _EXPECTED)


def _blocks(ids: Sequence[int]) -> Sequence[int]:
    """Return an identity per complete block, which depends on all token ids up to its end."""
    identity, identities = 0, array("q")
    for first in range(0, len(ids) - _BLOCK_TOKENS + 1, _BLOCK_TOKENS):
        # Python's hash of a tuple of numbers is equal in every process.
        identity = hash((identity, *ids[first : first + _BLOCK_TOKENS]))
        identities.append(identity)
    return identities


def llmservingsim_sessions(source: TraceSource) -> Iterator[RecordedSession]:
    """Yield the sessions in the order of the file.

    The format does not say which part of a prompt is new, so no part is treated as shared. Raises
    ScenarioError with the line of a session that is malformed.
    """
    # The starts of sessions count from time zero of the file.
    times = Stamps(source._replace(clock=TraceClock()), "arrival_time_ns", "ns")
    with opened(source.path) as text:
        numbered = ((at, line) for at, line in enumerate(text, start=1) if line.strip())
        while some := list(islice(numbered, AT_A_TIME)):
            # The first sessions decide on the unit together.
            rows = [_parsed(source, line, at) for at, line in some]
            lines = np.array([at for at, _ in some])
            stamps = numbers([row["arrival_time_ns"] for row in rows])
            times.seconds(stamps, lines)
            starts_s = times.spans(stamps).tolist()
            for start_s, row, (at, line) in zip(starts_s, rows, some, strict=True):
                try:
                    recorded = _session(row, start_s, times)
                except MALFORMED:
                    source.place.refuse_text(line, _EXPECTED_SESSION, at)
                yield recorded


def _parsed(source: TraceSource, line: str, number: int) -> KeyedRow:
    """Return the row of a line.

    Raises ScenarioError if it is not JSON or its timestamp is not a number.
    """
    try:
        row: KeyedRow = loads(line)
        if not abs(float(numbers([row["arrival_time_ns"]])[0])) < MAX_STAMP:
            raise ValueError
    except MALFORMED:
        source.place.refuse_text(line, _EXPECTED_SESSION, number)
    return row


def _session(row: KeyedRow, start_s: float, times: Stamps) -> RecordedSession:
    """Return the session of a row. Raises one of MALFORMED if it is malformed."""
    requests = row["sub_requests"]
    pauses = np.array([float(step.get("tool_duration_ns", 0)) for step in requests])
    gaps_s = [0.0, *times.spans(pauses).tolist()]
    if not all(0.0 <= gap_s < 1e9 for gap_s in gaps_s):
        raise ValueError
    steps = [
        RecordedStep(gap_s, _tokens(step["input_toks"]), _tokens(step["output_toks"]), (), 1)
        for gap_s, step in zip(gaps_s, requests, strict=False)
    ]
    return RecordedSession(start_s, tuple(steps))


def _tokens(value: object) -> int:
    if type(value) is not int or not 0 <= value <= MAX_TOKENS:
        raise ValueError
    return value
