"""Plan: the deployment that meets the SLO at the lowest cost, or with the most goodput."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster_sim.errors import ScenarioError
from cluster_sim.loading.files import ScenarioFile, open_scenarios
from cluster_sim.results.cost import planned_usd_per_hour
from cluster_sim.results.metrics import verdict
from cluster_sim.results.metrics.verdict import Objective
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.scenario.study_spec import Plan
from cluster_sim.sim.limits import NO_LIMITS, RunLimits
from cluster_sim.studies.grid import key_of
from cluster_sim.studies.planning.answer import Chosen, Deployed, PlanAnswer
from cluster_sim.studies.planning.bounds import Ruling, ruled_out, sentences
from cluster_sim.studies.planning.rounds import rounds
from cluster_sim.studies.planning.search import Candidate, Search
from cluster_sim.studies.planning.space import deployments
from cluster_sim.studies.planning.trial import Part, Trial, shortened, tried
from cluster_sim.studies.store import Record, SweepFolder, Warned
from cluster_sim.studies.sweep_point import failed
from cluster_sim.studies.workers import ProcessDied, called

PlanProgress = Callable[[int], None]
"""Function that is called with the number of simulations done."""


@dataclass(frozen=True)
class _Setting:
    """Processes, limits and folder of the simulations."""

    workers: int | None
    dask: str | None
    limits: RunLimits
    folder: SweepFolder | None
    progress: PlanProgress


def plan(  # noqa: PLR0913 - public API: every parameter is an option of its users
    path: str | Path,
    out: str | Path | None = None,
    *,
    sets: Sequence[str] = (),
    variants: Sequence[str] = (),
    budget: int | None = None,
    workers: int | None = None,
    dask: str | None = None,
    limits: RunLimits = NO_LIMITS,
    progress: PlanProgress | None = None,
    warned: Warned = warnings.warn,
) -> PlanAnswer:
    """Return the best deployment that meets the SLO, of those that the file's `plan` allows.

    Arithmetic omits deployments that cannot carry the traffic. The others are simulated in rounds:
    all of them with a part of the traffic, the best third with more, and the best of these with all
    of it. All deployments see the same traffic.

    Parameters
    ----------
    path
        Scenario file.
    out
        Folder in which finished simulations are stored, so that the same call continues. Default:
        nothing is stored.
    sets
        `key=value` texts applied to the file.
    variants
        Names of the variants, each of which has its own answer. Default: all variants.
    budget
        Maximum number of simulated requests, in runs of full length, per variant. Default: that of
        the file.
    workers
        Number of processes. Default: one per core; 0: run everything in this process.
    dask
        Address of a Dask scheduler that replaces the processes.
    limits
        Limits of wall time and memory of each simulation.
    progress
        Function that is called with the number of simulations done.
    warned
        Function that is called with a sentence about each damaged file that was renamed.

    Returns
    -------
    PlanAnswer
        Winner and runners-up of each variant.

    Raises
    ------
    ScenarioError
        The file has faults, no SLO, or no valid deployment.

    Examples
    --------
    >>> import cluster_sim
    >>> answer = cluster_sim.plan("chat.yaml")  # doctest: +SKIP
    >>> answer.winner.values, answer.winner.usd_per_hour  # doctest: +SKIP
    """
    file = open_scenarios(path, sets)
    asked = file.plan or Plan()
    if budget is not None:
        asked = asked.model_copy(update={"budget": budget})
    folder = None if out is None else SweepFolder(out, warned)
    setting = _Setting(workers, dask, limits, folder, progress or (lambda count: None))
    names: Sequence[str | None] = list(variants) or file.variants or [None]
    if "variant" in asked.vary:
        names = [None]
    found = [_Planned(file, asked, setting).chosen(name) for name in names]
    wanted = tuple(dict.fromkeys(each for _, objectives in found for each in objectives))
    return PlanAnswer(
        str(file.document.data.get("name")), asked.for_, wanted, tuple(each for each, _ in found)
    )


@dataclass
class _Planned:
    """Search for the best deployment of one variant."""

    file: ScenarioFile
    asked: Plan
    setting: _Setting
    done: int = 0

    def chosen(self, variant: str | None) -> tuple[Chosen, tuple[Objective, ...]]:
        """Return the answer for a variant, and the objectives of its deployments."""
        points = list(deployments(self.file, self.asked, variant))
        faults: Counter[str] = Counter()
        rulings: list[Ruling] = []
        candidates: dict[str, Candidate] = {}
        wanted: tuple[Objective, ...] = ()
        for each in points:
            if each.scenario is None:
                faults[each.fault.splitlines()[0]] += 1
                continue
            wanted = self._objectives(each.scenario)
            if ruling := ruled_out(each.scenario, wanted):
                rulings.append(ruling)
            else:
                candidates[each.key] = Candidate(each, self._cost(each.scenario))
        if all(each.scenario is None for each in points):
            raise ScenarioError.at(
                self.file.place("plan"),
                f"no valid deployment; the first: {points[0].fault}"
                if points
                else "'exclude' removes every deployment",
            )
        first = next(each.scenario for each in points if each.scenario is not None)
        search = Search(
            self.asked.for_, rounds(first), lambda some, part: self._tried(some, part, wanted),
            self.asked.budget,
        )  # fmt: skip
        full = search.run(list(candidates.values()))
        part = [
            each for key, each in candidates.items() if key in search.trials and each not in full
        ]
        return (
            Chosen(
                variant,
                tuple(_deployed(each, search.last(each)) for each in full),
                tuple(_deployed(each, search.last(each)) for each in sorted(part, key=search.rank)),
                sentences(rulings) | faults,
                len(points),
                search.spent,
                search.spent >= self.asked.budget,
            ),
            wanted,
        )

    def _objectives(self, scenario: Scenario) -> tuple[Objective, ...]:
        wanted = verdict.objectives(scenario, self.asked.percentile)
        if not wanted:
            raise ScenarioError.at(
                self.file.place(),
                "'slo' is missing; expected the objectives, such as slo: {ttft: 500 ms, tpot: 25 ms}",
            )
        return wanted

    def _cost(self, scenario: Scenario) -> float | None:
        """Return the cost of a deployment, if it is known without a simulation."""
        if self.asked.for_ == "nodes":
            return float(sum(pool.nodes for pool in scenario.cluster.pools))
        if self.asked.for_ != "usd_per_hour":
            return None
        usd_per_hour = planned_usd_per_hour(scenario)
        if usd_per_hour is None:
            raise ScenarioError.at(
                self.file.place("cluster", "pools"),
                "a pool has no prices; expected prices of all pools, or plan.for: nodes",
            )
        return usd_per_hour

    def _tried(
        self, candidates: Sequence[Candidate], part: Part, wanted: Sequence[Objective]
    ) -> Mapping[str, Trial]:
        """Simulate a part of the traffic of deployments; return the trials by key."""
        trials: dict[str, Trial] = {}
        work = []
        keys = {}
        for each in candidates:
            assert each.point.scenario is not None
            scenario = shortened(each.point.scenario, part.share)
            key = each.point.key if part.share == 1.0 else key_of(scenario)
            keys[key] = each.point.key
            folder = self.setting.folder
            record = None if folder is None else folder.record(key)
            if record is None or not _is_long_enough(record, part):
                work.append((key, (tried, (scenario, part, wanted, self.setting.limits))))
            else:
                trials[each.point.key] = Trial.from_record(record)
        for key, outcome in called(work, self.setting.workers, self.setting.dask):
            trials[keys[key]] = Trial.from_record(self._kept(key, outcome))
            self.done += 1
            self.setting.progress(self.done)
        return trials

    def _kept(self, key: str, outcome: Any) -> Mapping[str, Any]:
        """Store the outcome of a simulation and return it as a record."""
        if isinstance(outcome, ProcessDied):
            outcome = failed(str(outcome))
        elif isinstance(outcome, Exception):
            raise outcome
        outcome.pop("version", None)
        if self.setting.folder is not None:
            self.setting.folder.add(key, outcome)
        record: Mapping[str, Any] = outcome
        return record


def _is_long_enough(record: Record, part: Part) -> bool:
    """Return whether a stored run did not end early, or may have."""
    return bool(part.requests) or record["status"] != "done" or not record["summary"]["misses"]


def _deployed(candidate: Candidate, trial: Trial) -> Deployed:
    scenario = candidate.point.scenario
    assert scenario is not None
    return Deployed(candidate.point.values, scenario, trial, planned_usd_per_hour(scenario))
