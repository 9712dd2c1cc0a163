"""Humid air at the pressure of sea level: relative humidity and wet-bulb temperature."""

from __future__ import annotations

import numpy as np

from cluster_sim.typing import Number

HUMIDITY = (5.0, 99.0)
"""Range of the relative humidity in which the formula of the wet bulb holds [%]."""


def relative_humidity(dry_c: Number, dew_c: Number) -> Number:
    """Return the relative humidity of air [%].

    It is the ratio of the saturation pressures of water at the dew point and at the temperature,
    each exp(17.625 T / (243.04 + T)) times a constant.

    Parameters
    ----------
    dry_c
        Dry-bulb temperature [degC].
    dew_c
        Dew point [degC], at most `dry_c`, of a shape that broadcasts with it.

    Returns
    -------
    Number
        Relative humidity [%], of the common shape.

    Source: Alduchov and Eskridge, Improved Magnus form approximation of saturation vapor pressure,
    1996; within 0.4 % from -40 to 50 degC.

    Examples
    --------
    >>> round(float(relative_humidity(20.0, 9.26)), 1)  # 9.3 degC is the dew point of 20 and 50 %
    50.0
    """
    logarithm = 17.625 * dew_c / (243.04 + dew_c) - 17.625 * dry_c / (243.04 + dry_c)
    return 100.0 * np.exp(logarithm)


def wet_bulb_c(dry_c: Number, humidity: Number) -> Number:
    """Return the wet-bulb temperature of air [degC], at most its dry-bulb temperature.

    The formula of Stull holds from -20 to 50 degC and from 5 to 99 % within -1.0 and +0.65 K; its
    mean absolute error is 0.3 K. Drier or moister air is taken at the end of that range.

    Parameters
    ----------
    dry_c
        Dry-bulb temperature [degC].
    humidity
        Relative humidity [%], of a shape that broadcasts with `dry_c`.

    Returns
    -------
    Number
        Temperature [degC], of the common shape.

    Source: Stull, Wet-bulb temperature from relative humidity and air temperature, Journal of
    Applied Meteorology and Climatology 50, 2011, equation 1.

    Examples
    --------
    >>> round(float(wet_bulb_c(20.0, 50.0)), 1)
    13.7
    """
    moist = np.clip(humidity, *HUMIDITY)
    wet_c = (
        dry_c * np.arctan(0.151977 * np.sqrt(moist + 8.313659))
        + np.arctan(dry_c + moist)
        - np.arctan(moist - 1.676331)
        + 0.00391838 * moist**1.5 * np.arctan(0.023101 * moist)
        - 4.686035
    )
    return np.minimum(wet_c, dry_c)
