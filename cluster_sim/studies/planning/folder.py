"""Folder of a plan: finished simulations, the table of the answer, and scenarios to run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from cluster_sim.errors import cannot_write
from cluster_sim.export.deploy import TARGETS
from cluster_sim.loading.files import ScenarioFile
from cluster_sim.studies.file_names import check_name, name_in_path
from cluster_sim.studies.planning.answer import Chosen, Deployed, PlanAnswer
from cluster_sim.studies.store import write_table
from cluster_sim.whole_files import write_whole

_OF_AN_ANSWER = re.compile(rf"(.+-)?(winner|\d)\.(yaml|{'|'.join(TARGETS)})")
"""Names of the files of an answer."""


def folder_of(file: ScenarioFile) -> Path:
    """Return the default folder of a file's plan.

    Raises
    ------
    ScenarioError
        The name of the scenario cannot be the name of a folder.
    """
    check_name(file)
    return Path("plans") / name_in_path(file, "plan")


def keep(answer: PlanAnswer, folder: Path) -> Mapping[int, Path]:
    """Write the table of an answer, and scenarios of winners and runners-up, into a plan's folder.

    Parameters
    ----------
    answer
        Answer of the plan.
    folder
        Folder that exists. Scenarios and manifests of an earlier answer are removed from it.

    Returns
    -------
    Mapping
        Paths of the scenarios by `id` of the deployment.
    """
    paths = {}
    write_table(answer.table, folder / "plan.parquet")
    try:
        for path in folder.iterdir():
            if _OF_AN_ANSWER.fullmatch(path.name) and path.is_file():
                path.unlink()
        for chosen in answer.chosen:
            for name, each in _named(chosen, answer):
                paths[id(each)] = folder / f"{name}.yaml"
                write_whole(paths[id(each)], each.scenario.as_yaml().encode())
    except OSError as fault:
        raise cannot_write(folder, fault, "; simulations are kept") from fault
    return paths


def _named(chosen: Chosen, answer: PlanAnswer) -> Iterator[tuple[str, Deployed]]:
    """Yield the deployments of a variant that are printed, with the names of their files."""
    prefix = "" if chosen.variant is None else f"{chosen.variant}-"
    for number, each in enumerate(answer.shown(chosen), 1):
        yield f"{prefix}{'winner' if each is chosen.winner else number}", each
