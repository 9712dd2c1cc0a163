"""AIPerf's input of conversations: Mooncake's rows with `session_id`, and `delay` after an answer.

Rows of a conversation add to it: a later prompt is the prompts and answers before, and what the row
adds. A timestamp comes before a delay, and a turn waits for the answer before it in any case. Source:
AIPerf, docs/benchmark-modes/trace-replay.md and docs/tutorials/multi-turn.md;
src/aiperf/timing/strategies/fixed_schedule.py at 081615b.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import nan
from typing import Any

import numpy as np

from cluster_sim.workload.traces.json_rows import KeyedRows, keyed_batches
from cluster_sim.workload.traces.mooncake import BLOCK_TOKENS, compact, refuse_gaps
from cluster_sim.workload.traces.rows import Batch, Links, batch_of_columns, numbers, tokens
from cluster_sim.workload.traces.session_numbers import SessionNumbers
from cluster_sim.workload.traces.source import Beginning, TraceSource

_KEYS = ("session_id", "timestamp", "delay", "input_length", "output_length", "hash_ids")
_EXPECTED = '{"session_id": name, "timestamp": ms (first turn) or "delay": ms after the answer, "input_length": tokens, "output_length": tokens}'
_MAX_DELAY_MS = 1e12


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
    unit = source.time_unit or "ms"

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
        delay_s = numbers(delays) / _PER_S[unit]
        if np.any(delay_s < 0.0) or np.any(delay_s > _MAX_DELAY_MS / 1e3):
            raise ValueError
        unknown = np.full(len(stamps), nan)
        batch = batch_of_columns(
            _times_s(source, stamps, unit),
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


_PER_S = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}


def _times_s(source: TraceSource, stamps: list[Any], unit: str) -> np.ndarray:
    """Return the times [s]; NaN where a row has none."""
    given = np.array([stamp is not None for stamp in stamps])
    times_s = np.full(len(stamps), nan)
    if given.any():
        known = numbers([stamp for stamp in stamps if stamp is not None])
        times_s[given] = source.clock.of_numbers(known, unit)
    return times_s
