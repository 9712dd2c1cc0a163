"""Tables of events and of transfers, from rows as recorded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from cluster_sim.results.columns import (
    CLOCK_COLUMNS,
    EVENT_COLUMNS,
    EVENT_REASON,
    EVENT_WHERE,
    STATE_COLUMNS,
    TRANSFER_COLUMNS,
)
from cluster_sim.results.recorder import Recorder, StateRow

_EVENT_TYPES = (pa.float64(), pa.string(), pa.int32(), pa.int64(), pa.float64())
_STATE_TYPES = (pa.float64(), pa.int32(), pa.string(), pa.string())
_CLOCK_TYPES = (pa.float64(), pa.int32(), pa.float64())
_TRANSFER_TYPES = (pa.string(), pa.int32(), pa.int32(), pa.int64(), *[pa.float64()] * 4)


def events_table(recorder: Recorder) -> pa.Table:
    """Return the events of a run, see columns.EVENTS."""
    events = _table(recorder.events, EVENT_COLUMNS, _EVENT_TYPES)
    reasons_of = {"rejected": recorder.rejected, "failed": recorder.failed}
    reasons = [
        reasons_of[what][number] if what in reasons_of else None
        for _, what, _, number, _ in recorder.events
    ]
    places = [recorder.where.get(row) for row in range(len(recorder.events))]
    return events.append_column(EVENT_REASON.name, pa.array(reasons, pa.string())).append_column(
        EVENT_WHERE.name, pa.array(places, pa.string())
    )


def states_table(rows: Sequence[StateRow]) -> pa.Table:
    """Return the changes of states of replicas, see columns.STATES."""
    return _table(rows, STATE_COLUMNS, _STATE_TYPES)


def clocks_table(rows: Sequence[Sequence[Any]]) -> pa.Table:
    """Return the changes of clock locks, see columns.CLOCKS; a table without columns for none."""
    return _table(rows, CLOCK_COLUMNS, _CLOCK_TYPES) if rows else pa.table({})


def transfers_table(rows: Sequence[Sequence[Any]]) -> pa.Table:
    """Return the transfers of a run, see columns.TRANSFERS."""
    return _table(rows, TRANSFER_COLUMNS, _TRANSFER_TYPES)


def _table(
    rows: Sequence[Sequence[Any]], names: Sequence[str], types: Sequence[pa.DataType]
) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return pa.table(
        {
            name: pa.array(values, kind)
            for name, values, kind in zip(names, columns, types, strict=True)
        }
    )
