"""Simulations of a plan: on all processes or on Dask, each stored when it is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cluster_sim.loading.files import ScenarioFile
from cluster_sim.results.metrics import verdict
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.scenario.study_spec import Plan
from cluster_sim.sim.limits import RunLimits
from cluster_sim.studies.grid import hashed, key_of
from cluster_sim.studies.planning.search import Candidate
from cluster_sim.studies.planning.space import deployment
from cluster_sim.studies.planning.trial import Part, Trial, shortened, tried
from cluster_sim.studies.store import Record, SweepFolder
from cluster_sim.studies.sweep_point import failed
from cluster_sim.studies.workers import ProcessDied, called


@dataclass(frozen=True)
class Setting:
    """Processes, limits and folder of the simulations."""

    workers: int | None
    """Number of processes; None for one per core, 0 for this process."""
    dask: str | None
    """Address of a Dask scheduler that replaces the processes."""
    limits: RunLimits
    """Limits of wall time and memory of each simulation."""
    folder: SweepFolder | None
    """Folder in which simulations are stored; None stores nothing."""
    progress: Callable[[int], None]
    """Function that is called with the number of simulations done."""


@dataclass
class Simulations:
    """Simulations of the deployments of a file."""

    file: ScenarioFile
    """Scenario file."""
    asked: Plan
    """Section `plan` of the file."""
    setting: Setting
    """Processes, limits and folder."""
    done: int = 0
    """Number of simulations done."""

    def scenario(self, candidate: Candidate) -> Scenario:
        """Return the scenario of a candidate; it is made again, since all of them take memory."""
        scenario = deployment(self.file, self.asked, candidate.values).scenario
        assert scenario is not None, "a candidate is a valid deployment"
        return scenario

    def tried(self, candidates: Sequence[Candidate], part: Part) -> Mapping[str, Trial]:
        """Simulate a part of the traffic of deployments; return the trials by key."""
        trials: dict[str, Trial] = {}
        work, keys = [], {}
        folder = self.setting.folder
        for each in candidates:
            scenario = shortened(self.scenario(each), part.share)
            wanted = verdict.objectives(scenario)
            key = hashed(f"{key_of(scenario)} {part} {wanted}")
            record = None if folder is None else folder.record(key)
            if record is None or record["status"] != "done":  # a failure may not repeat itself
                keys[key] = each.key
                work.append((key, (tried, (scenario, part, wanted, self.setting.limits))))
            else:
                trials[each.key] = Trial.from_record(record)
        for key, outcome in called(work, self.setting.workers, self.setting.dask):
            trials[keys[key]] = Trial.from_record(self._kept(key, outcome))
            self.done += 1
            self.setting.progress(self.done)
        return trials

    def _kept(self, key: str, outcome: Any) -> Record:
        """Store the outcome of a simulation and return it as a record."""
        if isinstance(outcome, ProcessDied):
            outcome = failed(str(outcome))
        elif isinstance(outcome, Exception):
            raise outcome
        outcome.pop("version", None)
        if self.setting.folder is not None:
            self.setting.folder.add(key, outcome)
        record: Record = outcome
        return record
