"""Scenarios of texts and CPU times of single runs, for benchmarks that let runs take turns."""

from __future__ import annotations

import gc
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cluster_sim import Results, Scenario


def scenario_of(text: str) -> Scenario:
    """Return the scenario of a file with this text."""
    import cluster_sim

    with TemporaryDirectory() as folder:
        path = Path(folder) / "scenario.yaml"
        path.write_text(text)
        return cluster_sim.load_scenario(path)


def measured(scenario: Scenario) -> tuple[float, Results]:
    """Return the CPU time of one run [s] and its results."""
    import cluster_sim

    gc.collect()
    began_s = time.process_time()
    results = cluster_sim.simulate(scenario)
    return time.process_time() - began_s, results
