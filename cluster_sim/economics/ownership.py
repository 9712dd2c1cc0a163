"""Cost of machines: annuities, running costs, rents and contracts, in US dollars per hour.

USD/h = annuity(purchase (1 + networking + storage + spares)) + annuity(facility) + power · price of
energy + licences + support + engineering + staff

A year has 8,760 hours. The annuity uses the capital recovery factor (Park, Contemporary Engineering
Economics, 6th ed., ch. 4): it is the constant payment that pays back a price with interest, less
the residual value at the end. Without interest it equals straight-line depreciation. Numbers may be
numpy arrays, such as draws from the ranges of prices.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cluster_sim.typing import Number

HOURS_PER_YEAR = 8760.0

OF_THE_STACK = ("networking_mark_up", "licences", "support", "porting")
"""Parts of a cost that pay for the vendor's software and hardware premium instead of computing."""


def capital_recovery_factor(rate: Number, years: Number) -> Number:
    """Return the share of a price that is paid per year to pay it back with interest.

    Parameters
    ----------
    rate
        Interest per year [1]; 0.05 is 5 %.
    years
        Number of yearly payments, each at the end of its year.

    Examples
    --------
    >>> round(float(capital_recovery_factor(0.05, 5.0)), 5)
    0.23097
    >>> float(capital_recovery_factor(0.0, 5.0))
    0.2
    """
    rate, years = np.asarray(rate, dtype=float), np.asarray(years, dtype=float)
    safe = np.where(rate > 0.0, rate, 1.0)
    return np.where(rate > 0.0, safe / -np.expm1(-years * np.log1p(safe)), 1.0 / years)


def straight_line_usd_per_hour(price_usd: Number, residual: Number, years: Number) -> Number:
    """Return the loss of value per hour if a price falls linearly to its share `residual`.

    >>> straight_line_usd_per_hour(87_600.0, 0.0, 10.0)
    1.0
    """
    return price_usd * (1.0 - residual) / (years * HOURS_PER_YEAR)


def annuity_usd_per_hour(
    price_usd: Number, residual: Number, rate: Number, years: Number
) -> Number:
    """Return the constant payment per hour for a price of which a share is recovered at the end.

    Parameters
    ----------
    price_usd
        Price [USD].
    residual
        Share of the price that comes back after `years` [1].
    rate
        Interest per year [1].
    years
        Time over which the price is paid back.

    Examples
    --------
    >>> float(annuity_usd_per_hour(87_600.0, 0.0, 0.0, 10.0))
    1.0
    """
    still_worth = residual * (1.0 + rate) ** -years
    return price_usd * (1.0 - still_worth) * capital_recovery_factor(rate, years) / HOURS_PER_YEAR


def spare_share(failures_per_s: Number, devices: int, repair_s: Number) -> Number:
    """Return the number of spare nodes per serving node.

    It is the mean number of nodes in simultaneous repair, by Little's law.

    Parameters
    ----------
    failures_per_s
        Failures per device [1/s]. Each takes the whole node out of service.
    devices
        Number of devices per node.
    repair_s
        Time until the node is back in service [s].

    Examples
    --------
    >>> round(spare_share(0.06 / 31_536_000, 8, 10 * 86_400), 5)
    0.01315
    """
    return failures_per_s * devices * repair_s


def electricity_usd_per_hour(power_w: Number, usd_per_kwh: Number) -> Number:
    """Return the cost of electricity per hour [USD/h].

    Parameters
    ----------
    power_w
        Power at the meter of the site, PUE included [W].
    usd_per_kwh
        Price of electricity [USD/kWh].

    Examples
    --------
    >>> round(electricity_usd_per_hour(10_000.0, 0.07), 6)
    0.7
    """
    return power_w / 1e3 * usd_per_kwh


def written_off_usd_per_hour(
    bought_usd: Mapping[str, Number], residual: Number, rate: Number, years: Number
) -> tuple[dict[str, Number], Number]:
    """Return the depreciation per hour of each purchase, and the cost of capital of all purchases.

    The cost of capital is the difference of the annuity and straight-line depreciation: interest on
    the value that is not written off yet.

    Parameters
    ----------
    bought_usd
        Price of each purchase by its name [USD].
    residual
        Share of the price that is recovered after `years` [1].
    rate
        Interest per year [1].
    years
        Time over which the purchases are written off.

    Returns
    -------
    (dict, float)
        Depreciation by name [USD/h], and cost of capital [USD/h].
    """
    parts = {
        name: straight_line_usd_per_hour(price_usd, residual, years)
        for name, price_usd in bought_usd.items()
    }
    return parts, annuity_usd_per_hour(total(bought_usd), residual, rate, years) - total(parts)


def contract_nodes(power_w: Number, node_w: Number, pue: Number) -> Number:
    """Return the number of systems that a site can power. It need not be a whole number.

    Parameters
    ----------
    power_w
        Power of the site [W].
    node_w
        Power of one system, before the site's PUE [W].
    pue
        Power of the site per watt of its systems [1].

    Examples
    --------
    >>> round(contract_nodes(750e6, 23e3, 1.2))
    27174
    """
    return power_w / (node_w * pue)


def contract_usd_per_hour(amount_usd: Number, years: Number, nodes: Number) -> Number:
    """Return the cost of one system under a contract [USD/h].

    Parameters
    ----------
    amount_usd
        Amount that the contract commits to [USD].
    years
        Term of the contract.
    nodes
        Number of systems, see `contract_nodes`.

    Examples
    --------
    >>> round(contract_usd_per_hour(10e9, 3.0, contract_nodes(750e6, 23e3, 1.2)), 2)
    14.0
    """
    return amount_usd / (years * HOURS_PER_YEAR) / nodes


def total(parts: Mapping[str, Number]) -> Number:
    """Return the sum of the parts of a cost [USD/h]."""
    return sum(parts.values())
