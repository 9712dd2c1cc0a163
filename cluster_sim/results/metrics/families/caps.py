"""Power caps of racks and rows: whether their nodes keep them; warm-up included."""

from __future__ import annotations

from cluster_sim.deployment.power_caps import capped_nodes
from cluster_sim.results.capped_power import WINDOW_S, highest_of_cap
from cluster_sim.results.metrics.metric import MACHINES, Metric, Row
from cluster_sim.results.metrics.selection import Selection
from cluster_sim.results.metrics.site_meter import nodes_of


def _highest_of_cap(selection: Selection) -> float | None:
    """Return the highest power over the cap, or None without a cap of a rack or row.

    It is None for a pool, since all pools share a cap, and if the power of a device is not known.
    """
    groups = [] if selection.pool is not None else list(capped_nodes(selection.run.scenario))
    nodes = selection.once(nodes_of) if groups else None
    return highest_of_cap(groups, nodes) if nodes else None


METRICS = (
    Metric(
        "highest_power_of_cap",
        "share",
        f"Highest mean power over {WINDOW_S:g} s of the nodes of a rack or row, as a share of its power cap: "
        "above 1 if the cap was not kept. Absent without such a cap.",
        _highest_of_cap,
        scope=MACHINES,
        label=f"highest power over {WINDOW_S:g} s, share of the power cap",
        row=Row(403, f"highest power over {WINDOW_S:g} s, of the cap", ".0%"),
    ),
)
