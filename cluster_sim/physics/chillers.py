"""Power of chillers: water-cooled by EnergyPlus' curves, and air-cooled."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cluster_sim.typing import Number

LEAVING_C = (5.56, 10.0)
"""Range of the leaving chilled water in which the water-cooled chiller's curves hold [degC]."""
CONDENSER_C = (11.0, 24.0)
"""Range of the entering condenser water in which the water-cooled chiller's curves hold [degC]."""
LEAST_LOAD = 0.19
"""Part-load ratio below which the water-cooled chiller cycles on and off."""
_COP = 5.42
"""COP of the water-cooled chiller at 5.56 and 21.11 degC, before its curves."""
_CAPACITY = (0.9797101, -0.002895701, -0.0008970718, 0.0103144, -0.0007431651, 0.001453508)
_INPUT = (0.9946139, -0.04829399, 0.0004674277, -0.001158726, 0.0005762583, 0.0002148192)
_PART_LOAD = (0.1202277, 0.1396384, 0.7394038)

AIR_LEAVING_C = (4.0, 12.0)
"""Range of the leaving chilled water of the air-cooled chiller [degC]: estimate."""
AIR_OUTSIDE_C = (20.0, 46.0)
"""Range of the outside temperature of the air-cooled chiller [degC]: estimate. Fans keep the
condenser warm in colder air."""
_AIR_COP = 3.0
"""COP of the air-cooled chiller at its nominal capacity, before its curves."""
_LEAST_D_K = -8.7
"""Difference of temperatures at which the air-cooled chiller's full-load power is least [K]."""


class _Waters(NamedTuple):
    """Temperatures of the waters of a chiller, within the range of its curves [degC]."""

    leaving_c: Number
    condenser_c: Number


def _within(leaving_c: Number, condenser_c: Number) -> _Waters:
    return _Waters(np.clip(leaving_c, *LEAVING_C), np.clip(condenser_c, *CONDENSER_C))


def _biquadratic(k: tuple[float, ...], at: _Waters) -> Number:
    x, y = at
    return k[0] + k[1] * x + k[2] * x**2 + k[3] * y + k[4] * y**2 + k[5] * x * y


def chiller_capacity(leaving_c: Number, condenser_c: Number) -> Number:
    """Return the heat that a water-cooled chiller can take, per heat at its reference point [1].

    Parameters
    ----------
    leaving_c
        Temperature of the leaving chilled water [degC]; clamped to 5.56 to 10.
    condenser_c
        Temperature of the entering condenser water [degC]; clamped to 11 to 24.

    Returns
    -------
    Number
        Ratio, of the common shape of both: about 1 at 5.56 and 21.11 degC.

    Source: EnergyPlus, Engineering Reference, Electric Chiller Model Based on Condenser Entering
    Temperature; coefficients of a variable-speed centrifugal chiller of 742 kW in its data set
    Chillers.idf.

    Examples
    --------
    >>> round(float(chiller_capacity(5.56, 21.11)), 2)
    0.99
    """
    return _biquadratic(_CAPACITY, _within(leaving_c, condenser_c))


def chiller_w(
    heat_w: Number, reference_w: Number, leaving_c: Number, condenser_c: Number
) -> Number:
    """Return the power of a water-cooled chiller [W].

        P = Q_ref CAPFT / COP_ref EIRFT EIRFPLR(plr),  plr = Q / (Q_ref CAPFT)

    Below a part-load ratio of 0.19 the chiller runs at 0.19 for a part of the time. Above its
    capacity it draws its full power and leaves the rest of the heat.

    Parameters
    ----------
    heat_w
        Heat taken from the chilled water [W].
    reference_w
        Heat that the chiller takes at its reference point, 5.56 and 21.11 degC [W].
    leaving_c
        Temperature of the leaving chilled water [degC]; clamped to 5.56 to 10.
    condenser_c
        Temperature of the entering condenser water [degC]; clamped to 11 to 24.

    Returns
    -------
    Number
        Power [W], of the common shape of all.

    Source: as for `chiller_capacity`.

    Examples
    --------
    >>> at_full = chiller_capacity(10.0, 15.0)
    >>> round(float(at_full / chiller_w(at_full, 1.0, 10.0, 15.0)), 2)  # COP at full load
    7.72
    """
    at = _within(leaving_c, condenser_c)
    able_w = reference_w * _biquadratic(_CAPACITY, at)
    load = np.minimum(heat_w / able_w, 1.0)
    part = np.maximum(load, LEAST_LOAD)
    running = np.minimum(load / LEAST_LOAD, 1.0)
    a, b, c = _PART_LOAD
    at_part = a + b * part + c * part**2
    return running * able_w / _COP * _biquadratic(_INPUT, at) * at_part


def air_chiller_capacity(leaving_c: Number, outside_c: Number) -> Number:
    """Return the heat that an air-cooled chiller can take, per nominal heat [1].

        0.944836 - 0.0570088 d + 0.00185486 d²,  d = (outside - 35) / 2.778 - (leaving - 6.67)

    Parameters
    ----------
    leaving_c
        Temperature of the leaving chilled water [degC]; clamped to 4 to 12.
    outside_c
        Dry-bulb temperature outside [degC]; clamped to 20 to 46.

    Returns
    -------
    Number
        Ratio, of the common shape of both. `d` is clamped at -8.7 K, below which the curve of the
        power at full load would rise again.

    Source: EnergyPlus, Engineering Reference, Electric Chiller Model (BLAST), with the values of
    its test files. EnergyPlus gives no ranges: the clamps are estimates.

    Examples
    --------
    >>> round(float(air_chiller_capacity(6.67, 35.0)), 4)
    0.9448
    """
    leaving_c, outside_c = np.clip(leaving_c, *AIR_LEAVING_C), np.clip(outside_c, *AIR_OUTSIDE_C)
    d = np.maximum((outside_c - 35.0) / 2.778 - (leaving_c - 6.67), _LEAST_D_K)
    return 0.944836 - 0.0570088 * d + 0.00185486 * d**2


def air_chiller_w(
    heat_w: Number, nominal_w: Number, leaving_c: Number, outside_c: Number
) -> Number:
    """Return the power of an air-cooled chiller with its fans [W].

        P = Q_nominal r / 3 (2.333 - 1.975 r + 0.6121 r²) (0.03303 + 0.6852 plr + 0.2818 plr²)

    `r` is the ratio of `air_chiller_capacity`, and plr = Q / (Q_nominal r).

    Parameters
    ----------
    heat_w
        Heat taken from the chilled water [W].
    nominal_w
        Nominal heat of the chiller [W].
    leaving_c
        Temperature of the leaving chilled water [degC]; clamped to 4 to 12.
    outside_c
        Dry-bulb temperature outside [degC]; clamped to 20 to 46.

    Returns
    -------
    Number
        Power [W], of the common shape of all; 0 if there is no heat.

    Source: as for `air_chiller_capacity`.

    Examples
    --------
    >>> able_w = air_chiller_capacity(6.67, 35.0)
    >>> round(float(able_w / air_chiller_w(able_w, 1.0, 6.67, 35.0)), 2)  # COP at full load
    2.96
    """
    ratio = air_chiller_capacity(leaving_c, outside_c)
    able_w = nominal_w * ratio
    load = np.minimum(heat_w / able_w, 1.0)
    full = 2.333 - 1.975 * ratio + 0.6121 * ratio**2
    part = 0.03303 + 0.6852 * load + 0.2818 * load**2
    return np.where(heat_w > 0.0, part * full * able_w / _AIR_COP, 0.0)
