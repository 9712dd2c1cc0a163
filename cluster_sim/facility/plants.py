"""Kinds of cooling plants: chillers, dry coolers and cooling towers."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from cluster_sim.facility.plant import (
    CoolingPlantSpec,
    PartOfHeat,
    PlantDraw,
    PlantLoad,
    PositiveKelvin,
)
from cluster_sim.facility.weather import Outside
from cluster_sim.physics import chillers
from cluster_sim.physics.cooling_plant import (
    FREE_COOLING_K,
    evaporated_l,
    fan_speed,
    free_cooling_share,
    outdoor_water_c,
)
from cluster_sim.physics.fans_and_pumps import LEAST_FLOW, fan_w, pump_w
from cluster_sim.typing import Number

Cycles = Annotated[float, Field(gt=1.0)]


class _Evaporative(CoolingPlantSpec):
    """Keys of plants that reject their heat through a cooling tower."""

    approach_kelvin: PositiveKelvin = 5.0
    """Difference between the tower's water and the wet bulb outside at full load [K]. It is
    proportional to the load. Default: 5 K, of usually 4 to 6 K."""
    tower_fan: PartOfHeat = 0.0127
    """Power of the tower's fans at full flow, per heat at full load. Default: 40.2 gallons per
    minute per horsepower, the least of ASHRAE 90.1 for open towers with axial fans."""
    tower_pump: PartOfHeat = 0.013
    """Power of the pumps of the tower's water at full flow, per heat at full load. Default: 19 W
    per gallon per minute (ASHRAE 90.1, Appendix G) at a rise of 5.6 K."""
    cycles: Cycles = 5.0
    """Cycles of concentration of the tower's water: 5 need 1.84 L per kWh of heat, and more cycles
    need less. Default: 5."""

    def water_l(self, evaporated_j: float) -> float:
        """Return the water that a plant needs for the heat that leaves by evaporation [L]."""
        return float(evaporated_l(evaporated_j, self.cycles))

    def _tower_c(self, load: PlantLoad) -> Number:
        """Return the tower's water at full fan speed [degC]."""
        return outdoor_water_c(load.outside.wet_c, self.approach_kelvin, load.share)

    def _tower_fans_w(self, load: PlantLoad, wanted_c: Number) -> Number:
        speed = fan_speed(wanted_c, load.outside.wet_c, self.approach_kelvin, load.share)
        return fan_w(speed, self.tower_fan * load.full_w)

    def _all_pumps_w(self, load: PlantLoad) -> Number:
        flow = load.share.clip(LEAST_FLOW, 1.0)
        return self._water_pumps_w(load) + pump_w(flow, self.tower_pump * load.full_w)


class Chiller(_Evaporative):
    """Water-cooled chiller with a cooling tower, by the curves of EnergyPlus."""

    kind: Literal["chiller"] = "chiller"
    free_cooling: bool = True
    """Whether the tower's water cools without the chiller when it is cold enough."""

    def reached_c(self, outside: Outside) -> Number | None:
        """Return None: a chiller reaches its supply temperature in any weather."""
        return None

    def draw(self, load: PlantLoad) -> PlantDraw:
        """Return the power of the plant, without CDU and air handlers."""
        supply_c, tower_c = load.supply_c, self._tower_c(load)
        free = free_cooling_share(tower_c, supply_c, supply_c + self.rise_kelvin)
        free = free if self.free_cooling else 0.0 * free
        condenser_c = np.maximum(tower_c, chillers.CONDENSER_C[0])
        able = chillers.chiller_capacity(supply_c, chillers.CONDENSER_C[1])
        heat_w = (1.0 - free) * load.heat_w
        chiller_w = chillers.chiller_w(heat_w, load.full_w / able, supply_c, condenser_c)
        with_chiller_c: Number = np.where(free > 0.0, tower_c, condenser_c)
        wanted_c = np.where(free >= 1.0, supply_c - FREE_COOLING_K, with_chiller_c)
        fans_w = self._tower_fans_w(load, wanted_c)
        return PlantDraw(chiller_w, fans_w, self._all_pumps_w(load), load.heat_w + chiller_w)

    def supply_note(self, lowest_c: float, highest_c: float) -> str | None:
        """Return a warning if the curves do not hold for the supply temperatures."""
        return _range_note(lowest_c, highest_c, chillers.LEAVING_C)


