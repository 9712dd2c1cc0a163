"""Quantities that a file of claims names: kinds of quantities, and computation of their values.

A new kind of quantity is a class here and a member of `Simulated`, or a class in `known` and a member
of `Known`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from cluster_sim.analysis.estimate import explain
from cluster_sim.analysis.roofline_limits import LIMITS
from cluster_sim.claims.known import Known
from cluster_sim.deployment.fleet import resolve
from cluster_sim.errors import did_you_mean
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.schema import Description
from cluster_sim.studies.figure_use import Part
from cluster_sim.studies.runner import reseeded
from cluster_sim.typing import Count

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
    """Changed values by dotted key, as `--set` takes them. Braces hold expressions of parameters."""
    varied: tuple[Part, ...] | None = None
    """Kinds of uncertain figures that are varied: speed, power, heat and price. Default: all but price,
    and price too for a metric in USD."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """Kinds of uncertain figures that are varied."""
        return ("speed", "power", "heat") if self.varied is None else self.varied

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

    @property
    def parts(self) -> tuple[Part, ...]:
        """Kinds of uncertain figures that are varied."""
        is_cost = self.varied is None and "usd" in self.metric
        return (*super().parts, "price") if is_cost else super().parts

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


Simulated = OfRun | OfArithmetic | OfLimit
"""Quantities that need a scenario."""
Quantity = Annotated[Simulated | Known, Field(discriminator="of")]
