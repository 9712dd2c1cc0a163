"""Simulation of one variant by `cluster-sim run`: progress, warnings, and its run folder."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from cluster_sim.cli.attribution import attribute_and_save
from cluster_sim.cli.console import say_wrote, stderr, warn
from cluster_sim.cli.progress import simulation_bar

if TYPE_CHECKING:
    from pathlib import Path

    from cluster_sim.results.results import Results
    from cluster_sim.scenario.scenario import Scenario
    from cluster_sim.sim.limits import RunLimits


class RunOptions(NamedTuple):
    """Options of the command that hold for every variant."""

    limits: RunLimits
    question: str | None
    """Question of the scenario file."""
    is_live: bool
    """Whether a dashboard is shown."""
    is_attributed: bool
    """Whether the cost of mechanisms is computed."""


def simulate_and_save(
    scenario: Scenario, place: Path, options: RunOptions, noted: set[tuple[str, str]]
) -> Results:
    """Simulate a scenario and write its run folder; return its results.

    The run is saved before the runs without each mechanism begin, unless the same run stands in the
    folder together with those.

    Parameters
    ----------
    scenario
        Scenario to simulate.
    place
        Run folder to write.
    options
        Options of the command.
    noted
        Notes that have been printed: file or scenario, and text.
    """
    from cluster_sim.results.run_folder import earlier_run, has_same_run

    results = _simulated(scenario, options.limits, is_live=options.is_live)
    results = replace(results, info=replace(results.info, question=options.question))
    _warn_of_run(results, noted)
    is_whole = options.is_attributed and results.info.stopped is None
    if is_whole and has_same_run(results, place, is_attributed=True):
        return attribute_and_save(results, scenario, place, options.limits)
    earlier = earlier_run(results, place)
    say_wrote(results.save(place), earlier)
    if options.is_attributed:
        return attribute_and_save(results, scenario, place, options.limits)
    return results


def _warn_of_run(results: Results, noted: set[tuple[str, str]]) -> None:
    """Print notes about a run's trace, and the reason if the run ended early.

    A note about a trace is printed once for all variants that replay the trace. `noted` holds
    the notes that have been printed.
    """
    scenario, info = results.scenario, results.info
    trace = scenario.workload.recorded
    of = scenario.title if trace is None else trace.path
    if results.requests.num_rows == 0:
        warn(
            f"{scenario.title}: no request arrived; expected a higher rate, a longer duration or another seed"
        )
    for note in info.notes:
        if (of, note) not in noted:
            noted.add((of, note))
            warn(f"{scenario.title}: {note}")
    if info.stopped is not None:
        warn(f"{scenario.title}: ended early: {info.stopped}")


def _simulated(scenario: Scenario, limits: RunLimits, *, is_live: bool) -> Results:
    """Simulate a scenario with a dashboard (live) or a progress bar; return its results."""
    from cluster_sim.sim.simulate import simulate

    if is_live:
        from cluster_sim.cli.live import watching

        with watching(scenario, stderr()) as watch:
            return simulate(scenario, watch=watch, limits=limits)
    with simulation_bar(scenario) as progress:
        return simulate(scenario, progress, limits=limits)
