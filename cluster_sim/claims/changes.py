"""Changed values of parameters and catalog figures, and what follows for quantities."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from cluster_sim.claims.expressions import names_in, value_of
from cluster_sim.claims.known import OfCatalog
from cluster_sim.claims.quantities import Simulated
from cluster_sim.loading.files import ScenarioFile
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.schema import Figure
from cluster_sim.studies.figure_use import part_of
from cluster_sim.studies.uncertain_figures import Uncertain, ends_of, figures_in

SPREADS = {"low": 0.2, "medium": 0.1}
"""Relative uncertainty of catalog figures for which the catalog gives no range, by confidence.
Figures of high confidence are not varied."""
_FITTED_TOGETHER = ("kernels.", "collectives.")
"""Beginnings of paths of figures that are not varied: constants of one fit, of which none is wrong
alone. The ratios of an engine to these fits are varied instead."""
_IN_BRACES = re.compile(r"\{([^{}]*)\}(.*)", re.DOTALL)


class Changes(NamedTuple):
    """Values that differ from those of the file and of the catalog."""

    parameters: tuple[tuple[str, float], ...] = ()
    """Names and values of parameters."""
    figures: tuple[tuple[str, str | float], ...] = ()
    """Names and values of catalog figures; a name is that of `Uncertain`."""

    def only(self, parameters: frozenset[str], figures: Mapping[str, Any]) -> Changes:
        """Return the changes of these parameters and figures."""
        return Changes(
            tuple(each for each in self.parameters if each[0] in parameters),
            tuple(each for each in self.figures if each[0] in figures),
        )


@dataclass(frozen=True)
class Needed:
    """Quantity that needs a scenario, with the file from which its scenarios are made."""

    quantity: Simulated
    """Quantity."""
    file: ScenarioFile
    """File of the scenario."""
    parameters: Mapping[str, float]
    """Values of the parameters by name."""

    @cached_property
    def scenario(self) -> Scenario:
        """Scenario without changes."""
        return self.changed(Changes())

    @cached_property
    def used(self) -> frozenset[str]:
        """Names of the parameters on which the scenario depends."""
        return frozenset(parameters_in(self.quantity.set))

    @cached_property
    def inputs(self) -> Mapping[str, Uncertain]:
        """Uncertain figures of the catalog that can change the quantity, by name."""
        values = filled(self.quantity.set, self.parameters)
        written = self.file.written(self.quantity.variant, values)
        return {each.name: each for each in figures_in(written, SPREADS, self._counts)}

    def _counts(self, kind: str, entry: str, figure: Figure) -> bool:
        if figure.path.startswith(_FITTED_TOGETHER):
            return False
        part = part_of(kind, entry, figure.path, self.scenario)
        return part in self.quantity.parts

    def changed(self, changes: Changes, where: str = "override") -> Scenario:
        """Return the scenario with changed parameters and figures.

        Parameters
        ----------
        changes
            Changed values; figures that the scenario does not use are ignored.
        where
            Origin of the values, for messages.

        Raises
        ------
        ScenarioError
            The scenario has faults.
        """
        values = filled(self.quantity.set, {**self.parameters, **dict(changes.parameters)})
        for name, value in changes.figures:
            if name in self.inputs:
                values |= dict.fromkeys(self.inputs[name].keys, value)
        return self.file.scenario(self.quantity.variant, values, where=where)


def filled(values: Mapping[str, Any], parameters: Mapping[str, float]) -> dict[str, Any]:
    """Return the values of `set` with the values of parameters in place of braces.

    Examples
    --------
    >>> filled({"nodes": "{2 * n}", "duration": "{n / 4} min"}, {"n": 3.0})
    {'nodes': 6, 'duration': '0.75 min'}
    """
    return {key: _filled(value, parameters) for key, value in values.items()}


def _filled(value: Any, parameters: Mapping[str, float]) -> Any:
    if isinstance(value, dict):
        return filled(value, parameters)
    if isinstance(value, list):
        return [_filled(each, parameters) for each in value]
    match = _IN_BRACES.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return value
    try:
        number = float(f"{value_of(match[1], parameters):.12g}")
    except ZeroDivisionError as fault:
        raise ValueError(f"set: '{match[1]}' divides by 0") from fault
    plain = int(number) if number.is_integer() else number
    return f"{plain}{match[2]}" if match[2] else plain


def parameters_in(value: Any) -> Iterator[str]:
    """Yield the names in braces in a value of `set`.

    Raises
    ------
    ValueError
        Braces do not hold an expression.
    """
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from parameters_in(each)
    elif isinstance(value, str) and (match := _IN_BRACES.fullmatch(value)):
        yield from names_in(match[1])


def input_of(quantity: OfCatalog) -> Uncertain | None:
    """Return the figure of a quantity as an uncertain one; None if its confidence is high."""
    figure = quantity.written()
    ends = ends_of(figure, SPREADS[figure.confidence]) if figure.confidence in SPREADS else None
    if ends is None:
        return None
    name = f"{quantity.entry}: {figure.path}"
    return Uncertain(name, (), figure.value, *ends, figure.confidence, figure.note)
