"""Gaps of decoding sequences that hold still while steps prefill, as SGLang schedules them.

A stretch with `batch` 0 and `counted` above 0 is a hold: this number of sequences wait for their
next token. The first decode step after one or more holds ends a gap that is longer than the step.
Sequences that joined at the same time have equal gaps, so there is a group per stretch that holds,
however large the batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

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
    parts = (longer, _of(firsts, batch > 0), _of(others, batch > 0))
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
