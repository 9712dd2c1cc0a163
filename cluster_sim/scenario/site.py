"""The site of a cluster: the air or water it supplies, power caps, and failures of cooling."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from cluster_sim.schema import Description
from cluster_sim.typing import Count
from cluster_sim.units import (
    Celsius,
    GramsPerKwh,
    Kelvin,
    PositiveSeconds,
    Seconds,
    UsdPerKwh,
    Watts,
)


class Inlet(Description):
    """Temperature of the air or water that nodes are given.

    It is constant, follows a day's course about a mean, or follows a schedule.
    """

    mean_c: Celsius | None = None
    """Mean temperature [degC]."""
    swing_kelvin: Kelvin = 0.0
    """Difference between the hottest hour and the mean, and between the mean and the coldest [K].
    The course is a cosine."""
    peak_hour: Annotated[float, Field(ge=0.0, lt=24.0)] = 15.0
    """Hour of the day that is hottest."""
    begins_hour: Annotated[float, Field(ge=0.0, lt=24.0)] = 0.0
    """Hour of the day at time zero."""
    points: Annotated[tuple[tuple[Seconds, Celsius], ...], Field(min_length=1)] | None = None
    """Schedule in place of the mean: [time, temperature], each from its time on. The first holds
    before its time as well."""

    @model_validator(mode="after")
    def _has_one_course(self) -> Inlet:
        if (self.mean_c is None) == (self.points is None):
            raise ValueError(
                "expected a temperature such as '25 degC', a 'mean' with a 'swing', or 'points'"
            )
        if self.points is not None:
            if beside := sorted(self.model_fields_set - {"points"}):
                raise ValueError(
                    f"'points' stand in place of '{beside[0].removesuffix('_kelvin')}'; expected one of the two"
                )
            if any(later <= earlier for (earlier, _), (later, _) in pairwise(self.points)):
                raise ValueError("points must ascend in time")
        return self


def _mean_where_bare(value: Any) -> Any:
    return value if isinstance(value, (dict, BaseModel)) else {"mean": value}


class SiteEvent(Description):
    """Something that goes wrong for a while."""

    at_s: Seconds
    """Time at which it begins [s]."""
    lasts_s: PositiveSeconds
    """Length of the event [s]."""
    what: Literal["fan_failure", "pump_failure", "inlet_rise"]
    """Kind of event: fans or pumps fail, or the inlet gets warmer."""
    where: str | None = None
    """Pool, or node of a pool such as `b200/0`, that it happens to. Default: all nodes."""
    factor: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    """Share of the flow that a failure of fans or pumps leaves."""
    rise_kelvin: Kelvin | None = None
    """Rise of the inlet's temperature under `inlet_rise` [K]."""

    @model_validator(mode="after")
    def _says_how_much(self) -> SiteEvent:
        wanted, other = ("rise", "factor") if self.what == "inlet_rise" else ("factor", "rise")
        given = {"factor": self.factor is not None, "rise": self.rise_kelvin is not None}
        if given[other] or not given[wanted]:
            example = "rise: 8 K" if wanted == "rise" else "factor: 0.5"
            raise ValueError(
                f"{self.what} needs '{wanted}', such as '{example}'"
                + (f", and no '{other}'" if given[other] else "")
            )
        return self

    def hits(self, node: str) -> bool:
        """Return whether the event happens to the node called `pool/0`."""
        return self.where in (None, node, node.rpartition("/")[0])

    def lasts(self, time_s: float) -> bool:
        """Return whether the event is going on at `time_s`."""
        return self.at_s <= time_s < self.at_s + self.lasts_s


class Site(Description):
    """Where the cluster stands."""

    inlet_c: (
        Annotated[Inlet, BeforeValidator(_mean_where_bare, json_schema_input_type=str | Inlet)]
        | None
    ) = None
    """Temperature of the air or water that nodes are given [degC]. Left out, temperatures are not
    simulated, and nothing throttles by heat."""
    pue: Annotated[float, Field(ge=1.0)] | None = None
    """Power usage effectiveness: power of the site per watt of its nodes. Energy and power of the
    summary are those of the site. Default: 1."""
    electricity_usd_per_kwh: UsdPerKwh | None = None
    """Price of electricity for nodes that are owned [USD/kWh]. Default: that of their prices."""
    carbon_intensity_g_per_kwh: GramsPerKwh | None = None
    """Mass of CO2 emitted per energy drawn [g/kWh]."""
    rack_nodes: Count | None = None
    """Number of nodes of a rack, taken in the order of the file. Default: all stand in one."""
    rack_power_cap_w: Watts | None = None
    """Power that the nodes of a rack may draw together at their plugs [W]."""
    row_power_cap_w: Watts | None = None
    """Power that all nodes may draw together [W]."""
    power_sharing: Literal["proportional", "priority"] = "proportional"
    """How a cap is shared beyond what all draw at least. proportional: each node gets in proportion
    to what more it could draw. priority: the pools are served in the order of the file. Shares are
    fixed: power that an idle node leaves is not given to others."""
    events: tuple[SiteEvent, ...] = ()
    """Failures and rises of temperature, and when they happen."""
