"""Figure of the deployments that the plan of burst_70b simulates: a minute.

python plots/burst_plan.py
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import cluster_sim
from cluster_sim import figures
from cluster_sim.studies.store import write_table

HERE = Path(__file__).parent

if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        answer = cluster_sim.plan(HERE.parent / "scenarios" / "burst_70b.yaml", folder)
        write_table(answer.table, Path(folder) / "plan.parquet")
        picture = figures.draw_study("plan", folder)
    print(figures.save(picture, HERE / "burst_plan.png", dpi=110))