class AirCooledChiller(CoolingPlantSpec):
    """Air-cooled chiller with a dry cooler for free cooling."""

    kind: Literal["air_cooled_chiller"] = "air_cooled_chiller"
    free_cooling: bool = True
    """Whether a dry cooler cools without the chiller when it is cold enough outside."""
    approach_kelvin: PositiveKelvin = 10.0
    """Difference between the dry cooler's water and the air outside at full load [K]. It is
    proportional to the load. Default: 10 K, of usually 8 to 12 K."""
    dry_fan: PartOfHeat = 0.03
    """Power of the dry cooler's fans at full flow, per heat at full load. Default: 0.03, an
    estimate. The power of the chiller's own fans is a part of the chiller's."""

    def reached_c(self, outside: Outside) -> Number | None:
        """Return None: a chiller reaches its supply temperature in any weather."""
        return None

    def draw(self, load: PlantLoad) -> PlantDraw:
        """Return the power of the plant, without CDU and air handlers."""
        supply_c, dry_c = load.supply_c, load.outside.dry_c
        coil_c = outdoor_water_c(dry_c, self.approach_kelvin, load.share)
        free = free_cooling_share(coil_c, supply_c, supply_c + self.rise_kelvin)
        free = free if self.free_cooling else 0.0 * free
        able = chillers.air_chiller_capacity(supply_c, chillers.AIR_OUTSIDE_C[1])
        heat_w = (1.0 - free) * load.heat_w
        chiller_w = chillers.air_chiller_w(heat_w, load.full_w / able, supply_c, dry_c)
        wanted_c = np.where(free >= 1.0, supply_c - FREE_COOLING_K, coil_c)
        speed = fan_speed(wanted_c, dry_c, self.approach_kelvin, load.share)
        fans_w = np.where(free > 0.0, fan_w(speed, self.dry_fan * load.full_w), 0.0)
        return PlantDraw(chiller_w, fans_w, self._water_pumps_w(load), 0.0 * chiller_w)

    def supply_note(self, lowest_c: float, highest_c: float) -> str | None:
        """Return a warning if the curves do not hold for the supply temperatures."""
        return _range_note(lowest_c, highest_c, chillers.AIR_LEAVING_C)


class DryCooler(CoolingPlantSpec):
    """Dry cooler without a chiller: its water is never colder than the air outside."""

    kind: Literal["dry_cooler"] = "dry_cooler"
    approach_kelvin: PositiveKelvin = 10.0
    """Difference between the dry cooler's water and the air outside at full load [K]. It is
    proportional to the load. Default: 10 K, of usually 8 to 12 K."""
    dry_fan: PartOfHeat = 0.03
    """Power of the fans at full flow, per heat at full load. Default: 0.03, an estimate."""

    def reached_c(self, outside: Outside) -> Number | None:
        """Return the coldest water that the plant reaches at full load [degC]."""
        return outdoor_water_c(outside.dry_c, self.approach_kelvin)

    def draw(self, load: PlantLoad) -> PlantDraw:
        """Return the power of the plant, without CDU and air handlers."""
        speed = fan_speed(load.supply_c, load.outside.dry_c, self.approach_kelvin, load.share)
        none = 0.0 * load.heat_w
        fans_w = fan_w(speed, self.dry_fan * load.full_w)
        return PlantDraw(none, fans_w, self._water_pumps_w(load), none)


class Tower(_Evaporative):
    """Cooling tower without a chiller: its water is never colder than the wet bulb outside."""

    kind: Literal["tower"] = "tower"

    def reached_c(self, outside: Outside) -> Number | None:
        """Return the coldest water that the plant reaches at full load [degC]."""
        return outdoor_water_c(outside.wet_c, self.approach_kelvin) + FREE_COOLING_K

    def draw(self, load: PlantLoad) -> PlantDraw:
        """Return the power of the plant, without CDU and air handlers."""
        fans_w = self._tower_fans_w(load, load.supply_c - FREE_COOLING_K)
        return PlantDraw(0.0 * load.heat_w, fans_w, self._all_pumps_w(load), load.heat_w)


def _range_note(lowest_c: float, highest_c: float, range_c: tuple[float, float]) -> str | None:
    least_c, most_c = range_c
    if lowest_c >= least_c and highest_c <= most_c:
        return None
    is_warm = highest_c > most_c
    got_c, end_c = (highest_c, most_c) if is_warm else (lowest_c, least_c)
    effect = "above" if is_warm else "below"
    return f"site.cooling: water of {got_c:.1f} degC is outside the chiller's range of {least_c:g} to {most_c:g} degC; its power is that at {end_c:g} degC, {effect} the true one"


AnyPlant = Annotated[Chiller | AirCooledChiller | DryCooler | Tower, Field(discriminator="kind")]
"""A cooling plant of any kind, in a description."""
