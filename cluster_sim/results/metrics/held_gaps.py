"""Gaps of decoding sequences that hold still while steps prefill, as SGLang schedules them.

A stretch with `batch` 0 and `counted` above 0 is a hold: this number of sequences wait for their
next token. The first decode step after one or more holds ends a gap that is longer than the step.
Sequences that joined at the same time have equal gaps, so there is a group per stretch that holds,
however large the batch.

Attention ranks hold at different times. The event `rank_held` says how many sequences of a rank
hold in a stretch, and `on_rank` which rank it is; `counted` of a stretch in which other ranks
decode leaves these sequences out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cluster_sim.results.metrics.rank_gaps import RankHolds, delayed_gaps

if TYPE_CHECKING:
    import pyarrow as pa

    from cluster_sim.typing import Array


class Ramps(NamedTuple):
    """Durations as ramps, with the meaning of the fields of gaps.Gaps."""

    first_s: Array
    slope_s: Array
    steps: Array
    weight: Array


def decode_gaps(stretches: pa.Table, events: pa.Table, selected: Array, is_counted: Array) -> Ramps:
    """Return the gaps that end with the steps of the selected stretches.

    Parameters
    ----------
    stretches
        Table of stretches.
    events
        Table of events.
    selected
        Whether each stretch is selected; replicas are selected as a whole.
    is_counted
        Whether each request counts for the statistics.
    """
    holds = RankHolds.of(events)
    if not len(holds.at_s):
        return _of_replicas(stretches, events, selected, is_counted)
    ranked = np.isin(stretches["replica"].to_numpy(), holds.replica)
    return _joined(
        _of_ranks(stretches, holds, selected & ranked, _leaving(events, holds, is_counted)),
        _of_replicas(stretches, events, selected & ~ranked, is_counted),
    )


def _of_replicas(
    stretches: pa.Table, events: pa.Table, selected: Array, is_counted: Array
) -> Ramps:
    """Return the gaps if the sequences of a replica hold still together; see decode_gaps."""
    replica, began_s, first_s, slope_s, steps, batch, weight = (
        stretches[name].to_numpy()[selected]
        for name in ("replica", "began_s", "first_s", "slope_s", "steps", "batch", "counted")
    )
    decodes = (batch > 0) & (weight > 0)
    if not np.any((batch == 0) & (weight > 0)):
        return Ramps(first_s[decodes], slope_s[decodes], steps[decodes], weight[decodes])
    order = np.argsort(replica, kind="stable")  # in order of time within a replica
    replica, began_s, first_s, slope_s, steps, batch, weight = (
        values[order] for values in (replica, began_s, first_s, slope_s, steps, batch, weight)
    )
    holds = (batch == 0) & (weight > 0)
    follows = np.append(False, holds[:-1] & (replica[1:] == replica[:-1]))
    before = np.where(follows, np.append(0, weight[:-1]), 0)
    group = np.where(holds, weight - before, 0)  # sequences with the last token at `began_s`
    _leave_out(events, is_counted, (replica, began_s, holds), group)
    end = _next(~holds)
    ends = holds & (end < len(end))
    end = np.where(ends, end, 0)
    ends &= (replica[end] == replica) & (batch[end] > 0)
    group, end = group[ends], end[ends]
    delayed = np.bincount(end, group, minlength=len(steps)).astype(np.int64)
    firsts = Ramps(first_s, slope_s, np.where(delayed > 0, 1, steps), weight - delayed)
    others = Ramps(first_s + slope_s, slope_s, np.where(delayed > 0, steps - 1, 0), weight)
    waits_s = began_s[end] - began_s[ends] + first_s[end]
    longer = Ramps(waits_s, 0.0 * waits_s, np.ones_like(group), group)
    return _joined(longer, _of(firsts, batch > 0), _of(others, batch > 0))


def _of_ranks(stretches: pa.Table, holds: RankHolds, selected: Array, leaving: Array) -> Ramps:
    """Return the gaps if ranks hold still at different times.

    leaving: number of sequences of each hold that were preempted before its end.
    """
    replica = stretches["replica"].to_numpy()
    order = np.flatnonzero(selected)
    order = order[np.argsort(replica[order], kind="stable")]
    replica, began_s, first_s, slope_s, steps, batch, weight = (
        stretches[name].to_numpy()[order]
        for name in ("replica", "began_s", "first_s", "slope_s", "steps", "batch", "counted")
    )
    late = delayed_gaps(holds, replica, began_s, leaving)
    delayed = np.bincount(late.row, late.sequences, minlength=len(steps)).astype(np.int64)
    decodes = batch > 0
    firsts = Ramps(first_s, slope_s, np.where(delayed > 0, 1, steps), weight - delayed)
    others = Ramps(first_s + slope_s, slope_s, np.where(delayed > 0, steps - 1, 0), weight)
    waits_s = late.waits_s + first_s[late.row]
    longer = Ramps(waits_s, 0.0 * waits_s, np.ones_like(late.sequences), late.sequences)
    return _joined(longer, _of(firsts, decodes), _of(others, decodes))


def _leaving(events: pa.Table, holds: RankHolds, is_counted: Array) -> Array:
    """Return the number of sequences of each hold that were preempted before its end."""
    leaving = np.zeros(len(holds.at_s), dtype=np.int64)
    what = events["what"].to_numpy()
    names = ("request", "at_s", "value", "replica")
    request, at_s, value, number = (events[name].to_numpy() for name in names)
    sent = np.flatnonzero(what == "on_rank")
    rank_of = dict(zip(zip(request[sent], number[sent], strict=True), value[sent], strict=True))
    for place in np.flatnonzero((what == "held") & is_counted[request]):
        rank = rank_of.get((request[place], number[place]), 0.0)
        own = np.flatnonzero((holds.replica == number[place]) & (holds.rank == rank))
        if len(own):
            nearest = np.argmin(np.abs(holds.at_s[own] - (at_s[place] - value[place])))
            leaving[own[nearest]] += 1
    return leaving


def _joined(*parts: Ramps) -> Ramps:
    """Return all ramps with steps and weight."""
    whole = Ramps(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    return _of(whole, (whole.steps > 0) & (whole.weight > 0))


def _of(ramps: Ramps, rows: Array) -> Ramps:
    return Ramps(*(column[rows] for column in ramps))


def _next(is_marked: Array) -> Array:
    """Return the first marked row at or after each row; the number of rows if there is none."""
    marked = np.append(np.flatnonzero(is_marked), len(is_marked))
    return marked[np.searchsorted(marked, np.arange(len(is_marked)))]


def _leave_out(
    events: pa.Table, is_counted: Array, rows: tuple[Array, Array, Array], group: Array
) -> None:
    """Leave requests that were preempted at the end of a hold out of the groups, in place.

    Their gaps end elsewhere, and other events record them. `rows`: replica, begin [s], and whether
    the stretch is a hold.
    """
    replica, began_s, holds = rows
    of_kind = np.flatnonzero(events["what"].to_numpy() == "held")
    request, at_s, value, number = (
        events[name].to_numpy()[of_kind] for name in ("request", "at_s", "value", "replica")
    )
    of_replica = {each: np.flatnonzero(holds & (replica == each)) for each in np.unique(number)}
    for place in np.flatnonzero(is_counted[request]):
        own = of_replica[number[place]]
        if len(own):
            nearest = np.argmin(np.abs(began_s[own] - (at_s[place] - value[place])))
            group[own[nearest]] -= 1
