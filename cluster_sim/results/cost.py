"""What a run cost: functions of Results and of what nodes are paid for, with intervals from the
ranges of prices.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cluster_sim.economics import ownership as money
from cluster_sim.economics.prices import Committed, Estimate, Owned, Prices, Rented
from cluster_sim.workload.random_streams import stream

if TYPE_CHECKING:
    from cluster_sim.scenario.pool import Pool
    from cluster_sim.scenario.scenario import Scenario
    from cluster_sim.scenario.site import Site

Array = npt.NDArray[Any]
Parts = dict[str, Array]
"""Dollars an hour by what they are spent on; [0] with every price as it is, the rest draws from
their ranges."""

DRAWS = 4096
"""Samples of the prices, always the same ones."""
INTERVAL = (5.0, 95.0)
"""Percentiles of them between which a cost is said to lie."""


@lru_cache(maxsize=16)
def drawn(prices: Prices) -> Mapping[str, Array]:
    """Every price of an offer by field: its value, then draws from its triangular distribution over
    its range with the value as the mode.

    Prices are independent of each other. The same offer gives the same draws wherever it is used.
    """
    found = {}
    for field in type(prices).model_fields:
        if isinstance(one := getattr(prices, field), Estimate):
            found[field] = np.full(1 + DRAWS, one.value)
            if one.low < one.high:
                found[field][1:] = stream(0, f"{prices.name}: {field}").triangular(
                    one.low, one.value, one.high, DRAWS
                )
    return found


def usd_per_hour(pool: Pool, site: Site | None, power_w: float | None = None) -> Parts | None:
    """All nodes of a pool, those without a replica included; None where nobody says what they cost.

    power_w: what they draw at the site's meter; default: the most that they can draw, times the
    site's PUE.
    """
    prices, nodes = pool.offer, pool.nodes
    if prices is None:
        return None
    of = drawn(prices)
    match prices:
        case Owned():
            parts = _owned(prices, of, pool.node.devices)
        case Rented():
            parts = {
                "rental": of["rental_usd_per_hour"] * pool.node.devices,
                "licences": of["licences_usd_per_hour"] * pool.node.devices,
                "staffing": of["staffing_usd_per_hour"],
            }
        case Committed():
            systems = money.contract_nodes(of["power_w"], of["rated_w"], of["pue"])
            parts = {
                "contract": money.contract_usd_per_hour(
                    of["amount_usd"], _years(of["term_s"]), systems
                )
            }
    parts = {name: nodes * part for name, part in parts.items()}
    if isinstance(prices, Owned):
        pue = site.pue if site is not None and site.pue is not None else 1.0
        rate = (
            of["electricity_usd_per_kwh"]
            if site is None or site.electricity_usd_per_kwh is None
            else site.electricity_usd_per_kwh
        )
        parts["electricity"] = money.electricity_usd_per_hour(
            pue * nodes * of["rated_w"] if power_w is None else power_w, rate
        ) + np.zeros(1 + DRAWS)
    return {name: part for name, part in parts.items() if np.any(part)}


def _years(seconds: Array) -> Array:
    return seconds / (3600.0 * money.HOURS_PER_YEAR)


def _owned(prices: Owned, of: Mapping[str, Array], devices: int) -> Parts:
    """One node, electricity left out."""
    life_years, purchase_usd, of_vendor = (
        _years(of["life_s"]),
        of["purchase_usd"],
        of["networking_mark_up"],
    )
    spares = money.spare_share(of["failures_per_s"], devices, of["repair_s"])
    bought_usd = {
        "machines": purchase_usd,
        "networking": purchase_usd * of["networking"] * (1.0 - of_vendor),
        "networking_mark_up": purchase_usd * of["networking"] * of_vendor,
        "storage": purchase_usd * of["storage"],
        "spares": purchase_usd * spares,
    }
    facility_usd = {"facility": of["rated_w"] * of["facility_usd_per_w"]}
    machines, capital = money.written_off_usd_per_hour(
        bought_usd, of["residual"], of["cost_of_capital"], life_years
    )
    facility, capital_of_it = money.written_off_usd_per_hour(
        facility_usd, 0.0, of["cost_of_capital"], _years(of["facility_life_s"])
    )
    return (
        machines
        | facility
        | {
            "cost_of_capital": capital + capital_of_it,
            "licences": of["licences_usd_per_hour"] * devices,
            "support": of["support"] * purchase_usd / money.HOURS_PER_YEAR,
            "porting": of["porting_usd"]
            / (life_years * money.HOURS_PER_YEAR * prices.porting_nodes),
            "staffing": of["staffing_usd_per_hour"],
        }
    )


def planned_usd_per_hour(scenario: Scenario, pool: Pool | None = None) -> float | None:
    """One pool, or all, with every node at its rated power, before anything is simulated; None
    where one of them has no prices.
    """
    parts = [
        usd_per_hour(one, scenario.site) for one in scenario.cluster.pools if pool in (None, one)
    ]
    return None if None in parts else sum(float(money.total(one)[0]) for one in parts if one)
