"""Simulator: from a scenario to the results of its run."""

from __future__ import annotations

import time

from cluster_sim.deployment.fleet import resolve
from cluster_sim.loading.sampling import sampled
from cluster_sim.results.build_tables import build_tables
from cluster_sim.results.results import Results
from cluster_sim.results.run_info import RunInfo
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.sim.build import Simulation, build
from cluster_sim.sim.excluded import excluded
from cluster_sim.sim.limits import NO_LIMITS, RunLimits
from cluster_sim.sim.run import Onlookers, Progress, RunEnd, Watch, no_cycle_collection, run


def simulate(
    scenario: Scenario,
    progress: Progress | None = None,
    watch: Watch | None = None,
    limits: RunLimits = NO_LIMITS,
) -> Results:
    """Simulate a scenario to its end, or the sample of it that it asks for.

    Parameters
    ----------
    scenario
        Scenario, as `load_scenario` returns it.
    progress
        Function that is called from time to time with the simulated time [s] and the number of
        requests that have left.
    watch
        Function that is called from time to time with the simulated time [s] and the rows recorded
        so far.
    limits
        Limits of wall time and memory. A run that exceeds a limit stops early; its results cover
        the time until then, and `info.stopped` gives the reason.

    Returns
    -------
    Results
        Tables of the run. `info.notes` holds what commands print on stderr: how a trace was read,
        and which rows of it were omitted.

    Raises
    ------
    ScenarioError
        A trace turns out to be malformed during the run.
    SimulationError
        The simulation fails: an invariant of the program does not hold.

    Examples
    --------
    >>> import cluster_sim
    >>> few = {"workload.arrivals.concurrency": 2, "workload.arrivals.requests": 4}
    >>> scenario = cluster_sim.load_scenario("example:chat_closed_loop", "b200", few)
    >>> results = cluster_sim.simulate(scenario)
    >>> results.summary()["completed"], results.requests.num_rows
    (4, 4)
    """
    began_s, scenario = time.perf_counter(), sampled(scenario)
    fleet = resolve(scenario)
    simulation = build(scenario, fleet)
    with no_cycle_collection():
        end = run(simulation, Onlookers(progress, watch), limits)
        return gather(simulation, end, time.perf_counter() - began_s)


def gather(simulation: Simulation, end: RunEnd, wall_s: float) -> Results:
    """Return the results of a run that has ended.

    Parameters
    ----------
    simulation
        Processes of the run.
    end
        End of the run.
    wall_s
        Wall time of the run [s].
    """
    closed_loop = simulation.closed_loop
    tables, simulated_s = build_tables(
        simulation.scenario, simulation.recorder, simulation.paths, simulation.groups
    )
    capped_s = tuple(replica.capped_s for replica in simulation.replicas)
    injector = simulation.injector
    faults = () if injector is None else injector.notes(simulated_s)
    info = RunInfo(
        wall_s=wall_s,
        events=end.events,
        simulated_s=simulated_s,
        notes=(*simulation.tally.said(), *excluded(simulation, tables, end), *faults),
        sessions=None if closed_loop is None else closed_loop.sessions_ended,
        stopped=end.stopped,
        capped_s=capped_s if any(capped_s) else (),
    )
    return Results(simulation.scenario, **tables._asdict(), info=info)
