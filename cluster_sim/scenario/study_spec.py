"""The `sweep:`, `capacity:` and `plan:` sections of a scenario file."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from cluster_sim.errors import shown
from cluster_sim.limits import POINTS
from cluster_sim.schema import Description
from cluster_sim.typing import ClusterCount, Count
from cluster_sim.units import PerSecond, number_and_unit
from cluster_sim.workload.classes import Percentile


class Range(Description):
    """Evenly spread values from `low` to `high`, both included."""

    low: float | str
    """Smallest value, with its unit if it has one."""
    high: float | str
    """Largest value, in the unit of `low`."""
    points: Annotated[int, Field(ge=2), POINTS]
    """Number of values."""
    scale: Literal["linear", "log"] = "linear"
    """Spacing of the values. log: each value is a constant multiple of the previous one."""


def _spread(value: Any) -> tuple[Any, ...]:
    """Return the values of an axis: those of a list, or those of a range."""
    if isinstance(value, (list, tuple)):
        if not value:
            raise ValueError("got an empty list; expected at least one value")
        return tuple(value)
    if (
        not isinstance(value, dict)
        or not {"low", "high", "points"} <= value.keys() <= Range.model_fields.keys()
    ):
        raise ValueError(
            f"got {shown(value)}; expected a list of values, or a range such as {{low: 1 /s, high: 64 /s, points: 7, scale: log}}"
        )
    low, high = _magnitude(value["low"]), _magnitude(value["high"])
    points, scale = value["points"], value.get("scale", "linear")
    if low[1] != high[1]:
        raise ValueError(f"low is in '{low[1]}' and high in '{high[1]}'; expected one unit")
    if isinstance(points, bool) or not isinstance(points, int) or points < 2:
        raise ValueError(f"got {shown(points)} points; expected a whole number of at least 2")
    if points > POINTS.most:
        raise ValueError(POINTS.fault(points, "points"))
    if scale not in ("linear", "log"):
        raise ValueError(f"got the scale {shown(scale)}; expected linear or log")
    if scale == "log" and not (low[0] > 0 and high[0] > 0):
        raise ValueError("a scale of log needs 'low' and 'high' above 0")
    numbers = _values(low[0], high[0], points, is_log=scale == "log")
    return tuple(_written(number, low[1]) for number in numbers)


def _magnitude(value: Any) -> tuple[float, str]:
    """Return (number, unit). The unit of a bare number is ''."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value, ""
    if isinstance(value, str):
        return number_and_unit(value)
    raise ValueError(f"got {shown(value)}; expected a number, with its unit if it has one")


def _values(low: float, high: float, points: int, *, is_log: bool) -> Iterator[float]:
    """Yield evenly spread values.

    Values are rounded to twelve digits, so that 0.1 to 0.3 in three points contains exactly 0.2.
    """
    for place in range(points):
        share = place / (points - 1)
        value = (
            math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
            if is_log
            else low + share * (high - low)
        )
        yield float(f"{value:.12g}")


def _written(value: float, unit: str) -> float | int | str:
    """Return a value as a scenario file writes it.

    It is a whole number if that is exact, for keys that require one.
    """
    number = int(value) if value == int(value) and abs(value) < 1e15 else value
    return f"{number!r} {unit}" if unit else number


Values = Annotated[
    tuple[Any, ...], BeforeValidator(_spread, json_schema_input_type=list[Any] | Range)
]
Wanted = Literal["usd_per_hour", "power", "nodes", "goodput"]
"""A quantity that a plan optimises."""
Axis = Annotated[dict[str, Values], Field(min_length=1)]


class Sweep(Description):
    """Product of axes. Each point is simulated `replications` times."""

    axes: Annotated[tuple[Axis, ...], Field(min_length=1)]
    """Axes of the grid. An axis maps a key, such as workload.arrivals.rate, to its values. Several
    keys of one axis change together, item by item. `variant` is a key too; if no axis has it, all
    variants of the file are run."""
    exclude: tuple[dict[str, Any], ...] = ()
    """Points to leave out. A point is left out if it matches all values of one of these mappings. A
    mapping gives a value or a list of values per key."""
    replications: Count = 1
    """Number of runs per point. They use the seeds seed, seed + 1 and so on. Every point uses the
    same seeds and sees the same traffic."""
    keep: Literal["summaries", "runs"] = "summaries"
    """Files that are kept of each point. summaries: its row in the table. runs: its run folder as
    well."""

    @model_validator(mode="after")
    def _fits_together(self) -> Sweep:
        checked_axes(self.axes, self.replications)
        keys = {key for axis in self.axes for key in axis} | {"variant"}
        for rule in self.exclude:
            if unknown := [key for key in rule if key not in keys]:
                raise ValueError(f"got {shown(unknown[0])} in exclude; expected the key of an axis")
            if not rule:
                raise ValueError(
                    "got an empty mapping in exclude, which would leave out every point; expected values to leave out"
                )
        return self


