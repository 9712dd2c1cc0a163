"""Plan: the deployment that meets the SLO at the lowest cost, or with the most goodput."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cluster_sim.analysis.traffic import of_scenario
from cluster_sim.errors import ScenarioError
from cluster_sim.loading.files import open_scenarios
from cluster_sim.results.cost import planned_usd_per_hour
from cluster_sim.results.metrics import verdict
from cluster_sim.results.metrics.verdict import Objective
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.scenario.study_spec import Plan
from cluster_sim.sim.limits import NO_LIMITS, RunLimits
from cluster_sim.studies.planning.answer import Chosen, Deployed, PlanAnswer
from cluster_sim.studies.planning.bounds import Bounds, Ruling, sentences
from cluster_sim.studies.planning.rounds import TOKENS_PER_S, rounds
from cluster_sim.studies.planning.search import Candidate, Search, value_of
from cluster_sim.studies.planning.simulations import Setting, Simulations
from cluster_sim.studies.planning.space import deployments
from cluster_sim.studies.planning.trial import is_scaled
from cluster_sim.studies.store import SweepFolder, Warned

PlanProgress = Callable[[int], None]
"""Function that is called with the number of simulations done."""


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
    setting = Setting(workers, dask, limits, folder, progress or (lambda count: None))
    names: Sequence[str | None] = list(variants) or file.variants or [None]
    if "variant" in asked.vary:
        if variants:
            raise ScenarioError.at(
                "--variant", "got a variant beside plan.vary.variant; expected one"
            )
        names = [None]
    simulations = Simulations(file, asked, setting)
    try:
        found = [_Planned(simulations).chosen(name) for name in names]
    except KeyboardInterrupt as interrupt:
        if out is not None:
            interrupt.add_note(
                f"{simulations.done:,} simulations are kept in {out}; run the same command again to continue"
            )
        raise
    wanted = tuple(dict.fromkeys(each for _, objectives in found for each in objectives))
    return PlanAnswer(
        str(file.document.data.get("name")), asked.for_, wanted, tuple(each for each, _ in found)
    )


@dataclass
class _Planned:
    """Search for the best deployment of one variant."""

    simulations: Simulations

    def chosen(self, variant: str | None) -> tuple[Chosen, tuple[Objective, ...]]:
        """Return the answer for a variant, and its objectives."""
        file, asked = self.simulations.file, self.simulations.asked
        faults: list[str] = []
        rulings: list[Ruling] = []
        candidates: dict[str, Candidate] = {}
        first, total, has_scaled = None, 0, False
        for each in deployments(file, asked, variant):
            total += 1
            if each.scenario is None:
                faults.append(each.fault)
                continue
            if first is None:
                first = each.scenario
                demand = of_scenario(first, TOKENS_PER_S)
                bounds = Bounds.of(first, self._objectives(first), demand)
            has_scaled = has_scaled or is_scaled(each.scenario)
            if ruling := bounds.ruled_out(each.scenario):
                rulings.append(ruling)
            else:
                price = planned_usd_per_hour(each.scenario)
                cost = self._cost(each.scenario, price)
                candidates[each.key] = Candidate(each.key, each.values, cost, price or 0.0)
        if first is None:
            no_valid = f"no valid deployment; the first: {faults[0] if faults else ''}"
            what = no_valid if total else "'exclude' removes every deployment"
            of_variant = f"variant {variant}: " if variant else ""
            raise ScenarioError.at(file.place("plan"), of_variant + what)
        parts = rounds(first, demand)
        if has_scaled:  # a part of the traffic does not show the mean cost
            parts = parts[-1:]
            candidates = {key: replace(each, cost=None) for key, each in candidates.items()}
        search = Search(asked.for_, parts, self.simulations.tried, asked.budget)
        full = search.run(list(candidates.values()))
        part = [
            each for key, each in candidates.items() if key in search.trials and each not in full
        ]
        chosen = Chosen(
            variant,
            tuple(self._deployed(each, search) for each in full),
            tuple(self._deployed(each, search) for each in sorted(part, key=search.rank)),
            sentences(rulings) | _counted(faults),
            total,
            search.spent,
            search.is_exhausted,
        )
        return chosen, self._objectives(first)

    def _objectives(self, scenario: Scenario) -> tuple[Objective, ...]:
        wanted = verdict.objectives(scenario)
        if not wanted:
            raise ScenarioError.at(
                self.simulations.file.place(),
                "'slo' is missing; expected the objectives, such as slo: {ttft: 500 ms, tpot: 25 ms}",
            )
        return wanted

    def _cost(self, scenario: Scenario, usd_per_hour: float | None) -> float | None:
        """Return what the plan minimises for a deployment; None if only a simulation gives it."""
        if self.simulations.asked.for_ == "nodes":
            return float(sum(pool.nodes for pool in scenario.cluster.pools))
        if self.simulations.asked.for_ != "usd_per_hour":
            return None
        if usd_per_hour is None:
            raise ScenarioError.at(
                self.simulations.file.place("cluster", "pools"),
                "a pool has no prices; expected prices of all pools, or plan.for: nodes",
            )
        return usd_per_hour

    def _deployed(self, candidate: Candidate, search: Search) -> Deployed:
        scenario = self.simulations.scenario(candidate)
        trial = search.last(candidate)
        value = value_of(candidate, trial, self.simulations.asked.for_)
        price = trial.figures.get("mean_usd_per_hour", planned_usd_per_hour(scenario))
        return Deployed(candidate.values, scenario, trial, price, value)


def _counted(faults: Sequence[str]) -> dict[str, int]:
    """Return the number of faults by text; those that differ in numbers alone have the first's text.

    >>> _counted(["axis: nodes: 4 nodes hold 4", "axis: nodes: 5 nodes hold 5"])
    {'4 nodes hold 4': 2}
    """
    found: dict[str, tuple[str, int]] = {}
    for each in faults:
        text = re.sub(r"^axis: [^:]*: ", "", each.splitlines()[0])
        first, count = found.get(re.sub(r"\d+", "#", text), (text, 0))
        found[re.sub(r"\d+", "#", text)] = first, count + 1
    return dict(found.values())
