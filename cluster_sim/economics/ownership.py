"""What machines cost: annuities of what is bought, running costs, rents and contracts, all in US
dollars an hour.

    USD/h = annuity(purchase (1 + networking + storage + spares)) + annuity(facility) + power ·
    price of energy
            + licences + support + engineering + staff

A year has 8,760 hours. The annuity is that of the capital recovery factor (Park, Contemporary
Engineering Economics, 6th ed., ch. 4): the constant payment that pays back a price with interest,
less what the thing still sells for at its end. Without interest it is depreciation in a straight
line. Numbers may be numpy arrays, such as draws from the ranges of prices.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

Number = Any  # float or an array of them

HOURS_A_YEAR = 8760.0

OF_THE_STACK = ("networking_mark_up", "licences", "support", "porting")
"""Parts of a cost that are paid for the vendor's software and its ways rather than for a machine
that computes."""


def capital_recovery_factor(rate: Number, years: Number) -> Number:
    """Share of a price that is paid each year for `years` years, at the end of each, with interest
    of `rate` a year (0.05 is 5 %).

    >>> round(float(capital_recovery_factor(0.05, 5.0)), 5), float(capital_recovery_factor(0.0, 5.0))
    (0.23097, 0.2)
    """
    rate, years = np.asarray(rate, dtype=float), np.asarray(years, dtype=float)
    safe = np.where(rate > 0.0, rate, 1.0)
    return np.where(rate > 0.0, safe / -np.expm1(-years * np.log1p(safe)), 1.0 / years)


def straight_line_usd_per_hour(price_usd: Number, residual: Number, years: Number) -> Number:
    """What a price loses in an hour where it falls evenly to its share `residual` in `years`.

    >>> straight_line_usd_per_hour(87_600.0, 0.0, 10.0)
    1.0
    """
    return price_usd * (1.0 - residual) / (years * HOURS_A_YEAR)


def annuity_usd_per_hour(
    price_usd: Number, residual: Number, rate: Number, years: Number
) -> Number:
    """The constant payment for a price of which the share `residual` comes back after `years`, with
    interest of `rate` a year.

    >>> float(annuity_usd_per_hour(87_600.0, 0.0, 0.0, 10.0))
    1.0
    """
    still_worth = residual * (1.0 + rate) ** -years
    return price_usd * (1.0 - still_worth) * capital_recovery_factor(rate, years) / HOURS_A_YEAR


def spare_share(failures_per_s: Number, devices: int, repair_s: Number) -> Number:
    """Nodes that must be bought beside each that serves: the mean number under repair at once, by
    Little's law.

    failures_per_s: of a device, any of which takes its node out; repair_s: until the node is back.

    >>> round(spare_share(0.06 / 31_536_000, 8, 10 * 86_400), 5)
    0.01315
    """
    return failures_per_s * devices * repair_s


def electricity_usd_per_hour(power_w: Number, usd_per_kwh: Number) -> Number:
    """Of what is drawn at the site's meter, PUE included.

    >>> electricity_usd_per_hour(10_000.0, 0.07)
    0.7000000000000001
    """
    return power_w / 1e3 * usd_per_kwh


def written_off_usd_per_hour(
    bought_usd: Mapping[str, Number], residual: Number, rate: Number, years: Number
) -> tuple[dict[str, Number], Number]:
    """(what each of the things bought loses in an hour in a straight line, what the annuity of all
    of them is above that).

    The second is the cost of capital: interest on what has not been written off yet.
    """
    parts = {
        name: straight_line_usd_per_hour(price_usd, residual, years)
        for name, price_usd in bought_usd.items()
    }
    return parts, annuity_usd_per_hour(total(bought_usd), residual, rate, years) - total(parts)


def contract_nodes(power_w: Number, node_w: Number, pue: Number) -> Number:
    """Systems that a site of `power_w` feeds, each drawing `node_w` before the site's PUE; no whole
    number.

    >>> round(contract_nodes(750e6, 23e3, 1.2))
    27174
    """
    return power_w / (node_w * pue)


def contract_usd_per_hour(amount_usd: Number, years: Number, nodes: Number) -> Number:
    """Of one system, where `amount_usd` is committed to `nodes` of them for `years`.

    >>> round(contract_usd_per_hour(10e9, 3.0, contract_nodes(750e6, 23e3, 1.2)), 2)
    14.0
    """
    return amount_usd / (years * HOURS_A_YEAR) / nodes


def total(parts: Mapping[str, Number]) -> Number:
    """The sum of the parts."""
    return sum(parts.values())
