"""Name of a scenario file as part of the path of a study's folder."""

from __future__ import annotations

import re

from cluster_sim.errors import ScenarioError
from cluster_sim.loading.files import ScenarioFile
from cluster_sim.loading.variants import name_faults


def check_name(file: ScenarioFile) -> None:
    """Raise ScenarioError if the name of a scenario cannot be the name of a folder."""
    if faults := list(name_faults(file.document)):
        raise ScenarioError(faults)


def name_in_path(file: ScenarioFile, default: str) -> str:
    """Return the name of a scenario with underscores for characters that paths may not have.

    Parameters
    ----------
    file
        Scenario file.
    default
        Name of a scenario without one.
    """
    return re.sub(r"[^A-Za-z0-9_.-]", "_", str(file.document.data.get("name", default)))
