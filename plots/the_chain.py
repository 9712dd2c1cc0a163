"""Figure of the scenario the_chain: from a burst to its latency, on two machines that are cooled badly.

python plots/the_chain.py
"""

from pathlib import Path

import cluster_sim
from cluster_sim import figures

HERE = Path(__file__).parent
SCENARIO = HERE.parent / "scenarios" / "the_chain.yaml"
SHOWN = ("b200-slow-fans", "cs3-weak-pump")

runs = [cluster_sim.attribute(cluster_sim.load_scenario(SCENARIO, name)) for name in SHOWN]
figures.save(figures.draw("chain", runs), HERE / "the_chain.png", dpi=110)
print(HERE / "the_chain.png")
