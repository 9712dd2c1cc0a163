"""Air outside of a site over a run, and the supply that its cooling plant reaches in it."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from cluster_sim.facility import (
    HOURS_PER_YEAR,
    AnyPlant,
    Medium,
    Outside,
    Weather,
    YearOfAir,
    outside_at,
)
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.typing import Array
from cluster_sim.workload.random_streams import stream

STEP_S = 300.0
"""Length of a step of the weather, within which nothing changes [s]: five minutes."""
_STEPS = round(HOURS_PER_YEAR * 3600.0 / STEP_S)


class SiteWeather(NamedTuple):
    """Weather of a site over a run: its year, the seed of its noise, and the hour of time zero."""

    weather: Weather
    seed: int
    """Seed of the scenario, on which the noise of a synthetic year depends."""
    hour: float
    """Hour of the year at time zero."""

    def outside(self, time_s: Array) -> Outside:
        """Return the air outside at times of the run [s]. The year repeats."""
        return outside_at(_year(self.weather, self.seed), self.hour + time_s / 3600.0)


def site_weather(scenario: Scenario) -> SiteWeather | None:
    """Return the weather of a scenario's site; None if it has none."""
    site = scenario.site
    if site is None or site.weather is None:
        return None
    return SiteWeather(site.weather, scenario.seed, site.hour_of_year)


@lru_cache(maxsize=8)
def _year(weather: Weather, seed: int) -> YearOfAir:
    """Return the temperatures of a year; a seed always gives the same ones."""
    return weather.year(stream(seed, "weather").standard_normal(HOURS_PER_YEAR))


class LeastSupply:
    """Coldest supply of nodes that a plant reaches at full load, in steps of five minutes."""

    def __init__(self, reached_c: Array, set_point_c: float) -> None:
        """Take the temperatures of a year of steps from time zero on.

        Parameters
        ----------
        reached_c
            Coldest supply of each step [degC].
        set_point_c
            Lowest set point, below which changes do not matter [degC].
        """
        self.steps_c = np.maximum(reached_c, set_point_c)
        """Coldest supply of each step, at least the lowest set point [degC]."""
        self._changes = np.flatnonzero(self.steps_c != np.roll(self.steps_c, 1))
        self.max_c = float(np.max(self.steps_c))
        """Highest of the temperatures [degC]."""

    def at_c(self, time_s: float) -> float:
        """Return the coldest supply at a time, at least the lowest set point [degC]."""
        return float(self.steps_c[int(time_s // STEP_S) % _STEPS])

    def max_until_c(self, until_s: float) -> float:
        """Return the highest of the temperatures from time zero until a time [degC]."""
        steps = int(min(until_s // STEP_S + 1, _STEPS))
        return float(np.max(self.steps_c[:steps]))

    def next_change_s(self, time_s: float) -> float:
        """Return the time of the next change after `time_s` [s]; inf if there is none."""
        if not len(self._changes):
            return float("inf")
        years, step = divmod(int(time_s // STEP_S), _STEPS)
        place = int(np.searchsorted(self._changes, step, side="right"))
        if place == len(self._changes):
            years, place = years + 1, 0
        return (years * _STEPS + int(self._changes[place])) * STEP_S


def least_supply(scenario: Scenario, medium: Medium, set_point_c: float) -> LeastSupply | None:
    """Return the coldest supply of nodes that a scenario's plant reaches in its weather.

    Parameters
    ----------
    scenario
        Scenario with or without a cooling plant.
    medium
        Coolant of the nodes.
    set_point_c
        Lowest set point of the supply [degC].

    Returns
    -------
    LeastSupply or None
        None if there is no plant, or if it always reaches its set point.
    """
    around = site_weather(scenario)
    if around is None or scenario.site is None or scenario.site.cooling is None:
        return None
    return _least_supply(scenario.site.cooling, around, medium, set_point_c)


@lru_cache(maxsize=8)
def _least_supply(
    plant: AnyPlant, around: SiteWeather, medium: Medium, set_point_c: float
) -> LeastSupply | None:
    middles_s = (np.arange(_STEPS) + 0.5) * STEP_S
    water_c = plant.reached_c(around.outside(middles_s))
    if water_c is None:
        return None
    return LeastSupply(water_c + plant.approach_k(medium), set_point_c)
