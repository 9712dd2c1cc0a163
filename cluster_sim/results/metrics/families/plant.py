"""Cooling plant of the site: its PUE, energy and water; absent without a cooling plant."""

from __future__ import annotations

import numpy as np

from cluster_sim.results.metrics.families.power import energy_of
from cluster_sim.results.metrics.metric import MACHINES, Metric, Row
from cluster_sim.results.metrics.selection import Selection
from cluster_sim.results.metrics.site_meter import Metered


def _of_plant(selection: Selection) -> Metered | None:
    """Return the energy at the meter by time; None if there is no cooling plant."""
    site, spent = selection.run.scenario.site, selection.once(energy_of)
    has_plant = site is not None and site.cooling is not None
    return spent.metered if has_plant and spent is not None else None


def _mean_pue(selection: Selection) -> float | None:
    by_time = _of_plant(selection)
    if by_time is None or not by_time.it_j:
        return None
    return float(np.sum(by_time.joules)) / by_time.it_j


def _cooling_kwh(selection: Selection) -> float | None:
    by_time = _of_plant(selection)
    return None if by_time is None else by_time.cooling_j / 3.6e6


def _water_l(selection: Selection) -> float | None:
    by_time, site = _of_plant(selection), selection.run.scenario.site
    if by_time is None or site is None or site.cooling is None:
        return None
    return site.cooling.water_l(by_time.evaporated_j)


METRICS = (
    Metric(
        "mean_pue",
        "",
        "Energy at the site's meter per energy of nodes; absent without a cooling plant.",
        _mean_pue,
        scope=MACHINES,
        label="PUE, mean of the plant",
    ),
    Metric(
        "cooling_kwh",
        "kWh",
        "Energy of chillers, fans and pumps of the cooling plant; absent without a cooling plant.",
        _cooling_kwh,
        scope=MACHINES,
        is_extensive=True,
        label="energy of the cooling plant [kWh]",
        row=Row(284, "energy of the cooling plant [kWh]", ",.3g"),
    ),
    Metric(
        "water_l",
        "L",
        "Water that the cooling plant evaporates and drains; absent without a cooling plant.",
        _water_l,
        scope=MACHINES,
        is_extensive=True,
        label="water [L]",
        row=Row(286, "water of the cooling plant [L]", ",.4g"),
    ),
)
