"""Number of waiting requests over a run, those that lost their replica included."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf, isnan
from typing import TYPE_CHECKING, NamedTuple

from cluster_sim.results.event_rows import of_kinds
from cluster_sim.results.step_function import StepFunction, from_changes

if TYPE_CHECKING:
    from cluster_sim.results.run_data import RunData
    from cluster_sim.typing import Array

_LEAVES = ("failed", "timed_out", "cancelled")
"""Kinds of events with which a request leaves the cluster without its whole answer."""
_ENDS_A_WAIT = ("resumed", "retried", *_LEAVES)


class _Wait(NamedTuple):
    """Time in which one request waits [s]."""

    from_s: float
    until_s: float


def waiting(run: RunData) -> StepFunction:
    """Return the number of waiting requests over time.

    A request waits from its arrival until the first engine step that includes it. A request that
    lost its replica waits until its next token. Requests that are rejected never wait.
    """
    waits = [*_first_waits(run), *_waits_after_loss(run)]
    return from_changes(
        [(wait.from_s, 1.0) for wait in waits]
        + [(wait.until_s, -1.0) for wait in waits if wait.until_s < inf]
    )


def _first_waits(run: RunData) -> Iterator[_Wait]:
    """Yield the time from the arrival of each request until its admission or departure."""
    left = of_kinds(run.events, _LEAVES)
    left_s = dict(zip(left["request"].to_pylist(), left["at_s"].to_pylist(), strict=True))
    table = run.served
    accepted = table["status"].to_numpy() != "rejected"
    columns = (table[name].to_numpy()[accepted] for name in ("request", "arrival_s", "admitted_s"))
    for number, arrival_s, admitted_s in zip(*(column.tolist() for column in columns), strict=True):
        yield _Wait(arrival_s, left_s.get(number, inf) if isnan(admitted_s) else admitted_s)


def _waits_after_loss(run: RunData) -> Iterator[_Wait]:
    """Yield the time from each loss of a request in service until its next token or departure."""
    retried: dict[int, list[tuple[float, str]]] = {}
    for row in of_kinds(run.events, _ENDS_A_WAIT).to_pylist():
        if row["what"] == "retried" or row["request"] in retried:
            retried.setdefault(row["request"], []).append((row["at_s"], row["what"]))
    names = ("admitted_s", "first_token_s", "finish_s")
    times_s: list[Array] = [run.served[name].to_numpy() for name in names]
    for number, events in retried.items():
        admitted_s, *tokens_s = (float(column[number]) for column in times_s)
        for (lost_s, what), following in zip(events, [*events[1:], (inf, "")], strict=True):
            if what == "retried" and admitted_s <= lost_s:
                later_s = [following[0], *(at_s for at_s in tokens_s if at_s > lost_s)]
                yield _Wait(lost_s, min(later_s))
