"""Leakage of the devices of nodes over time, from the table of temperatures."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from cluster_sim.results.run_data import RunData
    from cluster_sim.typing import Array


class NodeLeakage(NamedTuple):
    """Leakage of all devices of a node, relative to that in the constants of their power."""

    time_s: Array
    """Edges of equal bins from the beginning until the end of the run [s]."""
    watts: Array
    """Mean leakage in each bin [W]."""

    @property
    def energy_j(self) -> float:
        """Integral of the leakage [J]."""
        return float(np.sum(self.watts * np.diff(self.time_s)))


def leakage_of_nodes(run: RunData) -> dict[str, NodeLeakage]:
    """Return the leakage of each node by its name, such as `pool/0`.

    It is empty if temperatures were not simulated, if no device has a figure of its leakage, or if
    the run is one of an earlier version.
    """
    table = run.thermal
    if not table.num_rows or "leakage_w" not in table.column_names:
        return {}
    leakage_w = table["leakage_w"].to_numpy() * table["alike"].to_numpy()
    if not np.any(leakage_w):
        return {}
    at_s = table["at_s"].to_numpy()
    bins = int(np.argmax(np.append(np.diff(at_s) < 0.0, True))) + 1
    time_s = np.append(0.0, at_s[:bins])
    by_node: dict[str, Array] = {}
    groups = table["device"].take(np.arange(0, len(at_s), bins)).to_pylist()
    for device, watts in zip(groups, leakage_w.reshape(-1, bins), strict=True):
        node = str(device).rpartition("/")[0]
        by_node[node] = by_node[node] + watts if node in by_node else watts
    return {node: NodeLeakage(time_s, watts) for node, watts in by_node.items()}
