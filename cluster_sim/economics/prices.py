"""Cost of a node: bought, rented, or committed to by contract.

Every price may have a range.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from cluster_sim.economics.estimates import (
    ZERO,
    Estimate,
    EstimatedFactor,
    EstimatedPerSecond,
    EstimatedPositiveSeconds,
    EstimatedSeconds,
    EstimatedShare,
    EstimatedUsd,
    EstimatedUsdPerHour,
    EstimatedUsdPerKwh,
    EstimatedUsdPerWatt,
    EstimatedWatts,
)
from cluster_sim.economics.ownership import (
    HOURS_PER_YEAR,
    contract_nodes,
    contract_usd_per_hour,
    electricity_usd_per_hour,
    spare_share,
    total,
    written_off_usd_per_hour,
)
from cluster_sim.economics.price_list import PriceList
from cluster_sim.errors import shown
from cluster_sim.typing import Count, Number


class _Offer(PriceList):
    def node_usd_per_hour(self, figures: Mapping[str, Number], devices: int) -> dict[str, Number]:
        """Return the parts of a node's cost by what they pay for, without electricity [USD/h].

        Parameters
        ----------
        figures
            Value of each field that is an estimate, or an array of draws from its range.
        devices
            Number of devices of the node.
        """
        raise NotImplementedError

    @property
    def metered_usd_per_kwh(self) -> str | None:
        """Field with the price of electricity; None if all power is included."""
        return None

    def written_usd_per_hour(self, devices: int) -> float:
        """Return the cost of a node at the prices as written, electricity at rated power included [USD/h].

        Parameters
        ----------
        devices
            Number of devices of the node.
        """
        figures = {
            field: figure.value
            for field in type(self).model_fields
            if isinstance(figure := getattr(self, field), Estimate)
        }
        usd_per_hour = float(total(self.node_usd_per_hour(figures, devices)))
        if self.metered_usd_per_kwh is not None:
            usd_per_kwh = figures[self.metered_usd_per_kwh]
            usd_per_hour += float(electricity_usd_per_hour(figures["rated_w"], usd_per_kwh))
        return usd_per_hour


class Owned(_Offer):
    """A node that is bought, with its share of everything around it. Omitted figures cost nothing."""

    basis: Literal["owned"] = "owned"
    purchase_usd: EstimatedUsd
    """Purchase price of a node with its devices [USD]."""
    networking: EstimatedShare = ZERO
    """Switches, cables and adapters of the cluster, as a share of the purchase."""
    networking_mark_up: EstimatedShare = ZERO
    """Share of networking that is the vendor's premium over open Ethernet. It is a part of
    `networking`, not added to it."""
    storage: EstimatedShare = ZERO
    """Storage of the cluster, as a share of the purchase."""
    life_s: EstimatedPositiveSeconds
    """Time over which node, networking, storage and spares are written off [s]."""
    residual: EstimatedShare = ZERO
    """Share of the price of node, networking, storage and spares that remains as sale value at the
    end of their life."""
    cost_of_capital: EstimatedShare = ZERO
    """Interest per year on everything that is bought. 0.05 is 5 %."""
    rated_w: EstimatedWatts
    """Maximum power of a node, for which the facility is built [W]."""
    facility_usd_per_w: EstimatedUsdPerWatt = ZERO
    """Price of building, power and cooling [USD/W]."""
    facility_life_s: EstimatedPositiveSeconds = Estimate(
        15.0 * 31_536_000.0, 15.0 * 31_536_000.0, 15.0 * 31_536_000.0
    )
    """Time over which building, power and cooling are written off [s]."""
    electricity_usd_per_kwh: EstimatedUsdPerKwh = ZERO
    """Price of electricity, unless the site gives one [USD/kWh]."""
    licences_usd_per_hour: EstimatedUsdPerHour = ZERO
    """Licences of software per device [USD/h]."""
    support: EstimatedShare = ZERO
    """Contracts for hardware per year, as a share of the purchase."""
    porting_usd: EstimatedUsd = ZERO
    """Engineering that ports the software to this machine [USD]. It is paid once for all nodes of
    the owner and spread over `life`."""
    porting_nodes: Count = 1
    """Number of nodes of the owner, over which `porting` is spread."""
    staffing_usd_per_hour: EstimatedUsdPerHour = ZERO
    """Cost of staff that operates a node, per node [USD/h]."""
    failures_per_s: EstimatedPerSecond = ZERO
    """Rate of failures per device [1/s]."""
    repair_s: EstimatedSeconds = ZERO
    """Time until a node with a failed device is back in service [s]. A spare replaces it
    meanwhile."""

    def node_usd_per_hour(self, figures: Mapping[str, Number], devices: int) -> dict[str, Number]:
        """Return the parts of a node's cost by what they pay for, without electricity [USD/h]."""
        life_years, purchase_usd = _years(figures["life_s"]), figures["purchase_usd"]
        of_vendor = figures["networking_mark_up"]
        spares = spare_share(figures["failures_per_s"], devices, figures["repair_s"])
        bought_usd = {
            "machines": purchase_usd,
            "networking": purchase_usd * figures["networking"] * (1.0 - of_vendor),
            "networking_mark_up": purchase_usd * figures["networking"] * of_vendor,
            "storage": purchase_usd * figures["storage"],
            "spares": purchase_usd * spares,
        }
        facility_usd = {"facility": figures["rated_w"] * figures["facility_usd_per_w"]}
        machines, capital = written_off_usd_per_hour(
            bought_usd, figures["residual"], figures["cost_of_capital"], life_years
        )
        facility, facility_capital = written_off_usd_per_hour(
            facility_usd, 0.0, figures["cost_of_capital"], _years(figures["facility_life_s"])
        )
        return {
            **machines,
            **facility,
            "cost_of_capital": capital + facility_capital,
            "licences": figures["licences_usd_per_hour"] * devices,
            "support": figures["support"] * purchase_usd / HOURS_PER_YEAR,
            "porting": figures["porting_usd"] / (life_years * HOURS_PER_YEAR * self.porting_nodes),
            "staffing": figures["staffing_usd_per_hour"],
        }

    @property
    def metered_usd_per_kwh(self) -> str | None:
        """Field with the price of electricity."""
        return "electricity_usd_per_kwh"


