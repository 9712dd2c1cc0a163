"""Figures of replicas over time: a day with autoscaling, and the failure of a node in a burst.

python plots/capacity.py
"""

from pathlib import Path

import cluster_sim
from cluster_sim import figures

HERE = Path(__file__).parent
SHOWN = {
    "autoscale_day": ("fixed-peak", "scaled", "scaled-scheduled"),
    "node_failure_in_burst": ("no-failure", "node-failure", "node-failure-spare"),
}
"""Variants that are shown, by scenario."""

for name, variants in SHOWN.items():
    path = HERE.parent / "scenarios" / f"{name}.yaml"
    runs = [cluster_sim.simulate(cluster_sim.load_scenario(path, each)) for each in variants]
    picture = figures.draw("capacity_over_time", runs)
    print(figures.save(picture, HERE / f"{name}.png", dpi=110))
