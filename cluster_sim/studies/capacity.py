"""Capacity: the highest rate that meets the SLO, or the smallest cluster for a rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cluster_sim.errors import Fault, ScenarioError
from cluster_sim.loading.files import ScenarioFile, open_scenarios
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.scenario.study_spec import Capacity
from cluster_sim.sim.limits import NO_LIMITS, RunLimits
from cluster_sim.studies.capacity_answer import Answer, Option, Trial, comparable
from cluster_sim.studies.capacity_search import Search
from cluster_sim.studies.grid import combinations
from cluster_sim.studies.objectives import notes
from cluster_sim.studies.runner import Progress, Runner
from cluster_sim.studies.workers import Call, ProcessDied


def capacity(  # noqa: PLR0913 - public API: every parameter is an option of its users
    path: str | Path,
    sets: Sequence[str] = (),
    variants: Sequence[str] = (),
    workers: int | None = None,
    progress: Progress | None = None,
    limits: RunLimits = NO_LIMITS,
) -> Answer:
    """Return the highest rate within the SLO, or the fewest nodes for a rate, of each option.

    The file's section `capacity` defines the search. Every variant and every combination of its
    axes is an option, which is searched in a separate process. All trials see the same traffic,
    scaled to their rate (common random numbers). A trial with more nodes or a lower rate is
    therefore better, except for the randomness that remains in queues.

    Parameters
    ----------
    path
        Scenario file.
    sets
        `key=value` texts applied to the file.
    variants
        Names of the variants. Default: all variants.
    workers
        Number of processes. Default: one per core; 0: run everything in this process.
    progress
        Function that is called with the number of options done and the number of all options.
    limits
        Limits of wall time and memory of each simulation. A trial that exceeds a limit fails and
        counts as missing the SLO.

    Returns
    -------
    Answer
        Options with their answers; `table` has every trial as a row.

    Raises
    ------
    ScenarioError
        The file has faults, its traffic has no rate, or its requests have no SLO.

    Examples
    --------
    >>> import cluster_sim
    >>> answer = cluster_sim.capacity("chat.yaml")  # doctest: +SKIP
    >>> [(option.title, option.answer.nodes) for option in answer.options]  # doctest: +SKIP
    """
    file = open_scenarios(path, sets)
    asked = file.capacity or Capacity()
    if asked.for_ is not None:
        raise ScenarioError.at(
            file.place("capacity", "for"),
            f"got {asked.for_}, which `cluster_sim.{asked.for_}` answers; expected no 'for'",
        )
    axes: list[Mapping[str, Sequence[Any]]] = list(asked.axes)
    if names := list(variants) or file.variants:
        axes.insert(0, {"variant": names})
    calls = {
        number: (searched, (file, asked, values, limits))
        for number, values in enumerate(combinations(axes))
    }
    options = comparable(_options(calls, Runner(workers, progress)))
    if all(option.fault for option in options):
        first = options[0]
        raise ScenarioError(first.faults or [Fault(file.place(), first.fault)])
    wanted = [objective for option in options for objective in option.objectives]
    percentile, *others = {objective.percentile for objective in wanted}
    return Answer(
        str(file.document.data.get("name")),
        asked.rate_per_s,
        None if others else percentile,
        options,
        tuple(dict.fromkeys([*notes(wanted), *(note for each in options for note in each.notes)])),
    )


def _options(calls: Mapping[int, Call], runner: Runner) -> list[Option]:
    """Return the option of each search; the death of a process is the fault of its option.

    Raises
    ------
    ProcessDied
        The processes of all searches died.
    """
    outcomes = runner.outcomes_or_deaths(calls)
    deaths = {name: found for name, found in outcomes.items() if isinstance(found, ProcessDied)}
    if deaths and len(deaths) == len(outcomes):
        raise next(iter(deaths.values()))
    lost = {
        name: Option(calls[name][1][2], None, None, None, (), str(death))
        for name, death in deaths.items()
    }
    return list((outcomes | lost).values())


def searched(
    file: ScenarioFile, asked: Capacity, values: Mapping[str, Any], limits: RunLimits
) -> Option:
    """Search one option; return it with its answer or its fault."""
    try:
        search = Search(file, asked, values, limits)
        if asked.rate_per_s is None:
            return search.highest_rate()
        return search.fewest_nodes(asked.rate_per_s)
    except ScenarioError as error:
        return Option(values, None, None, None, (), str(error), faults=error.faults)


def tried(file: ScenarioFile, asked: Capacity, values: Mapping[str, Any], trial: Trial) -> Scenario:
    """Return the scenario of a trial of the option with these values, on the first seed.

    Parameters
    ----------
    file
        Scenario file.
    asked
        Section `capacity` of the file.
    values
        Values of the axes, by key.
    trial
        Trial of the option.
    """
    return Search(file, asked, values).scenario(trial.nodes, trial.rate_per_s)
