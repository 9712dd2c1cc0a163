"""Power of fans and pumps with variable speed."""

from __future__ import annotations

import numpy as np

from cluster_sim.typing import Number

LEAST_FLOW = 0.3
"""Lowest flow of pumps and air handlers, as a share of full flow: estimate."""


def fan_w(speed: Number, full_w: Number) -> Number:
    """Return the power of fans with variable speed [W]; 0 at a standstill.

        P = P_full (0.0013 + 0.1470 x + 0.9506 x² - 0.0998 x³)

    The ideal fan draws x³; losses of the drive make the difference.

    Parameters
    ----------
    speed
        Flow as a share of full flow, from 0 to 1 [1].
    full_w
        Power at full flow [W].

    Returns
    -------
    Number
        Power [W], of the common shape.

    Source: ANSI/ASHRAE/IES Standard 90.1, Appendix G, part-load performance of VAV fan systems,
    method 2.

    Examples
    --------
    >>> round(float(fan_w(0.5, 1000.0)), 1)
    300.0
    """
    x = np.asarray(speed)
    return np.where(x > 0.0, full_w * (0.0013 + 0.1470 * x + 0.9506 * x**2 - 0.0998 * x**3), 0.0)


def pump_w(flow: Number, full_w: Number) -> Number:
    """Return the power of pumps with variable speed [W].

        P = P_full (0.5726 x - 0.3010 x² + 0.7347 x³)

    Parameters
    ----------
    flow
        Flow as a share of full flow, from 0 to 1 [1].
    full_w
        Power at full flow [W].

    Returns
    -------
    Number
        Power [W], of the common shape; 0.6 % above `full_w` at full flow, as the source has it.

    Source: curve of a pump with variable speed, as programs of building energy use it for Appendix
    G of ASHRAE 90.1.

    Examples
    --------
    >>> round(float(pump_w(0.5, 1000.0)), 1)
    302.9
    """
    x = np.asarray(flow)
    return full_w * (0.5726 * x - 0.3010 * x**2 + 0.7347 * x**3)


def pumping_w(pressure_pa: float, flow_m3_per_s: float, efficiency: float = 0.6) -> float:
    """Return the power of a pump: pressure x flow / efficiency [W].

    Parameters
    ----------
    pressure_pa
        Pressure that the pump adds [Pa].
    flow_m3_per_s
        Flow of the coolant [m³/s].
    efficiency
        Efficiency of pump and motor together, usually 0.5 to 0.7 [1].

    Returns
    -------
    float
        Power [W].

    Examples
    --------
    A pump unit of 150 L/min at 40 psi, as OCP has for 100 kW, draws 1.1 kW: about 1 % of the heat.

    >>> round(pumping_w(40 * 6894.76, 150 / 60e3))
    1149
    """
    return pressure_pa * flow_m3_per_s / efficiency
