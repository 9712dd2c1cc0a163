"""Reader of a column of a table that names conversations, from Arrow arrays of any type."""

from __future__ import annotations

from typing import Any

import numpy as np

from cluster_sim.workload.traces.column_values import plain
from cluster_sim.workload.traces.progress import Tally
from cluster_sim.workload.traces.session_numbers import SessionNumbers


class ColumnSessions:
    """Numbers of sessions by their names in a column.

    Parameters
    ----------
    name
        Name of the column.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._sessions = SessionNumbers()
        self._read = np.zeros(0, dtype=np.int64)

    def numbers(self, values: Any) -> np.ndarray:
        """Return the number of each row's session; -1 for a row without a session."""
        import pyarrow as pa
        import pyarrow.compute as pc

        values, _ = plain(values, nulls=True)
        names = pc.fill_null(pc.utf8_trim_whitespace(values.cast(pa.string())), "")
        coded = names.dictionary_encode()
        own = [self._sessions.of(name) for name in coded.dictionary.to_pylist()]
        self._read = np.array(own, dtype=np.int64)[coded.indices.to_numpy()]
        return self._read

    def taken(self) -> None:
        """Count the rows of the last call of `numbers`, since they are valid."""
        self._sessions.count(self._read)

    def end(self, tally: Tally) -> None:
        """Add the notes on rows without a session, and on a session of most rows."""
        self._sessions.note(self._name, tally)
