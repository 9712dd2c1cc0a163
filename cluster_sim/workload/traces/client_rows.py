"""Functions that all readers of benchmark clients' files share: selection and order of rows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise
from typing import Any

import numpy as np

from cluster_sim.workload.traces.files import opened
from cluster_sim.workload.traces.linked import joined
from cluster_sim.workload.traces.progress import Tally
from cluster_sim.workload.traces.rows import AT_A_TIME, NONE, Batch, Links, numbers
from cluster_sim.workload.traces.stamps import Choose, Stamps

_LATER_TURN = re.compile(r'"turn_index"\s*:\s*[1-9]')
_CHUNK = 1 << 20
"""Number of characters that are searched together."""


def without(batch: Batch, failed: np.ndarray, warmup: np.ndarray, tally: Tally) -> Batch:
    """Return the rows that are neither failures nor warm-up, and count the omitted rows."""
    left_out = int(np.sum(failed | warmup))
    tally.rows += left_out
    tally.warmup += int(np.sum(warmup))
    tally.failed += left_out - int(np.sum(warmup))
    return batch.take(~(failed | warmup)) if left_out else batch


def in_time_order(batches: Iterable[Batch]) -> Iterator[Batch]:
    """Yield all rows in order of time, since clients write requests in the order of their ends.

    All rows are held in memory together.
    """
    rows = joined([NONE, *batches])
    order = np.argsort(rows.time_s, kind="stable")
    for first in range(0, len(order), AT_A_TIME):
        yield rows.take(order[first : first + AT_A_TIME])


def starts_s(
    times: Stamps, stamps: Sequence[Any], lines: np.ndarray, choose: Choose | None = None
) -> np.ndarray:
    """Return the times at which requests were sent; NaN for None [s].

    `choose` chooses the unit, as in `Stamps.seconds`. Raises ValueError if a timestamp is neither a
    finite number nor None.
    """
    given = np.array([stamp is not None for stamp in stamps], dtype=bool)
    return _spread(given, times.seconds(_known(stamps), lines[given], choose))


def ends_s(times: Stamps, stamps: Sequence[Any]) -> np.ndarray:
    """Return the times at which answers ended; NaN for None [s].

    The unit of the timestamps is that of the starts. Raises ValueError if a timestamp is neither a
    finite number nor None.
    """
    given = np.array([stamp is not None for stamp in stamps], dtype=bool)
    return _spread(given, times.also_seconds(_known(stamps)))


def _known(stamps: Sequence[Any]) -> np.ndarray:
    return numbers([stamp for stamp in stamps if stamp is not None])


def _spread(given: np.ndarray, known_s: np.ndarray) -> np.ndarray:
    """Return a column with the known times at the given positions and NaN elsewhere [s]."""
    times_s = np.full(len(given), np.nan)
    times_s[given] = known_s
    return times_s


def links_of(session: Sequence[int], answered_s: np.ndarray, *, adds: bool = False) -> Links:
    """Return the links of rows whose pauses follow from the recorded ends of answers."""
    return Links(np.array(session), answered_s, np.full(len(answered_s), np.nan), adds)


def has_later_turns(path: str) -> bool:
    """Return whether a JSON file has conversations of several requests: a `turn_index` above 0."""
    with opened(path, has_lines=False) as text:
        parts = iter(lambda: text.read(_CHUNK), "")
        # A key may span two chunks.
        return any(_LATER_TURN.search(a[-64:] + b) for a, b in pairwise(chain([""], parts)))
