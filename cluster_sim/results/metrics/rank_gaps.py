"""Gaps of decoding sequences whose attention ranks hold still at different times."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

    from cluster_sim.typing import Array


class RankHolds(NamedTuple):
    """Stretches in which sequences of a rank hold still, in order of replica, rank and time."""

    replica: Array
    """Number of the replica."""
    rank: Array
    """Number of the rank."""
    at_s: Array
    """Begin of the stretch [s]."""
    held: Array
    """Number of sequences outside the warm-up that hold still."""

    @classmethod
    def of(cls, events: pa.Table) -> RankHolds:
        """Return the holds in the table of events; none if no rank prefills apart."""
        what = events["what"].to_numpy()
        columns = ("at_s", "replica", "request", "value")
        at_s, replica, request, value = (events[name].to_numpy() for name in columns)
        is_sent, is_held = what == "on_rank", what == "rank_held"
        sent = zip(replica[is_sent], request[is_sent], at_s[is_sent], strict=True)
        rank_of = dict(zip(sent, value[is_sent], strict=True))
        held = zip(replica[is_held], request[is_held], at_s[is_held], strict=True)
        ranks = np.array([rank_of[key] for key in held], dtype=np.int64)
        order = np.lexsort((at_s[is_held], ranks, replica[is_held]))
        return cls(
            replica[is_held][order],
            ranks[order],
            at_s[is_held][order],
            value[is_held][order].astype(np.int64),
        )


class DelayedGaps(NamedTuple):
    """First gaps of sequences after their rank has held still."""

    row: Array
    """Place of the stretch whose first step ends the gap."""
    waits_s: Array
    """Time from the begin of the hold until that stretch begins [s]."""
    sequences: Array
    """Number of sequences with this gap."""


def delayed_gaps(holds: RankHolds, replica: Array, began_s: Array, leaving: Array) -> DelayedGaps:
    """Return the gaps that end with the first decode step of a rank after its holds.

    Parameters
    ----------
    holds
        Holds of ranks.
    replica, began_s
        Number of the replica and begin [s] of each stretch, in order of replica and time.
    leaving
        Number of sequences of each hold that were preempted before its end.
    """
    places = {
        key: row for row, key in enumerate(zip(replica.tolist(), began_s.tolist(), strict=True))
    }
    keys = zip(holds.replica.tolist(), holds.at_s.tolist(), strict=True)
    rows = np.array([places.get(key, -1) for key in keys], dtype=np.int64)
    known = rows >= 0  # the stretch in progress at a loss or at the end has no row
    row, rank, count = rows[known], holds.rank[known], holds.held[known]
    of = holds.replica[known]
    goes_on = np.zeros(len(row), dtype=bool)
    goes_on[1:] = (row[1:] == row[:-1] + 1) & (rank[1:] == rank[:-1]) & (of[1:] == of[:-1])
    before = np.where(goes_on, np.append(0, count[:-1]), 0)
    group = count - before - leaving[known]
    last = np.append(~goes_on[1:], True) if len(row) else goes_on
    stops = np.flatnonzero(last)
    end = row[stops[np.searchsorted(stops, np.arange(len(row)))]] + 1
    ends = (end < len(replica)) & (group > 0)
    ends[ends] = replica[end[ends]] == of[ends]
    return DelayedGaps(end[ends], began_s[end[ends]] - began_s[row[ends]], group[ends])
