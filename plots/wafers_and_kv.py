"""Figure of KV cache capacity and requests within the SLO against the number of wafers, 2 minutes.

python plots/wafers_and_kv.py
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import cluster_sim
from cluster_sim import figures
from cluster_sim.figures.study_table import Choice

HERE = Path(__file__).parent

if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        cluster_sim.sweep(HERE.parent / "scenarios" / "wafers_and_kv.yaml", folder)
        choice = Choice(
            x="cluster.pools[0].replica.wafers", metrics=("kv_capacity_tokens", "slo_attainment")
        )
        picture = figures.draw_study("rate_latency", folder, choice)
    print(figures.save(picture, HERE / "wafers_and_kv.png", dpi=110))
