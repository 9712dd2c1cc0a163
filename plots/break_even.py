"""Map of the cheapest machine at each rate and limit on TPOT: two minutes.

python plots/break_even.py
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import cluster_sim
from cluster_sim import figures

HERE = Path(__file__).parent

if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        cluster_sim.sweep(HERE.parent / "scenarios" / "break_even.yaml", folder)
        picture = figures.draw_study("break_even", folder)
    print(figures.save(picture, HERE / "break_even.png", dpi=110))
