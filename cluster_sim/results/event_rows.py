"""Rows of the table of events by kind."""

from __future__ import annotations

from collections.abc import Collection

import pyarrow as pa
import pyarrow.compute as pc


def of_kinds(events: pa.Table, kinds: Collection[str]) -> pa.Table:
    """Return the rows of some kinds of events, in order of time.

    Parameters
    ----------
    events
        Table of events of a run.
    kinds
        Kinds of events, see columns.EVENT_KINDS.

    Examples
    --------
    >>> events = pa.table({"at_s": [1.0, 2.0], "what": ["preempted", "resumed"]})
    >>> of_kinds(events, ["resumed"])["at_s"].to_pylist()
    [2.0]
    """
    return events.filter(pc.is_in(events["what"], value_set=pa.array(list(kinds), pa.string())))
