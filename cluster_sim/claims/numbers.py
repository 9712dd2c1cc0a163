"""Values of the quantities of a file of claims, with and without changes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from cluster_sim.claims.changes import Changes, input_of
from cluster_sim.claims.file import ClaimsFile
from cluster_sim.claims.known import OfCatalog
from cluster_sim.claims.quantities import NoSuchField, Summary
from cluster_sim.errors import ScenarioError, SimulationError
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.studies.grid import key_of
from cluster_sim.studies.runner import Runner, summary_of
from cluster_sim.studies.uncertain_figures import Uncertain
from cluster_sim.studies.workers import Call

Question = tuple[Iterable[str], Changes]
"""Names of quantities and parameters, and the changes under which their values are asked."""
_BASE = Changes()


class Numbers:
    """Values of quantities by name. Each scenario is simulated once."""

    def __init__(self, file: ClaimsFile) -> None:
        self._file = file
        self._values: dict[tuple[str, Changes], float | None] = {}
        self._summaries: dict[str, Summary] = {}
        self._inputs: dict[str, dict[str, Uncertain]] = {}

    def find(self, questions: Iterable[Question], runner: Runner) -> None:
        """Find the values that some questions ask for; all simulations run together.

        A changed quantity without a value, since its scenario is not valid, is remembered as such.

        Raises
        ------
        ScenarioError
            A run has no metric of the name of a quantity that is not changed.
        """
        calls: dict[str, Call] = {}
        asked: dict[tuple[str, Changes], tuple[Scenario, list[str]]] = {}
        for names, changes in questions:
            for name in names:
                key = name, self._own(name, changes)
                if key in self._values or key in asked:
                    continue
                needed = self._file.simulated.get(name)
                if needed is None:
                    self._values[key] = self._known(name, key[1])
                    continue
                try:
                    scenario = needed.changed(key[1])
                except ValueError:  # not a valid value: an efficiency above 1, half a processor
                    self._values[key] = None
                    continue
                runs = {key_of(run): run for run in needed.quantity.runs(scenario)}
                simulated = summary_of if key[1] == _BASE else _summary
                calls |= {run: (simulated, (each,)) for run, each in runs.items()}
                asked[key] = scenario, list(runs)
        new = {key: call for key, call in calls.items() if key not in self._summaries}
        self._summaries |= runner.outcomes(new)
        for key, (scenario, hashes) in asked.items():
            summaries = [self._summaries[each] for each in hashes]
            self._values[key] = self._number(key, scenario, summaries)

    def of(self, names: Iterable[str], changes: Changes = _BASE) -> dict[str, float] | None:
        """Return values that were found, by name; None if one does not exist."""
        values = {name: self._values[name, self._own(name, changes)] for name in names}
        known = {name: value for name, value in values.items() if value is not None}
        return known if len(known) == len(values) else None

    def inputs(self, name: str) -> dict[str, Uncertain]:
        """Return the uncertain catalog figures that can change a quantity, by name."""
        if name not in self._inputs:
            self._inputs[name] = dict(self._inputs_of(name))
        return self._inputs[name]

    def _inputs_of(self, name: str) -> dict[str, Uncertain]:
        if name in self._file.simulated:
            return dict(self._file.simulated[name].inputs)
        quantity = self._file.described.quantities.get(name)
        figure = input_of(quantity) if isinstance(quantity, OfCatalog) else None
        return {} if figure is None else {figure.name: figure}

    def _own(self, name: str, changes: Changes) -> Changes:
        """Return the changes that can change a quantity."""
        if changes == _BASE:
            return changes
        needed = self._file.simulated.get(name)
        used = needed.used if needed is not None else frozenset({name})
        return changes.only(used, self.inputs(name) if changes.figures else {})

    def _known(self, name: str, changes: Changes) -> float | None:
        """Return the value of a parameter, or of a quantity that needs no scenario."""
        if changes.parameters:
            return changes.parameters[0][1]
        quantity = self._file.described.quantities.get(name)
        if changes.figures and isinstance(quantity, OfCatalog):
            return quantity.number_of(str(changes.figures[0][1]))
        return self._file.known[name]

    def _number(
        self, key: tuple[str, Changes], scenario: Scenario, summaries: Sequence[Summary]
    ) -> float | None:
        """Return the value of a quantity from the summaries of its runs."""
        name, changes = key
        try:
            return self._file.simulated[name].quantity.value(scenario, summaries)
        except NoSuchField as fault:
            if changes != _BASE:
                return None
            where = f"quantities.{name}.{fault.key}"
            place = self._file.place("quantities", name, fault.key)
            raise ScenarioError.at(place, f"{where}: {fault.what}") from fault


def _summary(scenario: Scenario) -> dict[str, Any]:
    """Simulate a scenario and return its summary; an empty one if nothing can be simulated."""
    try:
        return summary_of(scenario)
    except (ScenarioError, SimulationError):
        return {}
