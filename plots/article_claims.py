"""Figure of an article's claims with the simulated value of each reading, some minutes of CPU.

python plots/article_claims.py
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq

from cluster_sim import figures
from cluster_sim.claims.judge import claims

HERE = Path(__file__).parent

if __name__ == "__main__":
    judged = claims(HERE.parent / "scenarios" / "article_claims.yaml")
    with TemporaryDirectory() as folder:
        pq.write_table(judged.table, Path(folder) / "claims.parquet")
        picture = figures.draw_study("claims", Path(folder) / "claims.parquet")
    print(figures.save(picture, HERE / "article_claims.png", dpi=110))
