"""Quantities that a file of claims names: what each is, and how its number is found.

A new kind of quantity is a class here, in one of the two unions.
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
from cluster_sim.schema import CATALOG, Description, catalog_kinds, figures, read_yaml
from cluster_sim.studies.runner import reseeded
from cluster_sim.typing import Count
from cluster_sim.units import parse

_KINDS = ("devices", "nodes", "prices", "links", "models", "engines")

Summary = Mapping[str, Any]


class NoSuchField(ValueError):
    """Fault of a key of a quantity: what it names is not there."""

    def __init__(self, key: str, what: str) -> None:
        super().__init__(key, what)
        self.key, self.what = key, what


class OfScenario(Description):
    """Base of the quantities that a scenario is needed for."""

    scenario: str
    """Path of the scenario file, from the folder of this one."""
    variant: str | None = None
    """Name of the variant; needed where the file has several."""
    set: dict[str, Any] = Field(default_factory=dict)
    """Other values by dotted key, as --set takes them."""

    def pool_name(self) -> str | None:
        """Return the pool that it is of; None where it is of none in particular."""
        return None

    def runs(self, scenario: Scenario) -> list[Scenario]:
        """Return what must be simulated; nothing where arithmetic is enough."""
        return []

    @abstractmethod
    def value(self, scenario: Scenario, summaries: Sequence[Summary]) -> float:
        """Return the number, from the summaries of `runs`.

        Raises NoSuchField where a field is named that there is not.
        """


class OfRun(OfScenario):
    """A field of the summary of a run."""

    of: Literal["run"] = "run"
    metric: str
    """Field of the summary; those of pools and classes with dots: pools.cs3.kv_peak_fraction."""
    replications: Count = 1
    """Number of seeds, of which the mean is taken."""

    def runs(self, scenario: Scenario) -> list[Scenario]:
        """Return the scenario on each seed."""
        return [reseeded(scenario, number) for number in range(self.replications)]

    def value(self, scenario: Scenario, summaries: Sequence[Summary]) -> float:
        """Return the mean of the field."""
        values = [_number("metric", self.metric, summary) for summary in summaries]
        return float(np.mean(values))


class _OfPool(OfScenario):
    """Base of the quantities of one pool."""

    pool: str | None = None
    """Name of the pool. Default: the first."""

    def pool_name(self) -> str | None:
        """Return the pool that it is of."""
        return self.pool

    def _place(self, scenario: Scenario) -> int:
        names = [pool.name for pool in scenario.cluster.pools]
        return names.index(self.pool) if self.pool else 0


class OfArithmetic(_OfPool):
    """What `explain` says of a pool without simulating."""

    of: Literal["arithmetic"] = "arithmetic"
    figure: str
    """Such as requests_per_s, kv_tokens or parts.collectives."""

    def value(self, scenario: Scenario, summaries: Sequence[Summary]) -> float:
        """Return the figure of the pool."""
        return _number("figure", self.figure, asdict(explain(scenario)[self._place(scenario)]))


class OfLimit(_OfPool):
    """What the hardware of one replica allows, by physics alone."""

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
    """Return a number by its dotted name. Raises NoSuchField, which names the key that asked."""
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
    """A figure of the catalog."""

    of: Literal["catalog"] = "catalog"
    entry: str
    """Name of the entry."""
    figure: str
    """Path of the figure, as `cluster-sim catalog ENTRY` lists it: memory.bandwidth."""
    unit: str | None = None
    """Unit in which it is wanted, such as TB/s. Default: a bare number."""

    def known(self) -> float:
        """Return the figure. Raises ValueError where there is none."""
        kinds = catalog_kinds(*_KINDS)
        if self.entry not in kinds:
            hint = did_you_mean(self.entry, sorted(kinds))
            raise ValueError(f"no entry '{self.entry}' in the catalog{hint}")
        data = read_yaml(CATALOG / kinds[self.entry] / f"{self.entry}.yaml").data
        values = {figure.path: figure.value for figure in figures(data)}
        if self.figure not in values:
            hint = did_you_mean(self.figure, sorted(values))
            raise ValueError(f"no figure '{self.figure}' of {self.entry}{hint}")
        written = values[self.figure]
        if self.unit is not None:
            parse(f"1 {self.unit}", self.unit)  # whether there is such a unit
            return parse(written, self.unit)
        try:
            return float(written)
        except ValueError as fault:
            raise ValueError(
                f"{self.figure} of {self.entry} is '{written}'; expected 'unit', in which to take it"
            ) from fault


class OfMeasurement(Description):
    """One of the published measurements that the catalog holds."""

    of: Literal["measurement"] = "measurement"
    where: Annotated[dict[str, str | float], Field(min_length=1)]
    """Values of columns that one row alone has; of numbers as they are written there."""

    def known(self) -> float:
        """Return the value of the row. Raises ValueError where not exactly one row is so."""
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
            raise ValueError(f"{len(matching)} measurements are so; expected one")
        value = float(matching[0]["value"])
        assert isfinite(value)
        return value


class Stated(Description):
    """A figure from elsewhere."""

    of: Literal["source"] = "source"
    value: float
    """The figure."""
    source: str
    """Who says so, and where."""

    def known(self) -> float:
        """Return the figure."""
        return self.value


Simulated = OfRun | OfArithmetic | OfLimit
"""Quantities that a scenario is needed for."""
Known = OfCatalog | OfMeasurement | Stated
"""Quantities that need no scenario."""
Quantity = Annotated[Simulated | Known, Field(discriminator="of")]
