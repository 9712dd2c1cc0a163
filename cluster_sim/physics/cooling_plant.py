"""Parts of a cooling plant beside its chiller: towers, dry coolers, losses and water."""

from __future__ import annotations

import numpy as np

from cluster_sim.typing import Number

FREE_COOLING_K = 2.0
"""Approach of the heat exchanger between the tower's water and the chilled water [K]."""
LEAST_SPEED = 0.2
"""Lowest speed of fans, as a share of full speed: estimate."""
_EVAPORATED_L_PER_J = 1.0 / 2450e3
"""Water that takes a joule of heat by evaporation [L/J]: 2450 kJ/kg, and 1 kg/L."""


def outdoor_water_c(outside_c: Number, approach_k: float, load: Number = 1.0) -> Number:
    """Return the coldest water of a cooling tower or a dry cooler at full fan speed [degC].

    The water is the approach above the outside temperature. The approach is proportional to the
    heat: it scales with the load.

    Parameters
    ----------
    outside_c
        Temperature outside [degC]: wet bulb for a tower, dry bulb for a dry cooler.
    approach_k
        Approach at full load and full fan speed [K]: 4 to 6 for a tower, 8 to 12 for a dry cooler.
    load
        Heat as a share of that at full load [1].

    Returns
    -------
    Number
        Temperature [degC], of the common shape of `outside_c` and `load`.

    Source: ASHRAE Handbook, HVAC Systems and Equipment, chapters on cooling towers and
    condensers, for the ranges of approaches. The proportionality is an estimate: it holds for
    constant flows and a constant effectiveness.

    Examples
    --------
    >>> float(outdoor_water_c(30.0, 10.0, 0.5))
    35.0
    """
    return np.asarray(outside_c + approach_k * load)


def fan_speed(wanted_c: Number, outside_c: Number, approach_k: float, load: Number) -> Number:
    """Return the speed of the fans that gives water of a temperature, as a share of full [1].

    The approach is inversely proportional to the speed. This is an estimate: the air's flow is
    proportional to the speed, and the heat that it takes at a given approach nearly so.

    Parameters
    ----------
    wanted_c
        Temperature of the water that is needed [degC].
    outside_c
        Temperature outside [degC]: wet bulb for a tower, dry bulb for a dry cooler.
    approach_k
        Approach at full load and full fan speed [K].
    load
        Heat as a share of that at full load [1].

    Returns
    -------
    Number
        Speed from 0.2 to 1, of the common shape; 0 if there is no heat.

    Examples
    --------
    >>> float(fan_speed(40.0, 20.0, 10.0, 1.0)), float(fan_speed(25.0, 20.0, 10.0, 1.0))
    (0.5, 1.0)
    """
    free_k = np.maximum(np.asarray(wanted_c - outside_c), 1e-9)
    speed = np.clip(approach_k * np.asarray(load) / free_k, LEAST_SPEED, 1.0)
    return np.where(np.asarray(load) > 0.0, speed, 0.0)


def free_cooling_share(source_c: Number, supply_c: Number, return_c: Number) -> Number:
    """Return the share of the heat that water from outside takes without the chiller [1].

    The heat exchanger needs 2 K. The share is 1 if it reaches the supply temperature, 0 if it does
    not get below the return temperature, and linear in between.

    Parameters
    ----------
    source_c
        Temperature of the water from the tower or the dry cooler [degC].
    supply_c
        Temperature at which the plant supplies its water [degC].
    return_c
        Temperature at which the water comes back [degC], above `supply_c`.

    Returns
    -------
    Number
        Share from 0 to 1, of the common shape.

    Examples
    --------
    >>> [float(free_cooling_share(c, 18.0, 28.0)) for c in (16.0, 21.0, 26.0)]
    [1.0, 0.5, 0.0]
    """
    reached_c = source_c + FREE_COOLING_K
    return np.clip((return_c - reached_c) / (return_c - supply_c), 0.0, 1.0)


def electrical_loss(load: Number) -> Number:
    """Return the loss of UPS and transformers per power that passes through them [1].

    The equation is 0.02 + 0.03 load²: an estimate.

    Parameters
    ----------
    load
        Power as a share of that for which they are built [1].

    Returns
    -------
    Number
        Share of the power, of the shape of `load`.

    Examples
    --------
    >>> electrical_loss(1.0)
    0.05
    """
    return 0.02 + 0.03 * load**2


def evaporated_l(heat_j: Number, cycles: float = 5.0) -> Number:
    """Return the water that a cooling tower needs for heat that it rejects by evaporation [L].

    It is 1.47 L per kWh that evaporate, times C / (C - 1) for the water that is drained so that
    salts stay at C times their concentration. Drift, about 0.01 % of the circulating water, is a
    part of what is drained.

    Parameters
    ----------
    heat_j
        Heat that evaporating water takes [J].
    cycles
        Cycles of concentration C, above 1 [1].

    Returns
    -------
    Number
        Volume [L], of the shape of `heat_j`.

    Source: balance of water and salt; heat of evaporation 2450 kJ/kg at 20 degC.

    Examples
    --------
    >>> round(evaporated_l(3.6e6), 2)
    1.84
    """
    return heat_j * _EVAPORATED_L_PER_J * cycles / (cycles - 1.0)


def pue(it_w: Number, plant_w: Number, loss_w: Number) -> Number:
    """Return the power usage effectiveness of a site: power of the site per power of its nodes [1].

    Parameters
    ----------
    it_w
        Power of the nodes, above 0 [W].
    plant_w
        Power of chillers, fans and pumps [W].
    loss_w
        Power that UPS and transformers lose [W].

    Returns
    -------
    Number
        Ratio from 1 on, of the common shape.

    Source: ISO/IEC 30134-2.

    Examples
    --------
    >>> pue(100e3, 18e3, 5e3)
    1.23
    """
    return 1.0 + (plant_w + loss_w) / it_w