class Capacity(Description):
    """Search for the highest rate within the SLO, or for the smallest cluster."""

    bare_key: ClassVar[str] = "rate"

    for_: Annotated[Literal["nodes_under_cap"] | None, Field(alias="for")] = None
    """Other question. nodes_under_cap: how many more nodes fit under the power caps of the site, if
    the traffic grows with them. Default: the rate, or the nodes for `rate`."""
    growth: Annotated[tuple[Annotated[float, Field(ge=0.0, le=10.0)], ...], Field(min_length=1)] = (
        0.0,
        0.1,
        0.2,
        0.3,
        0.4,
    )
    """Additional nodes that `nodes_under_cap` tries, as shares of the file's, in ascending order."""
    rate_per_s: PerSecond | None = None
    """Mean rate that the cluster must carry; the smallest number of nodes is searched [1/s].
    Default: the highest rate that the given nodes carry is searched."""
    percentile: Percentile | None = None
    """Percentile of requests at which each objective of the SLO must hold, instead of the one in
    `slo`. Default: that of `slo`, or 95 if it has none, although `run` then judges at 99."""
    axes: tuple[Axis, ...] = ()
    """Axes of further choices, as in `sweep`: parallelism, precision, policies. The answer is
    searched for each combination."""
    pool: str | None = None
    """Pool whose number of nodes is searched. Default: the first pool."""
    max_nodes: ClusterCount = 1024
    """Maximum number of nodes that is tried."""
    tolerance: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.01
    """Relative tolerance of the highest rate."""
    replications: Count = 1
    """Number of runs per trial, with different seeds. Their requests are judged together."""
    usd_per_node_hour: dict[str, Annotated[float, Field(gt=0.0)]] = Field(default_factory=dict)
    """Price of a node by the name of its pool, for the front of cost and latency [USD/h]. Default:
    the price of the node at rated power; without prices, nodes are counted."""

    @model_validator(mode="after")
    def _fits_together(self) -> Capacity:
        checked_axes(self.axes, self.replications)
        if self.for_ is not None and self.rate_per_s is not None:
            raise ValueError(f"{self.for_} takes the rate of the traffic; expected no 'rate'")
        if any(later <= earlier for earlier, later in pairwise(self.growth)):
            raise ValueError("expected 'growth' in ascending order")
        return self


class Plan(Description):
    """Search for the deployment that meets the SLO at the lowest cost, or with the most goodput."""

    vary: dict[str, Values] = Field(default_factory=dict)
    """Keys that may vary, each with its values. A key is below `cluster` unless it begins with
    another section; pools.NAME is the pool of that name. `variant` is a key too; if it is not
    given, each variant has its own answer. Default: nodes and tensor parallelism of each pool, and the wafers of a replica."""
    exclude: tuple[dict[str, Any], ...] = ()
    """Deployments to leave out. One is left out if it matches all values of one of these mappings.
    A mapping gives a value or a list of values per key of `vary`."""
    for_: Annotated[Wanted, Field(alias="for")] = "usd_per_hour"
    """Quantity to optimise. usd_per_hour: the lowest cost at rated power, of pools that are scaled
    the mean over the run. power: the lowest mean
    power with PUE. nodes: the fewest nodes. goodput: the most requests per second within the
    SLO."""
    rate_per_s: PerSecond | None = None
    """Mean rate to which the traffic is scaled [1/s]. Default: the traffic as written."""
    percentile: Percentile | None = None
    """Percentile of requests at which each objective of the SLO must hold, instead of the one in
    `slo`. Default: that of `slo`, or 99 if it has none."""
    budget: Count = 200
    """Maximum number of simulated requests, in runs of full length."""

    @model_validator(mode="after")
    def _fits_together(self) -> Plan:
        for rule in self.exclude:
            if unknown := [key for key in rule if key not in self.vary]:
                raise ValueError(f"got {shown(unknown[0])} in exclude; expected a key of vary")
            if not rule:
                raise ValueError(
                    "got an empty mapping in exclude, which would leave out every deployment; expected values to leave out"
                )
        points = math.prod(len(values) for values in self.vary.values())
        if points > POINTS.most:
            raise ValueError(POINTS.fault(points, "deployments"))
        return self


class StudySections(Description):
    """Sections of a file that ask for many simulations."""

    sweep: Sweep | None = None
    """Grid of points to simulate. Default: no sweep."""
    capacity: Capacity | None = None
    """Search for the capacity of a cluster. Default: no search."""
    plan: Plan | None = None
    """Search for the best deployment. Default: no search."""


def checked_axes(axes: tuple[dict[str, tuple[Any, ...]], ...], replications: int = 1) -> None:
    """Raise ValueError if axes do not form a product.

    The reason is one of three: keys of one axis have different numbers of values, a key is in two
    axes, or there are too many runs.
    """
    seen: set[str] = set()
    points = 1
    for axis in axes:
        lengths = {key: len(values) for key, values in axis.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(
                f"keys of one axis change together: expected the same number of values for each, got {', '.join(f'{count} of {key}' for key, count in lengths.items())}"
            )
        if twice := seen & axis.keys():
            raise ValueError(f"got {min(twice)} in two axes; expected each key in one axis")
        seen |= axis.keys()
        points *= next(iter(lengths.values()))
    if points * replications > POINTS.most:
        raise ValueError(POINTS.fault(points * replications, "runs"))
