"""Reader of AIPerf's input: Mooncake's rows with `session_id`, and `delay` after an answer.

A row holds only the new tokens of a turn: the whole prompt consists of the earlier prompts and
answers, and the new tokens. A timestamp takes precedence over a delay. A turn waits for the previous
answer in any case. Source: AIPerf, docs/benchmark-modes/trace-replay.md and
docs/tutorials/multi-turn.md; src/aiperf/timing/strategies/fixed_schedule.py at 081615b.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from math import nan
from typing import Any, NamedTuple

import numpy as np

from cluster_sim.workload.traces.client_rows import starts_s
from cluster_sim.workload.traces.clock import PER_S, mooncake_unit
from cluster_sim.workload.traces.json_rows import KeyedRow, KeyedRows, keyed_batches
from cluster_sim.workload.traces.mooncake import BLOCK_TOKENS, MooncakeColumns, refuse_gaps
from cluster_sim.workload.traces.rows import Batch, Links, numbers
from cluster_sim.workload.traces.session_numbers import SessionNumbers
from cluster_sim.workload.traces.source import Beginning, TraceSource
from cluster_sim.workload.traces.stamps import Stamps

_KEYS = ("session_id", "timestamp", "delay", "input_length", "output_length", "hash_ids")
_EXPECTED = '{"session_id": name, "timestamp": ms (first turn) or "delay": ms after the answer, "input_length": tokens, "output_length": tokens}'
_MAX_DELAY_S = 1e9
_MAX_MEAN_S = 60.0
"""Mean delay above which delays are read as milliseconds, whatever the timestamps are [s]."""


def is_aiperf_rows(begun: Beginning) -> bool:
    """Return whether a file has rows of AIPerf's input."""
    return begun.has("input_length", "output_length") and (
        begun.has("session_id") or begun.has("delay")
    )


def aiperf_row_batches(source: TraceSource) -> Iterator[Batch]:
    """Yield the rows in the order of the file, linked by session.

    Raises ScenarioError with the line of a row that is malformed.
    """
    block_tokens = source.block_tokens or BLOCK_TOKENS
    sessions = SessionNumbers()
    keys: dict[str, None] = {}
    times = Stamps(source, "timestamp", "ms")
    pauses = _Delays(source)

    def batch_of(keyed: KeyedRows) -> Batch:
        turns = _Turns([], [], [])
        columns = MooncakeColumns.of(turns.watched(keyed.rows, sessions), block_tokens)
        unit = partial(mooncake_unit, has_blocks=columns.blocks is not None)
        time_s = starts_s(times, columns.stamps, keyed.lines, unit)
        delay_s = pauses.seconds(numbers(turns.delays), times.unit or "ms")
        session = np.array(turns.session)
        links = Links(session, np.full(len(time_s), nan), delay_s, adds=True)
        batch = columns.batch(time_s, keyed.lines, links)
        sessions.count(session)
        if any(turns.have_both):
            source.tally.note(
                "if a row has a timestamp and a delay, the timestamp is used, as in AIPerf; to use the delay, remove the timestamp"
            )
        return batch

    for batch in keyed_batches(source.path, source.place, batch_of, _EXPECTED, keys):
        refuse_gaps(batch, source.place, block_tokens)
        source.tally.note_unused(key for key in keys if key not in _KEYS)
        if "hash_ids" in keys:
            source.tally.note(
                "hash_ids of later turns are not used, since their prompts begin with the history"
            )
        yield batch
    sessions.note("session_id", source.tally)


class _Turns(NamedTuple):
    """Columns of rows that Mooncake's rows do not have."""

    delays: list[Any]
    """Delays in the unit of the file; NaN if a row has no delay, or has a timestamp."""
    session: list[int]
    """Number of the conversation of each row."""
    have_both: list[bool]
    """Whether each row has both a timestamp and a delay."""

    def watched(self, rows: Iterable[KeyedRow], sessions: SessionNumbers) -> Iterator[KeyedRow]:
        """Yield the rows, and add their values to the columns.

        Raises KeyError if a row has neither a timestamp nor a delay.
        """
        for row in rows:
            delay, stamp = row.get("delay"), row.get("timestamp")
            if stamp is None and delay is None:
                raise KeyError
            self.delays.append(nan if delay is None or stamp is not None else delay)
            self.session.append(sessions.of(row.get("session_id")))
            self.have_both.append(stamp is not None and delay is not None)
            yield row


class _Delays:
    """Reader of delays, in the unit of the timestamps unless that makes delays too long."""

    def __init__(self, source: TraceSource) -> None:
        self._source, self._unit = source, source.time_unit

    def seconds(self, delays: np.ndarray, unit: str) -> np.ndarray:
        """Return delays, given the unit of the timestamps; NaN for no delay [s].

        Raises ValueError if a delay is negative or too long.
        """
        is_given = ~np.isnan(delays)
        own = self._unit or unit
        if self._unit is None and own == "s" and np.any(is_given):
            mean_s = float(np.mean(delays[is_given]))
            # The documentation says milliseconds; the timestamps were read as seconds.
            own = self._unit = "ms" if mean_s > _MAX_MEAN_S else "s"
            name = "milliseconds" if own == "ms" else "seconds"
            self._source.tally.note(
                f"delay is read as {name}: as seconds its mean is {mean_s:,.6g} s; for another unit of timestamp and delay, write time_unit: ms or s"
            )
        delay_s: np.ndarray = delays / PER_S[own]
        if np.any(delay_s < 0.0) or np.any(delay_s > _MAX_DELAY_S):
            raise ValueError
        return delay_s
