"""Simulations of a study in processes of this machine, with progress."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from cluster_sim.scenario.scenario import Scenario
from cluster_sim.studies.workers import Call, ProcessDied, called

Name = TypeVar("Name")
Progress = Callable[[int, int], None]
"""Function that is called with the number of calls done and the number of all calls."""


@dataclass(frozen=True)
class Runner:
    """Runner of the simulations of a study."""

    workers: int | None = None
    """Number of processes; None for one per core, 0 for this process alone."""
    progress: Progress | None = None
    """Function that is called with the progress; None for no progress."""

    def outcomes(self, calls: Mapping[Name, Call]) -> dict[Name, Any]:
        """Return the outcome of each call by name, in the order of the calls.

        The first exception of a call is raised.
        """
        outcomes: dict[Name, Any] = {}
        for name, outcome in self._ended(calls):
            if isinstance(outcome, Exception):
                raise outcome
            outcomes[name] = outcome
        return {name: outcomes[name] for name in calls}

    def outcomes_or_deaths(self, calls: Mapping[Name, Call]) -> dict[Name, Any]:
        """Return the outcome of each call by name, or the death of the process that ran the call.

        The first other exception of a call is raised.
        """
        outcomes: dict[Name, Any] = {}
        for name, outcome in self._ended(calls):
            if isinstance(outcome, Exception) and not isinstance(outcome, ProcessDied):
                raise outcome
            outcomes[name] = outcome
        return {name: outcomes[name] for name in calls}

    def _ended(self, calls: Mapping[Name, Call]) -> Iterator[tuple[Name, Any]]:
        """Yield the outcome of each call as it ends, and report progress."""
        for number, (name, outcome) in enumerate(called(calls.items(), self.workers), start=1):
            yield name, outcome
            if self.progress is not None:
                self.progress(number, len(calls))

    def on_seeds(
        self,
        function: Callable[[Scenario], Any],
        scenarios: Sequence[Scenario],
        replications: int,
    ) -> list[list[Any]]:
        """Return the outcomes of `function` for each scenario: a list with one outcome per seed.

        Seeds count up from the scenario's own seed. The first exception of a call is raised.

        Parameters
        ----------
        function
            Function of a scenario; it must be picklable.
        scenarios
            Scenarios.
        replications
            Number of seeds.
        """
        outcomes = self.outcomes(
            {
                (place, number): (function, (reseeded(scenario, number),))
                for place, scenario in enumerate(scenarios)
                for number in range(replications)
            }
        )
        rows: Iterator[Any] = iter(outcomes.values())
        return [[next(rows) for _ in range(replications)] for _ in scenarios]


def reseeded(scenario: Scenario, number: int) -> Scenario:
    """Return a scenario with the seed of a replication; replication 0 keeps the scenario's seed."""
    return scenario.model_copy(update={"seed": scenario.seed + number}) if number else scenario


def all_reseeded(scenarios: Iterable[Scenario], number: int) -> list[Scenario]:
    """Return scenarios with the seeds of one replication."""
    return [reseeded(scenario, number) for scenario in scenarios]


def summary_of(scenario: Scenario) -> dict[str, Any]:
    """Simulate a scenario and return its summary."""
    from cluster_sim.sim.simulate import simulate

    return simulate(scenario).summary()
