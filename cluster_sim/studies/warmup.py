"""Detection of the warm-up of runs, which their statistics omit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cluster_sim.results.metrics.finished import finished
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.studies.runner import Runner, all_reseeded
from cluster_sim.studies.statistics import mser5
from cluster_sim.typing import Array

Waits = tuple[Array, Array]
"""Arrival times and times to first token of finished requests [s], in order of arrival."""


def settled_s(scenarios: Sequence[Scenario], pilots: int, workers: int | None) -> float | None:
    """Return the time at which all scenarios are in steady state [s]; None if one is not.

    The time is estimated from separate pilot runs.

    Parameters
    ----------
    scenarios
        Scenarios.
    pilots
        Number of pilot runs per scenario.
    workers
        Number of processes; None for one per core, 0 for this process alone.
    """
    calls = {number: (waits, (all_reseeded(scenarios, number),)) for number in range(pilots)}
    runs = Runner(workers).outcomes(calls).values()
    times_s = [warmup_s(of_scenario) for of_scenario in zip(*runs, strict=True)]
    known_s = [time_s for time_s in times_s if time_s is not None]
    return max(known_s) if len(known_s) == len(times_s) else None


def waits(scenarios: Sequence[Scenario]) -> list[Waits]:
    """Simulate each scenario; return arrival times and times to first token of its requests."""
    from cluster_sim.sim.simulate import simulate

    runs = []
    for scenario in scenarios:
        done = finished(simulate(scenario))
        order = np.argsort(done.arrival_s, kind="stable")
        runs.append((done.arrival_s[order], done.ttft_s[order]))
    return runs


def warmup_s(runs: Sequence[Waits]) -> float | None:
    """Return the end of the warm-up of runs on several seeds, by MSER-5 on their mean.

    A separate end per run would follow random peaks and bias the mean of the rest.

    Parameters
    ----------
    runs
        Arrival times and times to first token [s] of each run of the same scenario.

    Returns
    -------
    float | None
        End of the warm-up [s]; None if no steady state is detected.
    """
    shortest = min(len(arrival_s) for arrival_s, _ in runs)
    cut = mser5(np.mean([ttft_s[:shortest] for _, ttft_s in runs], axis=0))
    if cut is None:
        return None
    return float(np.mean([arrival_s[cut] for arrival_s, _ in runs])) if cut else 0.0


def ends_by_itself(scenario: Scenario) -> bool:
    """Return whether the beginning of a run is part of the question.

    It is if all work arrives at time zero, and if the run replays a trace.
    """
    workload = scenario.workload
    if workload.trace is not None:
        return True
    return workload.arrivals is not None and workload.arrivals.ends_by_itself
