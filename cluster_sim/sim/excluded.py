"""Notes on the traffic that `duration` and `warmup` excluded from a run."""

from __future__ import annotations

from collections.abc import Iterator

from cluster_sim.results.build_tables import Tables
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.sim.build import Simulation
from cluster_sim.sim.closed_loop import ClosedLoopSessions
from cluster_sim.sim.run import RunEnd
from cluster_sim.workload.end_of_arrivals import (
    all_in_warmup,
    drawn_sessions_cut,
    fewer_than_wanted,
    sessions_go_on,
    trace_goes_on,
)

_NOTABLE_SHARE = 0.5
"""Share of cut sessions among drawn sessions from which on a note reports them."""


def excluded(simulation: Simulation, tables: Tables, end: RunEnd) -> Iterator[str]:
    """Yield a sentence for each kind of traffic that the end of arrivals or the warm-up excluded.

    A run that stopped early has no sentence about the end of arrivals.
    """
    scenario, requests = simulation.scenario, tables.requests
    if scenario.duration_s is not None and end.stopped is None:
        loop, until_s = simulation.closed_loop, scenario.duration_s
        is_cut = True
        if isinstance(loop, ClosedLoopSessions):
            yield from _sessions(scenario, loop, until_s)
            is_cut = loop.starts_late or loop.sessions_cut > 0
        if is_cut:
            yield from _fewer(scenario, requests.num_rows, until_s)
    if scenario.warmup_s and requests.num_rows and not requests["counted"].to_numpy().any():
        is_trace, ends = scenario.workload.trace is not None, scenario.duration_s is not None
        yield all_in_warmup(requests.num_rows, scenario.warmup_s, is_trace=is_trace, ends=ends)


def _sessions(scenario: Scenario, loop: ClosedLoopSessions, until_s: float) -> Iterator[str]:
    """Yield a sentence on sessions that begin or go on after the end of arrivals [s]."""
    if scenario.workload.trace is not None:
        if loop.starts_late:
            yield trace_goes_on(until_s)
        if loop.sessions_cut:
            yield sessions_go_on(loop.sessions_cut, until_s)
    elif loop.sessions_cut >= _NOTABLE_SHARE * max(loop.sessions_begun, 1):
        yield drawn_sessions_cut(loop.sessions_cut, loop.sessions_begun, until_s)


def _fewer(scenario: Scenario, sent: int, until_s: float) -> Iterator[str]:
    """Yield a sentence on a number of requests that the end of arrivals [s] prevents."""
    workload, wanted = scenario.workload, scenario.requests_wanted
    has_end = workload.arrivals is not None and workload.arrivals.ends_by_itself
    if workload.trace is None and not has_end and wanted is not None and sent < wanted:
        yield fewer_than_wanted(sent, wanted, until_s)
