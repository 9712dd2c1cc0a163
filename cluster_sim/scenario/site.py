"""The site of a cluster: its supply air or water, power caps, events and failures."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from cluster_sim.facility import AnyCarbon, AnyPlant, AnyPrice, Weather, YearTime, read_weather
from cluster_sim.reliability import Failures
from cluster_sim.scenario.power_cap import SomePowerCap
from cluster_sim.scenario.power_sharing import Proportional, SomePowerSharing
from cluster_sim.scenario.site_events import SiteEvent
from cluster_sim.schema import Description, Named
from cluster_sim.typing import Count
from cluster_sim.units import (
    Celsius,
    Kelvin,
    Seconds,
)


class Inlet(Description):
    """Temperature of the supply air or supply water of the nodes.

    The temperature is constant, follows a daily course about a mean, or follows a schedule.
    """

    mean_c: Celsius | None = None
    """Mean temperature [degC]. Default: `points` give the temperature."""
    swing_kelvin: Kelvin = 0.0
    """Difference between the temperature of the hottest hour and the mean, and between the mean and
    that of the coldest hour [K]. The course is a cosine."""
    peak_hour: Annotated[float, Field(ge=0.0, lt=24.0)] = 15.0
    """Hour of the day with the highest temperature."""
    begins_hour: Annotated[float, Field(ge=0.0, lt=24.0)] = 0.0
    """Hour of the day at time zero."""
    points: Annotated[tuple[tuple[Seconds, Celsius], ...], Field(min_length=1)] | None = None
    """Schedule of pairs [time, temperature], which replaces the mean. Each temperature holds from
    its time on; the first holds before its time as well. Default: no schedule."""

    @model_validator(mode="after")
    def _has_one_course(self) -> Inlet:
        if (self.mean_c is None) == (self.points is None):
            raise ValueError(
                "expected a temperature such as '25 degC', a 'mean' with a 'swing', or 'points'"
            )
        if self.points is not None:
            if beside := sorted(self.changed_fields - {"points"}):
                raise ValueError(
                    f"'points' replace '{beside[0].removesuffix('_kelvin')}'; expected only one of them"
                )
            if any(later <= earlier for (earlier, _), (later, _) in pairwise(self.points)):
                raise ValueError("expected the times of 'points' in ascending order")
        return self


def _mean_where_bare(value: Any) -> Any:
    return value if isinstance(value, (dict, BaseModel)) else {"mean": value}


class Site(Description):
    """Site of the cluster: cooling, power caps, failures and prices of energy."""

    inlet_c: (
        Annotated[Inlet, BeforeValidator(_mean_where_bare, json_schema_input_type=str | Inlet)]
        | None
    ) = None
    """Temperature of the supply air or supply water of the nodes [degC]. Default: temperatures are
    not simulated, and heat throttles nothing."""
    thermal_protection: bool = True
    """Whether devices protect themselves against heat: they lower their clock, refresh hot memory
    more often, and shut down. If false, temperatures are simulated and nothing reacts to them."""
    pue: Annotated[float, Field(ge=1.0)] | None = None
    """Power usage effectiveness: power of the site per watt of its nodes. Energy and power in the
    summary are those of the site. Default: 1."""
    weather: Annotated[Weather, Named("weather", read_weather)] | None = None
    """Weather outside over a year: a catalog name, the path of a TMY3, EPW or CSV file, or a
    mapping. `cooling` needs it. Default: no weather."""
    begins: YearTime | None = None
    """Time of the year at time zero, such as '07-18 12:00'. It sets the weather, the prices by the
    hour, and the hour at which a daily course of `inlet` begins. Default: 01-01 00:00."""
    cooling: AnyPlant | None = None
    """Cooling plant of the site, which replaces `pue` and needs `weather`. `inlet` then is the set
    point: nodes get warmer air or water where the plant does not reach it. Default: the power of
    cooling is that of `pue`."""
    electricity_usd_per_kwh: AnyPrice | None = None
    """Price of electricity for nodes that are owned [USD/kWh]: a number, a course by the hour, or
    the path of a CSV file of hours. Default: the price in the node's prices."""
    carbon_intensity_g_per_kwh: AnyCarbon | None = None
    """Mass of CO2 emitted per energy drawn [g/kWh]: a number, a course by the hour, or the path of
    a CSV file of hours. Default: emissions are not reported."""
    rack_nodes: Count | None = None
    """Number of nodes per rack, taken in the order of the file. Default: all nodes stand in one
    rack."""
    rack_power_cap_w: SomePowerCap | None = None
    """Maximum power of the nodes of a rack together, at their plugs [W]: a power, or `points` with
    its schedule. Default: no cap."""
    row_power_cap_w: SomePowerCap | None = None
    """Maximum power of all nodes together [W]: a power, or `points` with its schedule. Default: no
    cap."""
    power_sharing: SomePowerSharing = Field(default_factory=Proportional)
    """Policy that keeps the nodes under their caps. proportional and priority give fixed shares of
    the power above the minimum that all nodes draw; power that an idle node leaves is not given to
    others. lend and lend_by_priority give it to nodes that ask for it. polca lowers clocks at
    thresholds. A name, or a mapping such as `{policy: lend, period: 3 s}`."""
    events: tuple[SiteEvent, ...] = ()
    """Events such as failures and temperature rises, with their times. Default: no events."""
    failures: Annotated[Failures, Named("failures")] | None = None
    """Failures that are drawn at random or recorded: a catalog name, the path of a file, or a
    mapping with its keys. Default: nothing fails but by `events`."""

    @model_validator(mode="after")
    def _has_one_plant(self) -> Site:
        if self.cooling is not None and self.pue is not None:
            raise ValueError(
                "got 'pue' and 'cooling'; expected one of them: the PUE follows from the cooling plant"
            )
        if self.cooling is not None and self.weather is None:
            raise ValueError("'cooling' needs 'weather', such as 'weather: greensboro'")
        if self.weather is not None and self.cooling is None:
            raise ValueError(
                "'weather' has no effect without 'cooling', such as 'cooling: {kind: dry_cooler}'"
            )
        if self.begins is not None and self.inlet_c is not None and self.inlet_c.begins_hour:
            raise ValueError("got 'begins' and 'inlet.begins_hour'; expected only 'begins'")
        return self

    @property
    def hour_of_year(self) -> float:
        """Hours since 1 January, 00:00, at time zero."""
        return self.begins or 0.0
