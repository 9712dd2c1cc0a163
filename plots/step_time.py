"""Figures of where the engine steps of DeepSeek-R1 spend their time: on a rack, and on 96 H100.

python plots/step_time.py
"""

from pathlib import Path

import cluster_sim
from cluster_sim import figures

HERE = Path(__file__).parent
SHOWN = {
    "step_time": ("deepseek_nvl72", ("clients_2048", "clients_6144")),
    "step_time_wide": ("deepseek_wide_ep", ("even", "uneven", "copies", "two_batches")),
}

for name, (scenario, variants) in SHOWN.items():
    path = HERE.parent / "scenarios" / f"{scenario}.yaml"
    runs = [cluster_sim.simulate(cluster_sim.load_scenario(path, variant)) for variant in variants]
    figures.save(figures.draw("step_time", runs), HERE / f"{name}.png", dpi=110)
    print(HERE / f"{name}.png")
