"""Power of the nodes of racks and rows beside their caps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cluster_sim.deployment.power_caps import CappedNodes, capped_nodes
from cluster_sim.results import energy

if TYPE_CHECKING:
    from cluster_sim.results.run_data import RunData

WINDOW_S = 10.0
"""Window of means that are compared with a cap [s] (an estimate: supplies and breakers bear an
overload of a few seconds, and the control loops of devices need up to a second)."""


def highest_of_cap(run: RunData) -> float | None:
    """Return the highest mean power over `WINDOW_S` of nodes that share a cap, over the cap.

    Several racks count by the worst one. The result is None without a cap of a rack or row, and if
    the power of a device is not known.
    """
    groups = list(capped_nodes(run.scenario))
    nodes = energy.nodes(run) if groups else None
    return max(_highest(group, nodes) for group in groups) if nodes else None


def _highest(group: CappedNodes, nodes: list[energy.PowerOverTime]) -> float:
    """Return the highest mean power over a window, over the highest cap of this window."""
    course = energy.together([nodes[number] for number in group.nodes])
    energy_j = np.append(0.0, np.cumsum(course.watts * np.diff(course.time_s)))
    end_s = float(course.time_s[-1])
    window_s = min(WINDOW_S, end_s)
    if window_s <= 0.0:
        return 0.0
    from_s = np.append(np.arange(0.0, end_s - window_s, window_s / 10.0), end_s - window_s)
    until_j, before_j = (
        np.interp(at_s, course.time_s, energy_j) for at_s in (from_s + window_s, from_s)
    )
    caps_w = [
        max(group.cap.at_w(at_s) for at_s in (begin_s, begin_s + window_s))
        for begin_s in from_s.tolist()
    ]
    return float(np.max((until_j - before_j) / window_s / np.array(caps_w)))
