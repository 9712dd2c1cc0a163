"""`cluster-sim run --attribute`: the runs without each mechanism, and the table of what each costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cluster_sim.cli.console import print_line, say_wrote, stdout, warn
from cluster_sim.cli.progress import simulation_bar
from cluster_sim.cli.tables import side_by_side

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from cluster_sim.results.results import Results
    from cluster_sim.scenario.scenario import Scenario
    from cluster_sim.sim.limits import RunLimits


def attribute_and_save(
    results: Results, scenario: Scenario, place: Path, limits: RunLimits
) -> Results:
    """Simulate a scenario without each mechanism in play, and save the runs in its run folder.

    A run that a limit has ended early is not attributed: the other runs would be longer.

    Parameters
    ----------
    results
        Results of the scenario, which are saved.
    scenario
        Scenario of the run.
    place
        Its run folder.
    limits
        Limits of each run.

    Returns
    -------
    Results
        Results with the other runs.
    """
    from cluster_sim.results.earlier_folder import WITHOUT
    from cluster_sim.results.mechanisms import ALL, TITLES
    from cluster_sim.studies.attribution import attributed
    from cluster_sim.studies.limited import simulated_within

    if results.info.stopped is not None:
        warn(f"{scenario.title}: the run ended early, so the cost of mechanisms is not computed")
        return results

    def simulate(name: str, each: Scenario) -> Results:
        lacking = "all mechanisms" if name == ALL else TITLES[name]
        title = f"{scenario.title} without {lacking}"
        with simulation_bar(each, title) as progress:
            run = simulated_within(each, limits, progress)
        if run.info.stopped is not None:
            warn(
                f"{title}: ended early: {run.info.stopped}; the cost of mechanisms is not computed"
            )
        return run

    whole = attributed(results, scenario, simulate)
    whole.save(place)
    say_wrote(place / WITHOUT if whole.without else place)
    return whole


def print_costs(summaries: Mapping[str, Mapping[str, Any]]) -> None:
    """Print a table per variant of what mechanisms cost, if the summary has it."""
    from cluster_sim.results.attribution import FIGURES
    from cluster_sim.results.cost_rows import compared_text, cost_rows, is_free, listed
    from cluster_sim.results.mechanisms import MECHANISMS

    for name, summary in summaries.items():
        if (cost_of := summary.get("cost_of")) is None:
            continue
        if is_free(cost_of):
            print_line(f"{name}: {listed(MECHANISMS)} cost nothing")
            continue
        headings = [label for figure, label in FIGURES.items() if figure in cost_of["total"]]
        rows = [(row.label, row.texts().values()) for row in cost_rows(cost_of)]
        title = f"{name}: cost of each mechanism, as the run minus the run without it"
        stdout().print(side_by_side(headings, rows, title))
        print_line(compared_text(summary))


def print_how_to_attribute(path: Path, scenarios: Iterable[Scenario]) -> None:
    """Print which command shows what the mechanisms in play cost; nothing if there are none."""
    from cluster_sim.results.cost_rows import listed
    from cluster_sim.studies.attribution import mechanisms_in_play

    present = {name for scenario in scenarios for name in mechanisms_in_play(scenario)}
    if present:
        print_line(f"cluster-sim run {path} --attribute shows the cost of {listed(present)}")
