"""Power of the nodes of racks and rows beside their caps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cluster_sim.deployment.power_caps import CappedNodes
from cluster_sim.results.energy import PowerOverTime, together

WINDOW_S = 10.0
"""Window of means that are compared with a cap [s] (an estimate: supplies and breakers bear an
overload of a few seconds, and the control loops of devices need up to a second)."""


def highest_of_cap(groups: Sequence[CappedNodes], nodes: Sequence[PowerOverTime]) -> float:
    """Return the highest mean power over `WINDOW_S` of nodes that share a cap, over the cap.

    Several racks count by the worst one.

    Parameters
    ----------
    groups
        Nodes that share a cap: racks, and the row.
    nodes
        Power of all nodes over the same run, in order.
    """
    return max(_highest(group, nodes) for group in groups)


def _highest(group: CappedNodes, nodes: Sequence[PowerOverTime]) -> float:
    """Return the highest mean power over a window, over the highest cap of this window."""
    course = together([nodes[number] for number in group.nodes])
    end_s = float(course.time_s[-1])
    window_s = min(WINDOW_S, end_s)
    if window_s <= 0.0:
        return 0.0
    from_s = np.append(np.arange(0.0, end_s - window_s, window_s / 10.0), end_s - window_s)
    until_j, before_j = (course.energy_until_j(at_s) for at_s in (from_s + window_s, from_s))
    caps_w = [
        max(group.cap.at_w(at_s) for at_s in (begin_s, begin_s + window_s))
        for begin_s in from_s.tolist()
    ]
    return float(np.max((until_j - before_j) / window_s / np.array(caps_w)))
