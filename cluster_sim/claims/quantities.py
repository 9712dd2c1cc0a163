"""Quantities that a file of claims names: kinds of quantities, and computation of their values.

A new kind of quantity is a class in this file and a member of one of the two unions.
"""

from __future__ import annotations

import csv
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from cluster_sim.analysis.estimate import explain
from cluster_sim.analysis.roofline_limits import LIMITS
from cluster_sim.deployment.fleet import resolve
from cluster_sim.errors import did_you_mean
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.schema import CATALOG, Description, catalog_figures, catalog_kinds
from cluster_sim.studies.runner import reseeded
from cluster_sim.typing import Count
from cluster_sim.units import parse

_KINDS = ("devices", "nodes", "prices", "links", "models", "token_prices", "engines")

Summary = Mapping[str, Any]


class NoSuchField(ValueError):
    """Fault of a quantity: a key names a field that does not exist."""

    def __init__(self, key: str, what: str) -> None:
        super().__init__(key, what)
        self.key, self.what = key, what


class OfScenario(Description):
    """Base of the quantities that need a scenario."""

    scenario: str
    """Path of the scenario file, relative to the folder of the file of claims."""
    variant: str | None = None
    """Name of the variant. It is required if the scenario file has several."""
    set: dict[str, Any] = Field(default_factory=dict)
    """Changed values by dotted key, as `--set` takes them."""

    def pool_name(self) -> str | None:
        """Return the name of the pool of the quantity; None for a quantity of the whole run."""
        return None

    def runs(self, scenario: Scenario) -> list[Scenario]:
        """Return the scenarios to simulate; an empty list if arithmetic is enough."""
        return []

    @abstractmethod
    def value(self, scenario: Scenario, summaries: Sequence[Summary]) -> float:
        """Return the value of the quantity.

        Parameters
        ----------
        scenario
            Scenario of the quantity.
        summaries
            Summaries of the scenarios that `runs` returns.

        Raises
        ------
        NoSuchField
            A key names a field that does not exist.
        """


class OfRun(OfScenario):
    """Metric of a simulated run."""

    of: Literal["run"] = "run"
    metric: str
    """Field of summary.json; a field of a pool or class has dots: pools.cs3.kv_peak_fraction."""
    replications: Count = 1
    """Number of seeds; the value is their mean."""

    def runs(self, scenario: Scenario) -> list[Scenario]:
        """Return the scenario with each seed."""
        return [reseeded(scenario, number) for number in range(self.replications)]

    def value(self, scenario: Scenario, summaries: Sequence[Summary]) -> float:
        """Return the mean of the field over all seeds."""
        values = [_number("metric", self.metric, summary) for summary in summaries]
        return float(np.mean(values))


class _OfPool(OfScenario):
    """Base of the quantities of one pool."""

    pool: str | None = None
    """Name of the pool. Default: the first pool."""

    def pool_name(self) -> str | None:
        """Return the name of the pool; None for the first pool."""
        return self.pool

    def _place(self, scenario: Scenario) -> int:
        names = [pool.name for pool in scenario.cluster.pools]
        return names.index(self.pool) if self.pool else 0


class OfArithmetic(_OfPool):
    """Estimate of a pool by arithmetic, as `explain` computes it."""

    of: Literal["arithmetic"] = "arithmetic"
    figure: str
    """Name of the estimate, such as requests_per_s, kv_tokens or parts.collectives."""

    def value(self, scenario: Scenario, summaries: Sequence[Summary]) -> float:
        """Return the estimate of the pool."""
        return _number("figure", self.figure, asdict(explain(scenario)[self._place(scenario)]))


