"""Coolant of a device, its flow, and the bandwidth of hot memory."""

from __future__ import annotations

from cluster_sim.hardware.memory import Refresh
from cluster_sim.hardware.power_and_cooling import Cooling

_FLOW_ON_SINK = 0.38
"""Exponent with which the thermal resistance from sink to coolant falls when the flow grows."""


def inlet_c(cooling: Cooling, supply_c: float, upstream_w: float) -> float:
    """Return the temperature of the coolant that reaches a device [°C].

    The equation is inlet = supply + preheat x upstream power, in the steady state.

    Parameters
    ----------
    cooling
        Constants of the device's cooling.
    supply_c
        Temperature at which the site supplies the coolant [°C].
    upstream_w
        Power of the device upstream in the air stream [W]; 0 for the first device.

    Returns
    -------
    float
        Temperature [°C].

    Examples
    --------
    >>> from cluster_sim.hardware.power_and_cooling import Cooling
    >>> resistances = {"die_to_sink": "0.02 K/W", "sink_to_coolant": "0.03 K/W"}
    >>> warming = {"coolant_rise": "0.006 K/W", "preheat": "0.014 K/W", "coolant_lag": "1 s"}
    >>> parts = {"medium": "air", "die": "45 J/K", "sink": "650 J/K"}
    >>> rear = Cooling.model_validate(resistances | warming | parts)
    >>> round(inlet_c(rear, 25.0, 700.0), 6)
    34.8
    """
    return supply_c + cooling.preheat_k_per_w * upstream_w


def upstream(cooling: Cooling, place: int) -> int | None:
    """Return the position in the node of the device upstream of `place`.

    Parameters
    ----------
    cooling
        Constants of the device's cooling.
    place
        Position of the device in its node, from 0 on.

    Returns
    -------
    int or None
        Position of the device upstream; None if the coolant reaches the device at `place` first.

    Examples
    --------
    Devices 4 to 7 are behind devices 0 to 3:

    >>> from types import SimpleNamespace
    >>> upstream(SimpleNamespace(front=4), 6), upstream(SimpleNamespace(front=4), 1)
    (2, None)
    """
    return None if cooling.front is None or place < cooling.front else place - cooling.front


def with_flow(cooling: Cooling, share: float) -> Cooling:
    """Return `cooling` with a share of its air or water flow, as after the loss of a fan or a pump.

    By the balance of energy, the temperature rise of the coolant is inversely proportional to the
    flow. The resistance from sink to coolant grows with the flow to the power -0.38, by a third at
    half of the flow. The exponent is an estimate: forced convection alone has 0.8, and a part of
    the resistance is metal.

    Parameters
    ----------
    cooling
        Constants at full flow.
    share
        Share of the full flow, above 0 [1].

    Returns
    -------
    Cooling
        Constants at the reduced flow.

    Examples
    --------
    >>> from cluster_sim.hardware.power_and_cooling import Cooling
    >>> resistances = {"die_to_sink": "0.01 K/W", "sink_to_coolant": "0.01 K/W"}
    >>> warming = {"coolant_rise": "0.005 K/W", "coolant_lag": "2 s"}
    >>> parts = {"medium": "liquid", "die": "90 J/K", "sink": "300 J/K"}
    >>> half = with_flow(Cooling.model_validate(resistances | warming | parts), 0.5)
    >>> half.coolant_rise_k_per_w, round(half.sink_to_coolant_k_per_w, 4)
    (0.01, 0.013)
    """
    if share == 1.0:
        return cooling
    resistances = {
        "sink_to_coolant_k_per_w": cooling.sink_to_coolant_k_per_w * share**-_FLOW_ON_SINK,
        "coolant_rise_k_per_w": cooling.coolant_rise_k_per_w / share,
        "preheat_k_per_w": cooling.preheat_k_per_w / share,
    }
    return cooling.model_copy(update=resistances)


def bandwidth_left(refresh: Refresh, memory_c: float) -> float:
    """Return the share of the memory bandwidth that refreshing leaves at a temperature [1].

    Parameters
    ----------
    refresh
        Temperatures at which the refresh rate doubles and quadruples, and the shares that are left.
    memory_c
        Temperature of the memory [°C].

    Returns
    -------
    float
        Share of the bandwidth [1].

    Examples
    --------
    >>> from cluster_sim.hardware.memory import Refresh
    >>> steps = {"double": "85 degC", "double_share": 0.97, "quadruple": "95 degC"}
    >>> refresh = Refresh.model_validate(steps | {"quadruple_share": 0.93})
    >>> [bandwidth_left(refresh, memory_c) for memory_c in (84.0, 85.0, 95.0)]
    [1.0, 0.97, 0.93]
    """
    if memory_c < refresh.double_c:
        return 1.0
    return refresh.double_share if memory_c < refresh.quadruple_c else refresh.quadruple_share
