"""Construction of the tables of results from the rows of a run that has ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from cluster_sim.deployment.fleet import resolve
from cluster_sim.deployment.thermal_groups import ThermalGroup
from cluster_sim.results.recorder import Recorder
from cluster_sim.results.states import States, state_for
from cluster_sim.results.tables.attempts import attempts_table, client_requests_table
from cluster_sim.results.tables.devices import devices_table
from cluster_sim.results.tables.ended import Ended
from cluster_sim.results.tables.events import (
    clocks_table,
    events_table,
    states_table,
    transfers_table,
)
from cluster_sim.results.tables.links import links_table
from cluster_sim.results.tables.requests import requests_table
from cluster_sim.results.tables.stretches import stretches_table
from cluster_sim.results.tables.thermal import thermal_table, with_extremes
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.topology import Route


class Tables(NamedTuple):
    """Tables of a run; names are those of run_data.TABLES."""

    requests: pa.Table
    attempts: pa.Table
    stretches: pa.Table
    devices: pa.Table
    links: pa.Table
    events: pa.Table
    transfers: pa.Table
    thermal: pa.Table
    states: pa.Table
    clocks: pa.Table


class Built(NamedTuple):
    """Tables of a run, and its simulated time."""

    tables: Tables
    simulated_s: float
    """Time from 0 until the last step ends, request arrives or leaves, or replica changes its state
    [s]."""


def build_tables(
    scenario: Scenario,
    recorder: Recorder,
    paths: Sequence[Route],
    groups: Sequence[ThermalGroup] = (),
) -> Built:
    """Return the tables of a run that has ended.

    Parameters
    ----------
    scenario
        Scenario of the run.
    recorder
        Rows recorded during the run.
    paths
        Path from the front door to each replica, by number.
    groups
        Groups of devices with equal temperatures; empty if temperatures are not simulated.
    """
    fleet = resolve(scenario)
    latencies_s = np.array(fleet.answer_latencies_s)
    stretches = stretches_table(fleet, recorder)
    served = requests_table(scenario, recorder, latencies_s, stretches)
    requests, attempts = served, pa.table({})
    if recorder.originals:
        attempts = attempts_table(served, recorder)
        requests = client_requests_table(attempts, recorder)
    simulated_s = _simulated_s(served, stretches, recorder)
    _forget_after(recorder, simulated_s)
    changes = [(row.at_s, row.replica, state_for(row.state, row.cause)) for row in recorder.states]
    states = States(fleet, changes, simulated_s, recorder.clocks)
    run = Ended(fleet, stretches, states, simulated_s)
    thermal, extremes = thermal_table(run, groups, recorder.throttles)
    tables = Tables(
        requests=requests,
        attempts=attempts,
        stretches=stretches,
        devices=with_extremes(devices_table(run), extremes),
        links=links_table(fleet.topology, paths, served, recorder, simulated_s),
        events=events_table(recorder),
        transfers=transfers_table(recorder.transfers),
        thermal=thermal,
        states=states_table(recorder.states),
        clocks=clocks_table(recorder.clocks),
    )
    return Built(tables, simulated_s)


_DEPARTURES = frozenset({"failed", "timed_out", "cancelled"})
"""Kinds of events with which a request may leave after the last step."""


def _simulated_s(served: pa.Table, stretches: pa.Table, recorder: Recorder) -> float:
    last_s = float(np.max(stretches["ended_s"].to_numpy())) if len(stretches) else 0.0
    last_arrival_s = served["arrival_s"][-1].as_py() if len(served) else 0.0
    left_s = 0.0
    if recorder.originals or recorder.failed:
        left_s = max((row[0] for row in recorder.events if row[1] in _DEPARTURES), default=0.0)
    end_s = max(last_s, last_arrival_s, left_s)
    if recorder.inside:  # requests waited until replicas changed their states
        return max([end_s, *(row.at_s for row in recorder.states)])
    return end_s


def _forget_after(recorder: Recorder, end_s: float) -> None:
    """Forget changes of state, clock locks and faults after the end of the run [s].

    Replicas that start or load weights then go on in the simulation, but nobody waits for them.
    """
    while recorder.states and recorder.states[-1].at_s > end_s:
        recorder.states.pop()
    while recorder.clocks and recorder.clocks[-1][0] > end_s:
        recorder.clocks.pop()
    while recorder.events and recorder.events[-1][0] > end_s and recorder.events[-1][3] < 0:
        recorder.events.pop()
        recorder.where.pop(len(recorder.events), None)
