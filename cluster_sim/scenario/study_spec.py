"""What a study asks of a scenario: the `sweep:` and `capacity:` sections of a scenario file."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from cluster_sim.errors import shown
from cluster_sim.schema import Description
from cluster_sim.units import PerSecond, number_and_unit

Count = Annotated[int, Field(gt=0)]

_MOST_POINTS = 1_000_000


class Range(Description):
    """Evenly spread values from `low` to `high`, both included."""

    low: float | str
    high: float | str
    """In the unit of `low`, where that has one."""
    points: Annotated[int, Field(ge=2)]
    scale: Literal["linear", "log"] = "linear"
    """log: each is the same multiple of the one before."""


def _spread(came: Any) -> tuple[Any, ...]:
    """The values of an axis: those of a list, or those of a range."""
    if isinstance(came, (list, tuple)):
        if not came:
            raise ValueError("came an empty list; wanted at least one value")
        return tuple(came)
    if (
        not isinstance(came, dict)
        or not {"low", "high", "points"} <= came.keys() <= Range.model_fields.keys()
    ):
        raise ValueError(
            f"came {shown(came)}; wanted a list of values, or a range such as {{low: 1 /s, high: 64 /s, points: 7, scale: log}}"
        )
    low, high = _magnitude(came["low"]), _magnitude(came["high"])
    points, scale = came["points"], came.get("scale", "linear")
    if low[1] != high[1]:
        raise ValueError(f"low is in '{low[1]}' and high in '{high[1]}'; wanted one unit")
    if isinstance(points, bool) or not isinstance(points, int) or not 2 <= points <= _MOST_POINTS:
        raise ValueError(f"came {shown(points)} points; wanted a whole number from 2 on")
    if scale not in ("linear", "log"):
        raise ValueError(f"came the scale {shown(scale)}; wanted linear or log")
    if scale == "log" and not (low[0] > 0 and high[0] > 0):
        raise ValueError("a scale of log goes from above 0 to above 0")
    return tuple(
        _written(value, low[1]) for value in _values(low[0], high[0], points, scale == "log")
    )


def _magnitude(came: Any) -> tuple[float, str]:
    """(number, unit); the unit of a bare number is ''."""
    if isinstance(came, (int, float)) and not isinstance(came, bool):
        return came, ""
    if isinstance(came, str):
        return number_and_unit(came)
    raise ValueError(f"came {shown(came)}; wanted a number, with its unit where it has one")


def _values(low: float, high: float, points: int, log: bool) -> Iterator[float]:
    """To twelve digits, so that 0.1 to 0.3 in three points holds 0.2 and not 0.2 and a bit."""
    for place in range(points):
        share = place / (points - 1)
        value = (
            math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
            if log
            else low + share * (high - low)
        )
        yield float(f"{value:.12g}")


def _written(value: float, unit: str) -> float | int | str:
    """As a scenario file writes it; a whole number where nothing is lost, for keys that want one."""
    number = int(value) if value == int(value) and abs(value) < 1e15 else value
    return f"{number!r} {unit}" if unit else number


Values = Annotated[
    tuple[Any, ...], BeforeValidator(_spread, json_schema_input_type=list[Any] | Range)
]
Axis = Annotated[dict[str, Values], Field(min_length=1)]


class Sweep(Description):
    """The product of axes, each point simulated `replications` times."""

    axes: Annotated[tuple[Axis, ...], Field(min_length=1)]
    """Each names a key, such as workload.arrivals.rate, and its values; keys of one axis move
    together, item by item. `variant` is a key too; a file with variants that has no such axis runs
    them all."""
    exclude: tuple[dict[str, Any], ...] = ()
    """Points to leave out: those that have all the values of one of these, each a value or a list
    of them."""
    replications: Count = 1
    """Of each point, on the seeds seed, seed + 1, …: the same for every point, so that all see the
    same traffic."""
    keep: Literal["summaries", "runs"] = "summaries"
    """runs: a run folder of every point too."""

    @model_validator(mode="after")
    def _fits_together(self) -> Sweep:
        checked_axes(self.axes)
        keys = {key for axis in self.axes for key in axis} | {"variant"}
        for rule in self.exclude:
            if unknown := [key for key in rule if key not in keys]:
                raise ValueError(f"exclude names {shown(unknown[0])}, which is no axis")
            if not rule:
                raise ValueError("exclude holds an empty mapping, which leaves out everything")
        return self


class Capacity(Description):
    """How much a cluster carries within the SLO, or how large one must be."""

    rate_per_s: PerSecond | None = None
    """Requests a second, in the mean, that must be carried by the fewest nodes. Without it: the
    highest rate that the nodes given carry."""
    percentile: Annotated[float, Field(gt=0.0, lt=100.0)] = 95.0
    """Each objective of the SLO holds at this percentile of all requests; those rejected or
    unfinished count as endless."""
    axes: tuple[Axis, ...] = ()
    """What else may be chosen, as in `sweep`: parallelism, precision, policies. The answer is
    worked out for each combination."""
    pool: str | None = None
    """The pool whose nodes are counted; default: the first."""
    most_nodes: Count = 1024
    """Where the search gives up."""
    tolerance: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.01
    """Of the highest rate."""
    replications: Count = 1
    """Runs of each trial on other seeds, whose requests are judged together."""
    usd_per_node_hour: dict[str, Annotated[float, Field(gt=0.0)]] = Field(default_factory=dict)
    """What a node costs, by the name of its pool, for the front of cost and latency; default: by
    its prices, at rated power; without any, nodes are counted."""

    @model_validator(mode="after")
    def _fits_together(self) -> Capacity:
        checked_axes(self.axes)
        return self


def checked_axes(axes: tuple[dict[str, tuple[Any, ...]], ...]) -> None:
    """Raises ValueError for keys of one axis that do not go together, for a key of two axes, and
    for more points than anybody waits for.
    """
    seen: set[str] = set()
    points = 1
    for axis in axes:
        lengths = {key: len(values) for key, values in axis.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(
                f"keys of one axis move together: wanted as many values of each, came {', '.join(f'{count} of {key}' for key, count in lengths.items())}"
            )
        if twice := seen & axis.keys():
            raise ValueError(f"{min(twice)} is in two axes")
        seen |= axis.keys()
        points *= next(iter(lengths.values()))
    if points > _MOST_POINTS:
        raise ValueError(f"{points:,} points; no more than {_MOST_POINTS:,} are simulated")
