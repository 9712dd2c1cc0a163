"""Figure of a day with bursts on pools that scale: two runs of scenarios/autoscale_day.yaml, 20 s.

python plots/autoscale_day.py
"""

from pathlib import Path

import cluster_sim
from cluster_sim import figures

HERE = Path(__file__).parent

if __name__ == "__main__":
    scenario = HERE.parent / "scenarios" / "autoscale_day.yaml"
    runs = [
        cluster_sim.simulate(cluster_sim.load_scenario(scenario, variant))
        for variant in ("scaled", "scaled-scheduled")
    ]
    picture = figures.draw("capacity_over_time", runs)
    print(figures.save(picture, HERE / "autoscale_day.png", dpi=110))