class OfLimit(_OfPool):
    """Physical limit of the hardware of one replica."""

    of: Literal["limit"] = "limit"
    limit: Literal[
        "bytes_a_token",
        "memory_bandwidth_bytes_per_s",
        "reading_s",
        "memory_tokens_per_s",
        "compute_tokens_per_s",
        "communication_s",
    ]
    """Name of the limit."""

    def value(self, scenario: Scenario, summaries: Sequence[Summary]) -> float:
        """Return the limit of a replica of the pool."""
        deployment = resolve(scenario).deployments[self._place(scenario)]
        return LIMITS[self.limit](scenario, deployment)


def _number(key: str, dotted: str, fields: Summary) -> float:
    """Return a number by its dotted name.

    Raises
    ------
    NoSuchField
        The name does not exist or is no number. The error has `key`, the key that gave the name.
    """
    place: Any = fields
    for step in dotted.split("."):
        if not isinstance(place, Mapping) or step not in place:
            known = list(place) if isinstance(place, Mapping) else []
            hint = did_you_mean(step, known) if known else ""
            raise NoSuchField(key, f"no {key} '{dotted}'{hint}")
        place = place[step]
    if isinstance(place, bool) or not isinstance(place, (int, float)):
        raise NoSuchField(key, f"{dotted} is no number")
    return float(place)


class OfCatalog(Description):
    """Figure of the catalog."""

    of: Literal["catalog"] = "catalog"
    entry: str
    """Name of the catalog entry."""
    figure: str
    """Path of the figure, as `cluster-sim catalog ENTRY` lists it, such as memory.bandwidth."""
    unit: str | None = None
    """Unit of the value, such as TB/s. Default: the figure is a number without a unit."""

    def known(self) -> float:
        """Return the value of the figure.

        Raises
        ------
        ValueError
            The entry or the figure does not exist, or the unit does not fit.
        """
        kinds = catalog_kinds(*_KINDS)
        if self.entry not in kinds:
            hint = did_you_mean(self.entry, sorted(kinds))
            raise ValueError(f"no entry '{self.entry}' in the catalog{hint}")
        figures = catalog_figures(kinds[self.entry], self.entry)
        values = {figure.path: figure.value for figure in figures}
        if self.figure not in values:
            hint = did_you_mean(self.figure, sorted(values))
            raise ValueError(f"no figure '{self.figure}' of {self.entry}{hint}")
        written = values[self.figure]
        if self.unit is not None:
            parse(f"1 {self.unit}", self.unit)  # raises ValueError for an unknown unit
            return parse(written, self.unit)
        try:
            return float(written)
        except ValueError as fault:
            raise ValueError(
                f"{self.figure} of {self.entry} is '{written}'; expected the key 'unit' with the unit of the value"
            ) from fault


class OfMeasurement(Description):
    """Published measurement in the catalog's reference.csv."""

    of: Literal["measurement"] = "measurement"
    where: Annotated[dict[str, str | float], Field(min_length=1)]
    """Values of columns that exactly one row has; numbers are written as in the file."""

    def known(self) -> float:
        """Return the value of the row.

        Raises
        ------
        ValueError
            A column does not exist, or not exactly one row has the values.
        """
        with open(CATALOG / "reference.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        if unknown := [column for column in self.where if column not in rows[0]]:
            hint = did_you_mean(unknown[0], list(rows[0]))
            raise ValueError(f"no column '{unknown[0]}' of measurements{hint}")
        matching = [
            row
            for row in rows
            if all(row[column] == str(value) for column, value in self.where.items())
        ]
        if len(matching) != 1:
            raise ValueError(f"got {len(matching)} measurements with these values; expected one")
        value = float(matching[0]["value"])
        assert isfinite(value)
        return value


class Stated(Description):
    """Value from another source."""

    of: Literal["source"] = "source"
    value: float
    """Value of the quantity."""
    source: str
    """Citation of the source."""

    def known(self) -> float:
        """Return the value."""
        return self.value


Simulated = OfRun | OfArithmetic | OfLimit
"""Quantities that need a scenario."""
Known = OfCatalog | OfMeasurement | Stated
"""Quantities that need no scenario."""
Quantity = Annotated[Simulated | Known, Field(discriminator="of")]
