"""Cooling plant of a site: what all kinds have in common, and the interface of a kind."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from cluster_sim.facility.weather import Outside
from cluster_sim.physics.fans_and_pumps import LEAST_FLOW, fan_w, pump_w
from cluster_sim.schema import Description
from cluster_sim.typing import Number
from cluster_sim.units import Celsius, Kelvin, Quantity, Watts

Medium = Literal["air", "liquid"]
PartOfHeat = Annotated[float, Field(ge=0.0, le=0.5)]
"""Power of fans or pumps at full flow, as a share of the heat at full load."""
PositiveKelvin = Annotated[float, Quantity("K", "10 K", above=0.0)]


class PlantLoad(NamedTuple):
    """Heat that reaches the water of a plant, and the air outside."""

    heat_w: Number
    """Heat of the nodes, of the fans of air handlers and of the pumps of CDUs [W]."""
    full_w: float
    """Heat at full load [W]."""
    supply_c: Number
    """Temperature of the water that the plant supplies [degC]."""
    outside: Outside

    @property
    def share(self) -> Number:
        """Heat as a share of that at full load."""
        return self.heat_w / self.full_w


class PlantDraw(NamedTuple):
    """Power of a plant by part, and heat that evaporating water takes."""

    chiller_w: Number
    fans_w: Number
    pumps_w: Number
    evaporated_w: Number
    """Heat that leaves by evaporation [W]."""

    @property
    def total_w(self) -> Number:
        """Power of the plant [W]."""
        return self.chiller_w + self.fans_w + self.pumps_w


class Cdu(Description):
    """Coolant distribution units, between the plant's water and the coolant of liquid-cooled nodes."""

    approach_kelvin: Kelvin = 4.0
    """Difference between the coolant of the nodes and the water of the plant [K]. Default: 4 K, of
    usually 3 to 5 K."""
    pump: PartOfHeat = 0.015
    """Power of the pumps at full flow, per heat at full load. Default: 0.015, of usually 1 to 2 %
    of the heat; 150 L/min at 40 psi for 100 kW (OCP) are 1.1 %."""


class AirHandler(Description):
    """Air handlers, between the plant's water and the air of the room."""

    approach_kelvin: Kelvin = 8.0
    """Difference between the supply air of the nodes and the water of the plant [K]. Default: 8 K,
    an estimate."""
    fan: PartOfHeat = 0.04
    """Power of the fans at full flow, per heat at full load. Default: 0.04, an estimate."""


class CoolingPlantSpec(Description):
    """Keys of every kind of cooling plant."""

    supply_c: Celsius | None = None
    """Temperature of the water that the plant supplies [degC]. Default: `site.inlet` less the
    approach of CDU or air handler, the colder one if nodes have air and liquid."""
    rise_kelvin: PositiveKelvin = 10.0
    """Difference between the water that returns and the water that is supplied [K]. Default: 10 K,
    as the rule of OCP of at least 1.5 L/min per kW gives it."""
    capacity_w: Watts | None = None
    """Power of nodes for which the plant, UPS and transformers are built [W]. Default: the maximum
    power of all nodes."""
    water_pump: PartOfHeat = 0.0083
    """Power of the pumps of the plant's water at full flow, per heat at full load. Default: 22 W
    per gallon per minute (ASHRAE 90.1, Appendix G) at a rise of 10 K."""
    cdu: Cdu = Field(default_factory=Cdu)
    """CDU of liquid-cooled nodes."""
    air_handler: AirHandler = Field(default_factory=AirHandler)
    """Air handler of air-cooled nodes, and of nodes whose cooling is unknown."""

    def approach_k(self, medium: Medium) -> float:
        """Return the difference between the nodes' coolant and the plant's water [K]."""
        return (self.cdu if medium == "liquid" else self.air_handler).approach_kelvin

    def room_w(self, load: Number, full_w: float, medium: Medium) -> Number:
        """Return the power of CDU pumps or air handler fans [W].

        Parameters
        ----------
        load
            Power of the nodes with this coolant, as a share of their full power.
        full_w
            Full power of these nodes [W].
        medium
            Coolant of the nodes.
        """
        flow = load.clip(LEAST_FLOW, 1.0)
        if medium == "liquid":
            return pump_w(flow, self.cdu.pump * full_w)
        return fan_w(flow, self.air_handler.fan * full_w)

    def _water_pumps_w(self, load: PlantLoad) -> Number:
        """Return the power of the pumps of the plant's water [W]."""
        return pump_w(load.share.clip(LEAST_FLOW, 1.0), self.water_pump * load.full_w)

    @abstractmethod
    def reached_c(self, outside: Outside) -> Number | None:
        """Return the coldest water that the plant reaches at full load [degC].

        It is None if the plant reaches its supply temperature in any weather.
        """

    @abstractmethod
    def draw(self, load: PlantLoad) -> PlantDraw:
        """Return the power of the plant, without CDU and air handlers."""

    def water_l(self, evaporated_j: float) -> float:
        """Return the water that a plant needs for the heat that leaves by evaporation [L]."""
        return 0.0

    def supply_note(self, lowest_c: float, highest_c: float) -> str | None:
        """Return a warning if the plant's model does not hold for its supply temperatures."""
        return None