class Rented(_Offer):
    """Devices rented by the hour, with power and everything else included."""

    basis: Literal["rented"] = "rented"
    rental_usd_per_hour: EstimatedUsdPerHour
    """Rent per device [USD/h]."""
    licences_usd_per_hour: EstimatedUsdPerHour = ZERO
    """Licences of software per device that are not included in the rental [USD/h]."""
    staffing_usd_per_hour: EstimatedUsdPerHour = ZERO
    """Cost of staff per node [USD/h]."""

    def node_usd_per_hour(self, figures: Mapping[str, Number], devices: int) -> dict[str, Number]:
        """Return the parts of a node's cost by what they pay for [USD/h]."""
        return {
            "rental": figures["rental_usd_per_hour"] * devices,
            "licences": figures["licences_usd_per_hour"] * devices,
            "staffing": figures["staffing_usd_per_hour"],
        }


class Committed(_Offer):
    """Capacity by contract: an amount of money for a power over a term, with everything included."""

    basis: Literal["committed"] = "committed"
    amount_usd: EstimatedUsd
    """Amount that the contract commits to [USD]."""
    term_s: EstimatedPositiveSeconds
    """Term of the contract [s]."""
    power_w: EstimatedWatts
    """Power of the site, cooling included [W]."""
    rated_w: EstimatedWatts
    """Power of one node, cooling excluded [W]."""
    pue: EstimatedFactor
    """Power of the site per watt of its nodes. The number of nodes follows from `power`, `rated`
    and this figure."""

    def node_usd_per_hour(self, figures: Mapping[str, Number], devices: int) -> dict[str, Number]:
        """Return the parts of a node's cost by what they pay for [USD/h]."""
        nodes = contract_nodes(figures["power_w"], figures["rated_w"], figures["pue"])
        years = _years(figures["term_s"])
        return {"contract": contract_usd_per_hour(figures["amount_usd"], years, nodes)}


Prices = Annotated[Owned | Rented | Committed, Field(discriminator="basis")]
"""A way to pay for a node: purchase, rent or a contract."""


def below_materials(offer: Prices, materials: Prices | None, devices: int) -> str | None:
    """Return a sentence if an offer costs less than the materials of its node; None otherwise.

    Parameters
    ----------
    offer
        Offer of a node.
    materials
        Cost of the node's materials, run by its maker; None if it is unknown.
    devices
        Number of devices of the node.

    Examples
    --------
    >>> rent = Rented.model_validate({"name": "a rent", "year": 2026, "rental": "1 USD/h"})
    >>> dear = Rented.model_validate({"name": "materials", "year": 2026, "rental": "2 USD/h"})
    >>> below_materials(rent, dear, 8)
    "'a rent' costs 8.00 USD/h per node; expected at least 16.00 USD/h, the cost of 'materials'. Check the prices and their units"
    >>> below_materials(dear, rent, 8)
    """
    if materials is None:
        return None
    offered, least = (each.written_usd_per_hour(devices) for each in (offer, materials))
    if offered >= least:
        return None
    return (
        f"{shown(offer.name)} costs {offered:.2f} USD/h per node; expected at least {least:.2f} "
        f"USD/h, the cost of {shown(materials.name)}. Check the prices and their units"
    )


def _years(seconds: Number) -> Number:
    return seconds / (3600.0 * HOURS_PER_YEAR)
