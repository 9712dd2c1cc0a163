"""Notes on the traces that scenarios replay, before a study runs the scenarios many times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import inf
from typing import NamedTuple

from cluster_sim.errors import ScenarioError
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.workload.end_of_arrivals import trace_goes_on
from cluster_sim.workload.traces import Tally, Trace


class _Part(NamedTuple):
    """Part of a trace that is replayed."""

    trace: Trace
    """The trace."""
    as_sessions: bool
    """Whether the trace is read session by session, also if it has times."""
    until_s: float
    """Time at which arrivals end [s]."""


def trace_notes(scenarios: Iterable[Scenario], most: float = inf) -> Iterator[str]:
    """Yield the notes on the traces of scenarios, each sentence once per file.

    A trace is read once, as far as a run reads it, or up to a maximum number of requests. A
    malformed trace has no notes: the code that replays it raises the fault.
    """
    parts = dict.fromkeys(part for scenario in scenarios if (part := _part(scenario)) is not None)
    sentences = (f"{part.trace.path}: {each}" for part in parts for each in _sentences(part, most))
    yield from dict.fromkeys(sentences)


def _part(scenario: Scenario) -> _Part | None:
    workload = scenario.workload
    if workload.recorded is None:
        return None
    if workload.trace is None or scenario.duration_s is None:
        return _Part(workload.recorded, as_sessions=workload.trace is None, until_s=inf)
    return _Part(workload.trace, as_sessions=False, until_s=scenario.duration_s)


def _sentences(part: _Part, most: float) -> list[str]:
    """Return the sentences on one part of a trace, of which at most `most` requests are read."""
    tally = Tally()
    try:
        for start_s, requests in _pieces(part, tally):
            most -= requests
            if start_s >= part.until_s:
                tally.note(trace_goes_on(part.until_s))
                break
            if most <= 0:
                break
    except ScenarioError:
        return []
    return list(tally.said())


def _pieces(part: _Part, tally: Tally) -> Iterator[tuple[float, float]]:
    """Yield the last time [s] and the number of requests of each piece that is read."""
    trace, limit = part.trace, part.trace.limit or inf
    if not part.as_sessions and not trace.replays_sessions:
        for batch in trace.batches(tally=tally):
            yield float(batch.time_s[-1]) if len(batch.time_s) else -inf, len(batch.time_s)
        return
    sessions = trace.sessions(tally) if part.as_sessions else trace.replayed_sessions(tally=tally)
    for session in sessions:
        yield session.start_s, len(session.steps)
        limit -= len(session.steps)
        if limit <= 0:
            return
