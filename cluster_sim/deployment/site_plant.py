"""Cooling plant of a scenario's site: its size, and its power over time for a power of nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from cluster_sim.deployment.climate import inlet_c_at, set_point
from cluster_sim.deployment.power_caps import node_draws
from cluster_sim.deployment.weather_year import SiteWeather, site_weather
from cluster_sim.facility import HOURS_PER_YEAR, AnyPlant, Medium, Outside, PlantDraw, PlantLoad
from cluster_sim.physics.cooling_plant import electrical_loss
from cluster_sim.scenario.pool import Pool
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.scenario.site import Site
from cluster_sim.typing import Array

MEDIA: tuple[Medium, ...] = ("air", "liquid")


class PlantCourse(NamedTuple):
    """Power of a cooling plant, constant from edges_s[i] until edges_s[i + 1]."""

    edges_s: Array
    it_w: Array
    """Mean power of all nodes [W]."""
    outside: Outside
    water_c: Array
    """Temperature of the water that the plant supplies [degC]."""
    draw: PlantDraw
    """Power of the plant, with CDU and air handlers."""
    loss_w: Array
    """Power that UPS and transformers lose [W]."""

    @property
    def overhead_w(self) -> Array:
        """Power of the site in addition to its nodes [W]."""
        overhead_w: Array = self.draw.total_w + self.loss_w
        return overhead_w

    @property
    def pue(self) -> Array:
        """Power of the site per power of its nodes; inf while all nodes are off."""
        lost = np.full(len(self.it_w), np.inf)
        pue: Array = 1.0 + np.divide(self.overhead_w, self.it_w, out=lost, where=self.it_w > 0.0)
        return pue


def medium_of(pool: Pool) -> Medium:
    """Return the coolant of a pool's nodes, which is air if nothing is known about it."""
    return "air" if pool.node.cooling is None else pool.node.cooling.medium


class SitePlant:
    """Cooling plant of a site, built for a power of nodes with air and one of nodes with liquid."""

    def __init__(self, scenario: Scenario, site: Site, plant: AnyPlant) -> None:
        around = site_weather(scenario)
        assert around is not None
        self._site, self._plant = site, plant
        self._around: SiteWeather = around
        most_w: dict[Medium, float] = dict.fromkeys(MEDIA, 0.0)
        for draw in node_draws(scenario):
            most_w[medium_of(draw.pool)] += draw.most_w
        all_w = sum(most_w.values())
        capacity_w = plant.capacity_w or all_w
        self._full_w = {medium: capacity_w * most_w[medium] / all_w for medium in MEDIA}
        """Power of nodes for which the plant is built, by their coolant [W]."""

    @classmethod
    def of(cls, scenario: Scenario) -> SitePlant | None:
        """Return the plant of a scenario; None if its site has none."""
        site = scenario.site
        if site is None or site.cooling is None:
            return None
        return cls(scenario, site, site.cooling)

    @property
    def media(self) -> list[Medium]:
        """Coolants of the nodes."""
        return [medium for medium in MEDIA if self._full_w[medium] > 0.0]

    def wanted_c(self, time_s: Array) -> Array:
        """Return the set point of the plant's water at times of the run [degC]."""
        if self._plant.supply_c is not None:
            return np.full(len(time_s), self._plant.supply_c)
        inlet = set_point(self._site)
        inlet_c = np.array([inlet_c_at(inlet, each) for each in time_s.tolist()])
        return inlet_c - max(self._plant.approach_k(medium) for medium in self.media)

    def course(self, edges_s: Array, it_w: Mapping[Medium, Array]) -> PlantCourse:
        """Return the power of the plant over time.

        The plant is in equilibrium with the mean power of the nodes in each piece: its water
        smooths faster changes.

        Parameters
        ----------
        edges_s
            Times between which everything is constant, n + 1 in ascending order [s].
        it_w
            Mean power of the nodes in each piece, n values by coolant [W].
        """
        middles_s = (edges_s[:-1] + edges_s[1:]) / 2
        outside = self._around.outside(middles_s)
        reached_c, water_c = self._plant.reached_c(outside), self.wanted_c(middles_s)
        if reached_c is not None:
            water_c = np.maximum(water_c, reached_c)
        room_w, room_full_w = dict[Medium, Array](), 0.0
        for medium in self.media:
            full_w = self._full_w[medium]
            room_w[medium] = self._plant.room_w(it_w[medium] / full_w, full_w, medium)
            room_full_w += float(self._plant.room_w(np.ones(1), full_w, medium)[0])
        all_w, full_w = sum(it_w.values()), sum(self._full_w.values())
        heat_w = all_w + sum(room_w.values())
        draw = self._plant.draw(PlantLoad(heat_w, full_w + room_full_w, water_c, outside))
        draw = draw._replace(
            fans_w=draw.fans_w + room_w.get("air", 0.0),
            pumps_w=draw.pumps_w + room_w.get("liquid", 0.0),
        )
        loss_w = all_w * electrical_loss(all_w / full_w)
        return PlantCourse(edges_s, np.asarray(all_w), outside, water_c, draw, loss_w)

    def planned_pue(self) -> float:
        """Return the mean PUE of a year in which all nodes draw the power that it is built for."""
        edges_s = np.arange(HOURS_PER_YEAR + 1) * 3600.0
        full_w = {medium: np.full(HOURS_PER_YEAR, self._full_w[medium]) for medium in self._full_w}
        return float(np.mean(self.course(edges_s, full_w).pue))
