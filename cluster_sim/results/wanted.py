"""Number of replicas that autoscaling asks for over a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cluster_sim.results.event_rows import of_kinds
from cluster_sim.results.states import READY, States
from cluster_sim.results.step_function import StepFunction, total

if TYPE_CHECKING:
    from cluster_sim.results.run_data import RunData

_SCALED = ("scaled_up", "scaled_down")


def wanted_replicas(run: RunData, states: States) -> StepFunction | None:
    """Return the number of replicas that are asked for, over time; None if nothing scales.

    A pool that does not scale asks for all of its replicas. A pool that scales asks at first for the
    replicas that are ready at time zero.

    Parameters
    ----------
    run
        Tables of a run.
    states
        States of its replicas.
    """
    if not states.scale:
        return None
    rows: dict[str, list[tuple[float, float]]] = {}
    for row in of_kinds(run.events, _SCALED).to_pylist():
        rows.setdefault(row["where"], []).append((row["at_s"], row["value"]))
    parts = []
    for deployment in run.fleet.deployments:
        ready = states.count(run.fleet.numbers(deployment.name), (READY,))
        first = (0.0, float(ready.at(np.zeros(1))[0]))
        of_pool = np.array([first, *rows.get(deployment.name, ())])
        parts.append(StepFunction(of_pool[:, 0], of_pool[:, 1]))
    return total(parts)
