"""Folder of a plan: finished simulations, and the scenario of each winner."""

from __future__ import annotations

import re
from pathlib import Path

from cluster_sim.errors import ScenarioError
from cluster_sim.loading.files import ScenarioFile
from cluster_sim.loading.variants import name_faults
from cluster_sim.studies.planning.answer import PlanAnswer
from cluster_sim.whole_files import write_whole


def folder_of(file: ScenarioFile) -> Path:
    """Return the default folder of a file's plan.

    Raises
    ------
    ScenarioError
        The name of the scenario cannot be the name of a folder.
    """
    if faults := list(name_faults(file.document)):
        raise ScenarioError(faults)
    return Path("plans") / re.sub(
        r"[^A-Za-z0-9_.-]", "_", str(file.document.data.get("name", "plan"))
    )


def keep_winners(answer: PlanAnswer, folder: Path) -> list[Path]:
    """Write the scenario of each winner into the folder of a plan; return the paths.

    Parameters
    ----------
    answer
        Answer of the plan.
    folder
        Folder that exists.
    """
    paths = []
    for chosen in answer.chosen:
        if chosen.winner is not None:
            path = folder / f"{chosen.variant or 'winner'}.yaml"
            write_whole(path, chosen.winner.scenario.as_yaml().encode())
            paths.append(path)
    return paths
