"""Cost of nodes per hour by kind of expense, with samples from the ranges of prices."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from cluster_sim.deployment.site_plant import SitePlant
from cluster_sim.economics import ownership as money
from cluster_sim.economics.estimates import Estimate
from cluster_sim.economics.prices import Prices
from cluster_sim.economics.token_prices import TokenPrices
from cluster_sim.typing import Array
from cluster_sim.workload.random_streams import stream

if TYPE_CHECKING:
    from cluster_sim.scenario.pool import Pool
    from cluster_sim.scenario.scenario import Scenario
    from cluster_sim.scenario.site import Site

Parts = dict[str, Array]
"""Cost per hour [USD/h] by kind of expense: element 0 at the prices as written, the rest at samples
from their ranges."""

DRAWS = 4096
"""Number of samples of the prices; every run uses the same samples."""
INTERVAL = (5.0, 95.0)
"""Percentiles of the samples at the ends of a cost's interval."""


@lru_cache(maxsize=16)
def drawn(prices: Prices | TokenPrices) -> Mapping[str, Array]:
    """Return every price of an offer by field: its value, then samples from its range.

    Samples are from a triangular distribution with the value as its mode. Prices are independent
    of each other. An offer gives the same samples everywhere.

    Parameters
    ----------
    prices
        Offer with the ranges of its prices.

    Returns
    -------
    Mapping of str to Array
        Prices of shape (1 + DRAWS,), by field.
    """
    figures = {}
    for field in type(prices).model_fields:
        if isinstance(figure := getattr(prices, field), Estimate):
            figures[field] = np.full(1 + DRAWS, figure.value)
            if figure.low < figure.high:
                figures[field][1:] = stream(0, f"{prices.name}: {field}").triangular(
                    figure.low, figure.value, figure.high, DRAWS
                )
    return figures


def usd_per_hour(
    pool: Pool,
    site: Site | None,
    power_w: float | None = None,
    nodes_on: float | None = None,
    usd_per_kwh: float | None = None,
) -> Parts | None:
    """Return the cost of the nodes of a pool that are on [USD/h], nodes without a replica included.

    A node that is off costs nothing. The owner of such a node is assumed to use it for others.

    Parameters
    ----------
    pool
        Pool of a scenario.
    site
        Site with its PUE and price of electricity; None if the scenario gives none.
    power_w
        Power of the nodes at the site's meter [W]. Default: their rated power times the site's PUE.
    nodes_on
        Mean number of nodes that are on. Default: all nodes.
    usd_per_kwh
        Mean price of electricity [USD/kWh]. Default: the mean of the site's prices over all hours,
        or that of the offer if the site gives none.

    Returns
    -------
    Parts or None
        Cost by kind of expense; None if the nodes have no prices.
    """
    prices, nodes = pool.offer, pool.nodes if nodes_on is None else nodes_on
    if prices is None:
        return None
    figures = drawn(prices)
    by_node = prices.node_usd_per_hour(figures, pool.node.devices)
    parts = {name: nodes * part for name, part in by_node.items()}
    if prices.metered_usd_per_kwh is not None:
        pue = site.pue if site is not None and site.pue is not None else 1.0
        if usd_per_kwh is None and site is not None and site.electricity_usd_per_kwh is not None:
            usd_per_kwh = site.electricity_usd_per_kwh.mean
        rate = figures[prices.metered_usd_per_kwh] if usd_per_kwh is None else usd_per_kwh
        parts["electricity"] = money.electricity_usd_per_hour(
            pue * nodes * figures["rated_w"] if power_w is None else power_w, rate
        ) + np.zeros(1 + DRAWS)
    costs = {name: part for name, part in parts.items() if np.any(part)}
    return costs or parts  # nodes that are always off cost 0


def planned_usd_per_hour(
    scenario: Scenario, pool: Pool | None = None, nodes_on: Mapping[str, float] | None = None
) -> float | None:
    """Return the cost of one pool, or of all pools, with every node at its rated power [USD/h].

    Parameters
    ----------
    scenario
        Scenario with prices.
    pool
        Pool of the scenario. Default: all pools.
    nodes_on
        Mean number of nodes that are on, by name of the pool. Default: all nodes.

    Returns
    -------
    float or None
        Cost [USD/h]; None if a pool has no prices.
    """
    on = nodes_on or {}
    site = _as_planned(scenario)
    by_pool = [
        usd_per_hour(chosen, site, nodes_on=on.get(chosen.name))
        for chosen in scenario.cluster.pools
        if pool in (None, chosen)
    ]
    if None in by_pool:
        return None
    return sum(float(money.total(parts)[0]) for parts in by_pool if parts)


def _as_planned(scenario: Scenario) -> Site | None:
    """Return the site of a scenario, with the mean PUE of a year if it has a cooling plant."""
    plant = SitePlant.of(scenario)
    if plant is None or scenario.site is None:
        return scenario.site
    return scenario.site.model_copy(update={"pue": plant.planned_pue()})
