"""AIPerf's input of conversations: Mooncake's rows with `session_id`, and `delay` after an answer.

Rows of a conversation add to it: a later prompt is the prompts and answers before, and what the row
adds. A timestamp comes before a delay, and a turn waits for the answer before it in any case. Source:
AIPerf, docs/benchmark-modes/trace-replay.md and docs/tutorials/multi-turn.md;
src/aiperf/timing/strategies/fixed_schedule.py at 081615b.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from math import nan
from typing import Any

import numpy as np

from cluster_sim.workload.traces.clock import PER_S, mooncake_unit
from cluster_sim.workload.traces.json_rows import KeyedRows, keyed_batches
from cluster_sim.workload.traces.mooncake import BLOCK_TOKENS, compact, refuse_gaps
from cluster_sim.workload.traces.rows import Batch, Links, batch_of_columns, numbers, tokens
from cluster_sim.workload.traces.session_numbers import SessionNumbers
from cluster_sim.workload.traces.source import Beginning, TraceSource
from cluster_sim.workload.traces.stamps import Stamps

_KEYS = ("session_id", "timestamp", "delay", "input_length", "output_length", "hash_ids")
_EXPECTED = '{"session_id": name, "timestamp": ms (first turn) or "delay": ms after the answer, "input_length": tokens, "output_length": tokens}'
_MAX_DELAY_S = 1e9
_MAX_MEAN_S = 60.0
"""Mean delay above which delays are milliseconds, whatever the stamps are [s]."""


def is_aiperf_rows(begun: Beginning) -> bool:
    """Return whether a file holds such rows."""
    return begun.has("input_length", "output_length") and (
        begun.has("session_id") or begun.has("delay")
    )


def aiperf_row_batches(source: TraceSource) -> Iterator[Batch]:
    """Yield rows in the file's order, linked by their sessions.

    Raises ScenarioError with the line of a row that is malformed.
    """
    block_tokens = source.block_tokens or BLOCK_TOKENS
    sessions = SessionNumbers()
    keys: dict[str, None] = {}
    times = Stamps(source, "timestamp", "ms")
    pauses = _Delays(source)

    def batch_of(keyed: KeyedRows) -> Batch:
        has_both = False
        stamps, delays, prompts, outputs = [], [], [], []
        blocks, session, known = [], [], False
        for row in keyed.rows:
            delay = row.get("delay")
            stamp = row.get("timestamp")
            if stamp is None and delay is None:
                raise KeyError
            stamps.append(stamp)
            delays.append(nan if delay is None or stamp is not None else delay)
            has_both |= stamp is not None and delay is not None
            prompts.append(row["input_length"])
            outputs.append(row["output_length"])
            ids = row.get("hash_ids") or ()
            known |= len(ids) > 0
            blocks.append((compact(ids), block_tokens))
            session.append(sessions.of(row.get("session_id")))
        time_s = _times_s(times, stamps, keyed.lines, has_blocks=known)
        delay_s = pauses.seconds(numbers(delays), times.unit or "ms")
        unknown = np.full(len(stamps), nan)
        batch = batch_of_columns(
            time_s,
            tokens(prompts),
            tokens(outputs),
            blocks if known else None,
            keyed.lines,
            Links(np.array(session), unknown, delay_s, adds=True),
        )
        sessions.count(np.array(session))
        if has_both:
            source.tally.note(
                "where a row has a timestamp and a delay, the timestamp decides, as in AIPerf; for the delay, leave the timestamp out"
            )
        return batch

    for batch in keyed_batches(source.path, source.place, batch_of, _EXPECTED, keys):
        refuse_gaps(batch, source.place, block_tokens)
        source.tally.note_unused(key for key in keys if key not in _KEYS)
        if "hash_ids" in keys:
            source.tally.note("hash_ids of later turns are not used: they follow their history")
        yield batch
    sessions.note("session_id", source.tally)


def _times_s(
    times: Stamps, stamps: list[Any], lines: np.ndarray, *, has_blocks: bool
) -> np.ndarray:
    """Return the times [s]; NaN where a row has none."""
    given = np.array([stamp is not None for stamp in stamps])
    times_s = np.full(len(stamps), nan)
    if given.any():
        known = numbers([stamp for stamp in stamps if stamp is not None])
        unit = partial(mooncake_unit, has_blocks=has_blocks)
        times_s[given] = times.seconds(known, lines[given], unit)
    return times_s


class _Delays:
    """Reader of delays, in the unit of the stamps unless they are too long for that."""

    def __init__(self, source: TraceSource) -> None:
        self._source, self._unit = source, source.time_unit

    def seconds(self, delays: np.ndarray, unit: str) -> np.ndarray:
        """Return delays, given the unit of the stamps; NaN for none [s].

        Raises ValueError where one is negative or too long.
        """
        is_given = ~np.isnan(delays)
        own = self._unit or unit
        if self._unit is None and own == "s" and np.any(is_given):
            mean_s = float(np.mean(delays[is_given]))
            # The document says milliseconds; seconds are what the stamps were taken for.
            own = self._unit = "ms" if mean_s > _MAX_MEAN_S else "s"
            name = "milliseconds" if own == "ms" else "seconds"
            self._source.tally.note(
                f"delay is read as {name}: as seconds its mean is {mean_s:,.6g} s; for another unit of timestamp and delay, write time_unit: ms or s"
            )
        delay_s: np.ndarray = delays / PER_S[own]
        if np.any(delay_s < 0.0) or np.any(delay_s > _MAX_DELAY_S):
            raise ValueError
        return delay_s
