"""Number of waiting requests over a run, those that lost their replica included."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cluster_sim.results.event_rows import of_kinds
from cluster_sim.results.metrics.departures import left_s
from cluster_sim.results.step_function import StepFunction, from_changes

if TYPE_CHECKING:
    from cluster_sim.results.run_data import RunData

_ENDS_A_WAIT = ("resumed", "retried")
"""Kinds of events that end the wait of a request that lost its replica."""


class _Wait(NamedTuple):
    """Time in which one request waits [s]."""

    from_s: float
    until_s: float


def waiting(run: RunData) -> StepFunction:
    """Return the number of waiting requests over time.

    A request waits from its arrival until the first engine step that includes it. A request that
    lost its replica waits until its next token. Requests that are rejected never wait.
    """
    return _number_of([*_first_waits(run), *_waits_after_loss(run)])


def waiting_after_loss(run: RunData) -> StepFunction:
    """Return the number of requests over time that lost their replica and wait for the next token."""
    return _number_of(list(_waits_after_loss(run)))


def _number_of(waits: Sequence[_Wait]) -> StepFunction:
    """Return the number of waits over time."""
    return from_changes(
        [(wait.from_s, 1.0) for wait in waits]
        + [(wait.until_s, -1.0) for wait in waits if wait.until_s < inf]
    )


def _first_waits(run: RunData) -> Iterator[_Wait]:
    """Yield the time from the arrival of each request until its admission or departure."""
    accepted = run.served["status"].to_numpy() != "rejected"
    arrival_s, admitted_s = (run.served[name].to_numpy() for name in ("arrival_s", "admitted_s"))
    until_s = np.where(np.isnan(admitted_s), left_s(run), admitted_s)
    until_s = np.where(np.isnan(until_s), inf, until_s)
    rows = zip(arrival_s[accepted].tolist(), until_s[accepted].tolist(), strict=True)
    yield from (_Wait(*row) for row in rows)


def _waits_after_loss(run: RunData) -> Iterator[_Wait]:
    """Yield the time from each loss of a request in service until its next token or departure."""
    retried: dict[int, list[tuple[float, str]]] = {}
    if not run.events.num_rows or not of_kinds(run.events, ("retried",)).num_rows:
        return
    for row in of_kinds(run.events, _ENDS_A_WAIT).to_pylist():
        if row["what"] == "retried" or row["request"] in retried:
            retried.setdefault(row["request"], []).append((row["at_s"], row["what"]))
    admitted_s, first_token_s = (
        run.served[name].to_numpy() for name in ("admitted_s", "first_token_s")
    )
    ends_s = left_s(run)
    for number, events in retried.items():
        known_s = (first_token_s[number], ends_s[number])
        for (lost_s, what), following in zip(events, [*events[1:], (inf, "")], strict=True):
            if what == "retried" and admitted_s[number] <= lost_s:
                later_s = [following[0], *(at_s for at_s in known_s if at_s > lost_s)]
                yield _Wait(lost_s, float(min(later_s)))
