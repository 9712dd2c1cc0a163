"""Figure of a burst that fills the KV cache of wafers: a sweep of the burst's rate, 2 minutes.

python plots/burst_kv_room.py
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import cluster_sim
from cluster_sim import figures
from cluster_sim.figures.study_table import Choice

HERE = Path(__file__).parent

if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        cluster_sim.sweep(HERE.parent / "scenarios" / "burst_kv_room.yaml", folder)
        picture = figures.draw_study(
            "rate_latency", folder, Choice(metrics=("p95_ttft_ms", "p95_tpot_ms"))
        )
    print(figures.save(picture, HERE / "burst_kv_room.png", dpi=110))
