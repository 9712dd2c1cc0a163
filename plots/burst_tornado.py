"""Figure of the estimates that change the cost of tokens from CS-3 in burst_70b: two minutes.

python plots/burst_tornado.py
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import cluster_sim
from cluster_sim import figures
from cluster_sim.studies.store import write_table

HERE = Path(__file__).parent
METRIC = "usd_per_million_output_tokens"

if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        path = HERE.parent / "scenarios" / "burst_70b.yaml"
        answer = cluster_sim.sensitivity(path, "cs3", METRIC)
        write_table(answer.table, Path(folder) / "sensitivity.parquet")
        picture = figures.draw_study("tornado", Path(folder) / "sensitivity.parquet")
    print(figures.save(picture, HERE / "burst_tornado.png", dpi=110))
