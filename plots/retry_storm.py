"""Figure of the scenario retry_storm: attempts, goodput and waste with and without a retry budget.

python plots/retry_storm.py
"""

from pathlib import Path

import cluster_sim
from cluster_sim import figures

HERE = Path(__file__).parent
SCENARIO = HERE.parent / "scenarios" / "retry_storm.yaml"

runs = [cluster_sim.simulate(scenario) for scenario in cluster_sim.load_variants(SCENARIO)]
figures.save(figures.draw("attempts", runs), HERE / "retry_storm.png", dpi=110)
print(HERE / "retry_storm.png")
