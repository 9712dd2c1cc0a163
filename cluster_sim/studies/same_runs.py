"""Detection of identical replications: nothing in the scenario is random."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from cluster_sim.scenario.scenario import Scenario

_OF_THE_MACHINE = ("wall_s",)
"""Fields of a summary that differ between two runs of the same scenario."""


def are_one_run(summaries: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether there are several summaries and all are identical."""
    runs = {
        json.dumps({key: value for key, value in each.items() if key not in _OF_THE_MACHINE})
        for each in summaries
    }
    return len(summaries) > 1 and len(runs) == 1


def sentence(scenario: Scenario) -> str:
    """Return a warning for a scenario whose replications are identical."""
    nothing = "all replications are identical, so intervals have no width: "
    if scenario.workload.recorded is None:
        return f"{nothing}nothing in the scenario is random"
    return f"{nothing}the trace is the same on every seed, and nothing else is random; trace.sample draws a different part of the trace per seed, and `compare --replications 1` computes intervals from one run"
