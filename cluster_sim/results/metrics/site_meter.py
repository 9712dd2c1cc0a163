"""Power at a site's meter over time: nodes, their cooling plant, and prices by the hour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cluster_sim.deployment.power_caps import node_draws
from cluster_sim.deployment.site_plant import MEDIA, PlantCourse, SitePlant, medium_of
from cluster_sim.deployment.weather_year import STEP_S
from cluster_sim.facility import HourlyCourse
from cluster_sim.results import energy
from cluster_sim.results.energy import PowerOverTime
from cluster_sim.results.metrics.selection import Selection
from cluster_sim.scenario.site import Site
from cluster_sim.typing import Array

_HOUR_S = 3600.0


class Metered(NamedTuple):
    """Energy of the selected nodes at the site's meter, in pieces of time."""

    edges_s: Array
    joules: Array
    """Energy at the meter in each piece [J]."""
    it_j: float
    """Energy of the nodes themselves [J]."""
    cooling_j: float
    """Part of the plant's energy that the nodes cause [J]."""
    evaporated_j: float
    """Heat of the nodes that leaves by evaporation [J]."""
    peak_w: float
    """Highest power [W]; 0 if there is no plant."""

    def mean(self, course: HourlyCourse, site: Site) -> float:
        """Return the mean of an hourly course, weighted with the energy of each piece."""
        values = hourly(course, site, self.edges_s)
        return float(np.sum(self.joules * values) / max(float(np.sum(self.joules)), 1e-300))


def depends_on_time(site: Site | None) -> bool:
    """Return whether the energy at the meter is needed by time: for a plant or hourly prices."""
    if site is None:
        return False
    courses = (site.electricity_usd_per_kwh, site.carbon_intensity_g_per_kwh)
    hourly_ones = any(course is not None and not course.is_constant for course in courses)
    return site.cooling is not None or hourly_ones


def nodes_of(selection: Selection) -> list[PowerOverTime] | None:
    """Return the power of the selected nodes, or None if it is not known."""
    return energy.nodes(selection.run, selection.pool)


def edges_of(whole: Selection) -> Array:
    """Return the times between which weather and hourly prices are constant, until the end [s]."""
    end_s, site = whole.run.info.simulated_s, whole.run.scenario.site
    hour_s = 0.0 if site is None else site.hour_of_year % 1.0 * _HOUR_S
    steps_s = np.arange(0.0, end_s, STEP_S)
    hours_s = np.arange(_HOUR_S - hour_s, end_s, _HOUR_S)
    return np.unique(np.concatenate([steps_s, hours_s, [end_s]]))


def hourly(course: HourlyCourse, site: Site, edges_s: Array) -> Array:
    """Return the value of an hourly course in each piece between the edges."""
    hours = site.hour_of_year + (edges_s[:-1] + edges_s[1:]) / 2 / _HOUR_S
    values = np.array(course.hours)
    of_pieces: Array = values[np.floor(hours).astype(np.int64) % len(values)]
    return of_pieces


def mean_over_run(course: HourlyCourse, whole: Selection) -> float:
    """Return the mean of an hourly course over the time of a run."""
    site, edges_s = whole.run.scenario.site, whole.once(edges_of)
    if course.is_constant or site is None or len(edges_s) < 2:
        return course.mean
    return float(np.average(hourly(course, site, edges_s), weights=np.diff(edges_s)))


def plant_course(whole: Selection) -> PlantCourse | None:
    """Return the power of the site's cooling plant over a run, or None if there is none.

    It is None too if the power of a device is not known.
    """
    plant, nodes = SitePlant.of(whole.run.scenario), whole.once(nodes_of)
    if plant is None or nodes is None or not whole.run.info.simulated_s:
        return None
    edges_s = whole.once(edges_of)
    medium = {pool.name: medium_of(pool) for pool in whole.run.scenario.cluster.pools}
    it_w = {
        each: _joules(
            [node for node in nodes if medium[node.name.rpartition("/")[0]] == each], edges_s
        )
        / np.diff(edges_s)
        for each in MEDIA
    }
    return plant.course(edges_s, it_w)


def metered(selection: Selection) -> Metered | None:
    """Return the energy of the selected nodes at the meter by time, or None if it is not known.

    Parameters
    ----------
    selection
        Selection of nodes. The plant's power is shared in proportion to the power of nodes; while
        all nodes are off, in proportion to their maximum power.
    """
    nodes, whole = selection.once(nodes_of), selection.whole
    if nodes is None or not selection.run.info.simulated_s:
        return None
    site, edges_s = selection.run.scenario.site, whole.once(edges_of)
    course, length_s = whole.once(plant_course), np.diff(edges_s)
    it_j = _joules(nodes, edges_s)
    if course is None:
        pue = site.pue if site is not None and site.pue is not None else 1.0
        return Metered(edges_s, pue * it_j, float(np.sum(it_j)), 0.0, 0.0, 0.0)
    shares = np.full(len(it_j), _capacity_share(selection))
    np.divide(it_j, course.it_w * length_s, out=shares, where=course.it_w > 0.0)
    overhead_w = shares * course.overhead_w
    return Metered(
        edges_s,
        it_j + overhead_w * length_s,
        float(np.sum(it_j)),
        float(np.sum(shares * course.draw.total_w * length_s)),
        float(np.sum(shares * course.draw.evaporated_w * length_s)),
        _peak_w(energy.together(nodes), edges_s, overhead_w),
    )


def _joules(nodes: Sequence[PowerOverTime], edges_s: Array) -> Array:
    """Return the exact energy of nodes in each piece between the edges [J]."""
    total_j = np.zeros(len(edges_s) - 1)
    for node in nodes:
        # the last edge is the end of the run, up to rounding
        until_s = np.append(edges_s[:-1], node.time_s[-1])
        total_j += np.diff(node.energy_until_j(until_s))
    return total_j


def _capacity_share(selection: Selection) -> float:
    """Return the maximum power of the selected nodes per that of all nodes."""
    draws = node_draws(selection.run.scenario)
    most_w = sum(draw.most_w for draw in draws if selection.pool in (None, draw.pool.name))
    return most_w / sum(draw.most_w for draw in draws)


def _peak_w(total: PowerOverTime, edges_s: Array, overhead_w: Array) -> float:
    """Return the highest sum of the power of nodes and of what the site adds [W]."""
    times_s = np.unique(np.concatenate([total.time_s[:-1], edges_s[:-1]]))
    places = (
        np.searchsorted(total.time_s, times_s, side="right") - 1,
        np.searchsorted(edges_s, times_s, side="right") - 1,
    )
    of_nodes = total.watts[np.minimum(places[0], len(total.watts) - 1)]
    of_site = overhead_w[np.minimum(places[1], len(overhead_w) - 1)]
    return float(np.max(of_nodes + of_site, initial=0.0))
