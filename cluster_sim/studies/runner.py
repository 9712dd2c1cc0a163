"""Simulations of a study in the processes of this machine, with progress."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from cluster_sim.scenario.scenario import Scenario
from cluster_sim.studies.workers import Call, ProcessDied, called

Name = TypeVar("Name")
Progress = Callable[[int, int], None]
"""Listener that is given (how many are done, of how many)."""


@dataclass(frozen=True)
class Runner:
    """How the simulations of a study are made."""

    workers: int | None = None
    """Number of processes; None for one per core, 0 for this one alone."""
    progress: Progress | None = None
    """Listener; None where nobody listens."""

    def outcomes(self, calls: Mapping[Name, Call]) -> dict[Name, Any]:
        """Return the outcome of each call under its name, in the order of the calls.

        Raises the first exception that a call raises.
        """
        outcomes: dict[Name, Any] = {}
        for name, outcome in self._ended(calls):
            if isinstance(outcome, Exception):
                raise outcome
            outcomes[name] = outcome
        return {name: outcomes[name] for name in calls}

    def outcomes_or_deaths(self, calls: Mapping[Name, Call]) -> dict[Name, Any]:
        """Return the outcome of each call, or the death of the process that ran it.

        Raises the first other exception that a call raises.
        """
        outcomes: dict[Name, Any] = {}
        for name, outcome in self._ended(calls):
            if isinstance(outcome, Exception) and not isinstance(outcome, ProcessDied):
                raise outcome
            outcomes[name] = outcome
        return {name: outcomes[name] for name in calls}

    def _ended(self, calls: Mapping[Name, Call]) -> Iterator[tuple[Name, Any]]:
        """Yield calls as they end, with progress."""
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
        """Return what `function` gives of each scenario: a list of one outcome per seed.

        Seeds go up from the scenario's own. Raises the first exception that a call raises.
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
    """Return a scenario on the seed of a replication; replication 0 is on its own."""
    return scenario.model_copy(update={"seed": scenario.seed + number}) if number else scenario


def all_reseeded(scenarios: Iterable[Scenario], number: int) -> list[Scenario]:
    """Return scenarios on the seeds of one replication."""
    return [reseeded(scenario, number) for scenario in scenarios]


def summary_of(scenario: Scenario) -> dict[str, Any]:
    """Return the summary of one run."""
    from cluster_sim.sim.simulate import simulate

    return simulate(scenario).summary()
