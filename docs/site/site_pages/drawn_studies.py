"""Pictures of the figures of studies that `plots/` lacks, from studies of seconds."""

from __future__ import annotations

from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pyarrow.parquet as pq

import cluster_sim
from cluster_sim import figures
from cluster_sim.figures.study_table import Choice
from site_pages.pictures import pictures

SCENARIO: Final = """\
name: small
duration: 15 s
model: llama-3.1-8b
workload:
  arrivals: {process: poisson, rate: 20 /s}
  prompt_tokens: {distribution: lognormal, median: 800, p99: 5000, max: 8000}
  output_tokens: {distribution: lognormal, median: 100, p99: 500, max: 1000}
slo: {ttft: 300 ms, tpot: 20 ms, percentile: 95}
cluster:
  pools: [{name: h100, node: dgx-h100, nodes: 1, replica: {tensor_parallel: 2}}]
sweep:
  axes:
    - workload.arrivals.rate: [10 /s, 20 /s, 40 /s, 80 /s]
    - cluster.pools[0].replica.tensor_parallel: [1, 2, 4]
capacity:
  tolerance: 0.2
  axes:
    - cluster.pools[0].replica.tensor_parallel: [1, 2, 4]
"""
"""Scenario of the studies."""
_NAMES: Final = ("heatmap", "pareto")


def drawn_studies() -> list[str]:
    """Return the names of the figures that are drawn when the site is built."""
    has_picture = {picture.figure for picture in pictures()}
    return [name for name in _NAMES if name not in has_picture]


@cache
def study_png(name: str) -> bytes:
    """Return a picture. A server that builds the site again does not draw it again.

    Parameters
    ----------
    name
        Name of the figure.
    """
    choice = Choice(metrics=("p95_ttft_ms",)) if name == "heatmap" else None
    with TemporaryDirectory() as folder:
        picture = BytesIO()
        path = _study(name, Path(folder))
        figures.draw_study(name, path, choice).savefig(picture, dpi=110)
        return picture.getvalue()


def _study(name: str, folder: Path) -> Path:
    """Run the study of a figure in a folder, and return the path of what it wrote."""
    file, table = folder / "small.yaml", folder / "table.parquet"
    file.write_text(SCENARIO, encoding="utf-8")
    match name:
        case "heatmap":
            cluster_sim.sweep(file, folder / "sweep", workers=0)
            return folder / "sweep"
        case _:
            pq.write_table(cluster_sim.capacity(file, workers=0).table, table)
            return table
