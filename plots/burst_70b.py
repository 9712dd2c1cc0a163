"""Figures of the scenario burst_70b.

python plots/burst_70b.py
"""

from pathlib import Path

import cluster_sim
from cluster_sim import figures

HERE = Path(__file__).parent
SCENARIO = HERE.parent / "scenarios" / "burst_70b.yaml"
PICTURES = {
    "latency_cdf": "burst_cdf.png",
    "latency_ccdf": "burst_ccdf.png",
    "timeline": "burst_timeline.png",
    "ttft_over_time": "burst_ttft.png",
    "phase_breakdown": "burst_phases.png",
    "request_gantt": "burst_gantt.png",
    "goodput": "burst_goodput.png",
}

runs = [cluster_sim.simulate(scenario) for scenario in cluster_sim.load_variants(SCENARIO)]
for figure, name in PICTURES.items():
    figures.save(figures.draw(figure, runs), HERE / name, dpi=110)
    print(HERE / name)
