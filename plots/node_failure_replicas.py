"""Figure of the scenario node_failure_in_burst: replicas that are ready and lost, load and SLO.

python plots/node_failure_replicas.py
"""

from pathlib import Path

import cluster_sim
from cluster_sim import figures

HERE = Path(__file__).parent
SCENARIO = HERE.parent / "scenarios" / "node_failure_in_burst.yaml"

runs = [cluster_sim.simulate(scenario) for scenario in cluster_sim.load_variants(SCENARIO)]
picture = figures.draw("capacity_over_time", runs)
print(figures.save(picture, HERE / "node_failure_replicas.png", dpi=110))
