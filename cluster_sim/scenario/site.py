"""Where the cluster stands: the air or water that it is given, what it may draw, and what goes
wrong.
"""

from __future__ import annotations

from itertools import pairwise
from math import cos, floor, inf, pi
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from cluster_sim.schema import Description
from cluster_sim.units import (
    Celsius,
    GramsPerKwh,
    Kelvin,
    PositiveSeconds,
    Seconds,
    UsdPerKwh,
    Watts,
)

_HOUR_S, _DAY_S = 3600.0, 86400.0
_STEP_S = 300.0
"""A day's course of temperatures is taken in steps of five minutes."""


class Inlet(Description):
    """Temperature of the air or water that nodes are given: one and the same, a day's course about
    a mean, or by a schedule.
    """

    mean_c: Celsius | None = None
    swing_kelvin: Kelvin = 0.0
    """By which the hottest hour is above the mean, and the coldest below; a cosine between them."""
    peak_hour: Annotated[float, Field(ge=0.0, lt=24.0)] = 15.0
    begins_hour: Annotated[float, Field(ge=0.0, lt=24.0)] = 0.0
    """The hour of time zero."""
    points: Annotated[tuple[tuple[Seconds, Celsius], ...], Field(min_length=1)] | None = None
    """[time, temperature] from then on, in place of the mean; the first holds before it as well."""

    @model_validator(mode="after")
    def _has_one_course(self) -> Inlet:
        if (self.mean_c is None) == (self.points is None):
            raise ValueError(
                "wanted a temperature such as '25 degC', a 'mean' with a 'swing', or 'points'"
            )
        if self.points is not None:
            if beside := sorted(self.model_fields_set - {"points"}):
                raise ValueError(
                    f"'points' stand in place of '{beside[0].removesuffix('_kelvin')}'; wanted one of the two"
                )
            if any(later <= earlier for (earlier, _), (later, _) in pairwise(self.points)):
                raise ValueError("points must ascend in time")
        return self

    def at_c(self, time_s: float) -> float:
        """The temperature at `time_s`; between two changes it stays as it is."""
        if self.points is not None:
            return next(
                (temperature for at_s, temperature in reversed(self.points) if at_s <= time_s),
                self.points[0][1],
            )
        assert self.mean_c is not None
        if not self.swing_kelvin:
            return self.mean_c
        middle_s = (floor(time_s / _STEP_S) + 0.5) * _STEP_S
        return self.mean_c + self.swing_kelvin * cos(
            2 * pi * (middle_s / _DAY_S + (self.begins_hour - self.peak_hour) / 24)
        )

    def next_change_s(self, time_s: float) -> float:
        """When after `time_s` it is another; inf for never."""
        if self.points is not None:
            return next((at_s for at_s, _ in self.points if at_s > time_s), inf)
        return (floor(time_s / _STEP_S) + 1) * _STEP_S if self.swing_kelvin else inf

    @property
    def highest_c(self) -> float:
        """The highest that it ever is."""
        return (
            max(temperature for _, temperature in self.points)
            if self.points is not None
            else (self.mean_c or 0.0) + self.swing_kelvin
        )


def _mean_where_bare(came: Any) -> Any:
    return came if isinstance(came, (dict, BaseModel)) else {"mean": came}


class SiteEvent(Description):
    """Something that goes wrong."""

    at_s: Seconds
    lasts_s: PositiveSeconds
    what: Literal["fan_failure", "pump_failure", "inlet_rise"]
    where: str | None = None
    """A pool, or a node of it such as `b200/0`; default: everywhere."""
    factor: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    """Of a fan or pump failure: the share of the flow that is left."""
    rise_kelvin: Kelvin | None = None
    """Of `inlet_rise`: by how much."""

    @model_validator(mode="after")
    def _says_how_much(self) -> SiteEvent:
        wanted, other = ("rise", "factor") if self.what == "inlet_rise" else ("factor", "rise")
        given = {"factor": self.factor is not None, "rise": self.rise_kelvin is not None}
        if given[other] or not given[wanted]:
            example = "rise: 8 K" if wanted == "rise" else "factor: 0.5"
            raise ValueError(
                f"{self.what} wants '{wanted}', such as '{example}'"
                + (f", and no '{other}'" if given[other] else "")
            )
        return self

    def hits(self, node: str) -> bool:
        """Whether it happens to the node called `pool/0`."""
        return self.where in (None, node, node.rpartition("/")[0])

    def lasts(self, time_s: float) -> bool:
        """Whether it is going on at `time_s`."""
        return self.at_s <= time_s < self.at_s + self.lasts_s


class Site(Description):
    """Where the cluster stands."""

    inlet_c: (
        Annotated[Inlet, BeforeValidator(_mean_where_bare, json_schema_input_type=str | Inlet)]
        | None
    ) = None
    """Of the air or water that nodes are given. Left out, nothing is said of temperatures, and
    nothing throttles by heat."""
    pue: Annotated[float, Field(ge=1.0)] | None = None
    """What the site draws for each watt of its nodes: energy and power of the summary are those of
    the site; default 1."""
    electricity_usd_per_kwh: UsdPerKwh | None = None
    """Of nodes that are owned; default: what their prices say."""
    carbon_intensity_g_per_kwh: GramsPerKwh | None = None
    rack_nodes: Annotated[int, Field(gt=0)] | None = None
    """Nodes of a rack, taken in the order of the file; default: all stand in one."""
    rack_power_cap_w: Watts | None = None
    """What the nodes of a rack may draw together, at their plugs."""
    row_power_cap_w: Watts | None = None
    """What all nodes may draw together."""
    power_sharing: Literal["proportional", "priority"] = "proportional"
    """Who gets what of a cap beyond what all draw at least: each node in proportion to what it
    could draw more, or the pools of the file one after the other. Shares are fixed: what an idle
    node leaves is not given to others."""
    events: tuple[SiteEvent, ...] = ()
    """What goes wrong, and when."""
