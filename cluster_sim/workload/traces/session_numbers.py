"""Numbers of conversations by name; some names mean that there is no conversation."""

from __future__ import annotations

from typing import Any

import numpy as np

from cluster_sim.errors import shown
from cluster_sim.workload.traces.progress import Tally

_NO_NAMES = {"", "none", "null", "nan", "na", "n/a", "-", "\\n"}
"""Words for a missing name, in lower case: of Python, SQL, pandas, spreadsheets and logs."""
_MIN_ROWS = 20
"""Minimum number of rows for a note that most of them are one conversation."""


def is_name(value: Any) -> bool:
    """Return whether a value is a name, and not null, NaN or a word for a missing name."""
    if value is None or value != value:
        return False
    return not isinstance(value, str) or value.strip().casefold() not in _NO_NAMES


class SessionNumbers:
    """Numbers of conversations by name."""

    def __init__(self) -> None:
        self._numbers: dict[Any, int] = {}
        self._rows: dict[int, int] = {}
        """Number of rows by conversation; -1 counts rows without a conversation."""

    def of(self, name: Any) -> int:
        """Return the number of a conversation; -1 if the value is not a name."""
        if not is_name(name):
            return -1
        return self._numbers.setdefault(name, len(self._numbers))

    def count(self, sessions: np.ndarray) -> None:
        """Count the rows of these conversations."""
        numbers, rows = np.unique(sessions, return_counts=True)
        for number, count in zip(numbers.tolist(), rows.tolist(), strict=True):
            self._rows[number] = self._rows.get(number, 0) + count

    def note(self, key: str, tally: Tally) -> None:
        """Note the number of rows without a name under this key, and a name that most rows have."""
        rows = sum(self._rows.values())
        lone = self._rows.pop(-1, 0)
        if lone:
            tally.note(f"{lone:,} of {rows:,} rows have no {key} and belong to no conversation")
        number, most = max(self._rows.items(), key=lambda own: own[1], default=(-1, 0))
        if rows >= _MIN_ROWS and 2 * most > rows:
            name = next(name for name, own in self._numbers.items() if own == number)
            tally.note(
                f"{most:,} of {rows:,} rows have {key} {shown(str(name))} and are one conversation; if it means no conversation, leave it empty, or write replay: timestamps"
            )
