"""Replications that are one run, since nothing in the scenario is drawn by chance."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from cluster_sim.scenario.scenario import Scenario

_OF_THE_MACHINE = ("wall_s",)
"""Fields of a summary that differ between two runs of one scenario."""


def are_one_run(summaries: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether there are several summaries, and all are of the same run."""
    runs = {
        json.dumps({key: value for key, value in each.items() if key not in _OF_THE_MACHINE})
        for each in summaries
    }
    return len(summaries) > 1 and len(runs) == 1


def sentence(scenario: Scenario) -> str:
    """Return what is to be said of a scenario whose replications are one run."""
    nothing = "all replications are one and the same run, so that intervals have no width: "
    if scenario.workload.recorded is None:
        return f"{nothing}nothing in the scenario is drawn by chance"
    return f"{nothing}a trace is the same on every seed, and nothing else is drawn by chance; trace.sample draws another share of it on every seed, and `compare --replications 1` takes intervals from one run"
