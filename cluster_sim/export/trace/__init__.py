"""Export of a run as a Perfetto trace, with tracks of replicas, KV transfers and requests."""

from __future__ import annotations

from pathlib import Path
from typing import IO

from cluster_sim.deployment.fleet import resolve
from cluster_sim.errors import cannot_write
from cluster_sim.export.perfetto import TraceEvent, TraceWriter
from cluster_sim.export.trace.changes import idle_changes, state_changes
from cluster_sim.export.trace.devices import write_devices
from cluster_sim.export.trace.links import write_links
from cluster_sim.export.trace.replicas import (
    EVENTS,
    STRETCH_FIGURES,
    STRETCHES,
    ReplicaTracks,
    write_events,
    write_states,
    write_stretches,
)
from cluster_sim.export.trace.requests import PHASES, REQUEST_FIGURES, RequestTracks
from cluster_sim.export.trace.tables import RunTables, ns
from cluster_sim.results.run_info import RunInfo
from cluster_sim.results.stored_run import about_run, summary_totals
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.whole_files import whole_file

CATEGORIES = ("run", "stretch", "request", "phase", "transfer", "event", "state")
"""Categories for SQL queries, such as `select … from slice where category = 'request'`."""

_NAMES = (
    *CATEGORIES,
    *PHASES,
    *STRETCHES,
    *EVENTS,
    "run",
    "KV",
    *STRETCH_FIGURES,
    *REQUEST_FIGURES,
    "request",
    "bytes",
    "value",
    "reason",
    "where",
    "cause",
)
"""Frequent names, which are written once."""


def write(folder: str | Path, path: str | Path) -> Path:
    """Write the run in `folder` as a Perfetto trace to `path`, completely or not at all.

    Each replica has a track of stretches (sequences of engine steps) and events, with counters of its
    sequences, queue, KV cache, memory bandwidth and power. A replica that starts, drains or is lost has
    a track of its states. Faults, repairs and scaling are on a track of the cluster. Each pair of replicas with KV transfers
    has a track. Each request has its phases on one of the tracks of requests, of which there are as
    many as concurrent requests, and an arrow from its arrival over its replicas to its finish.
    Slices have their figures as arguments. Times are simulated times. Tables are read in parts.

    Parameters
    ----------
    folder
        Folder of a run.
    path
        Path of the trace.

    Returns
    -------
    Path
        Path of the trace.

    Raises
    ------
    ScenarioError
        If `folder` has no run, a table is missing, or `path` cannot be written.
    """
    folder, path = Path(folder), Path(path)
    scenario, manifest = about_run(folder)
    info = RunInfo.from_manifest(manifest, str(folder))
    totals = summary_totals(folder)
    try:
        with whole_file(path) as making, making.open("wb", buffering=1 << 20) as file:
            _write(scenario, RunTables(folder), totals, ns(info.simulated_s), file)
    except OSError as fault:
        raise cannot_write(path, fault) from fault
    return path


def _write(
    scenario: Scenario,
    tables: RunTables,
    totals: dict[str, float],
    end_ns: int,
    file: IO[bytes],
) -> None:
    """Write a slice over the whole run with the totals of its summary, and the tables of the run."""
    out = TraceWriter(file, list(dict.fromkeys((*_NAMES, *totals))))
    fleet = resolve(scenario)
    latencies_s = fleet.answer_latencies_s
    about = f"Simulated: {scenario.model.name}, seed {scenario.seed}"
    track = out.track(scenario.title, rank=0, description=about)
    out.begin(track, 0, TraceEvent("run", "run", totals))
    out.end(track, end_ns)
    group = out.track("Replicas", rank=2)
    changes = state_changes(tables)
    idle = idle_changes(tables, fleet, changes)
    replicas = [
        ReplicaTracks(out, group, spec, idle.get(spec.number, ())) for spec in fleet.replicas
    ]
    RequestTracks(out, replicas, latencies_s, end_ns).write(tables)
    write_stretches(tables, replicas, end_ns)
    write_states(changes, replicas, out, end_ns)
    write_events(tables, replicas, out)
    write_links(tables, replicas, latencies_s, fleet.topology, out)
    write_devices(tables, out)
