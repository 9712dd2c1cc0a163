"""Solution of the thermal network of each kind of cooling: matrices, eigenvalues, steady states."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from cluster_sim.hardware.power_and_cooling import Cooling
from cluster_sim.physics.leakage import NO_LEAK, Leak
from cluster_sim.physics.thermal import ThermalNetwork
from cluster_sim.typing import Array


class _Equations(NamedTuple):
    """Equations dT/dt = matrix T + forcing (die W, memory W, inlet °C) + always of a network."""

    matrix: Array
    forcing: Array
    always: Array
    capacities_j_per_k: Array


@cache
def thermal_network(cooling: Cooling, leak: Leak = NO_LEAK) -> ThermalNetwork:
    """Return the network of `cooling`; each network is solved once and kept.

    Parameters
    ----------
    cooling
        Heat capacities and thermal resistances of a device.
    leak
        Leakage of its die; it must not run away, see `runs_away`.

    Returns
    -------
    ThermalNetwork
        Network with its eigenvalues.

    Examples
    --------
    100 W through 0.1 + 0.2 K/W into coolant at 25 °C, which the heat warms by 1 K:

    >>> from cluster_sim.hardware.power_and_cooling import Cooling
    >>> from cluster_sim.physics.thermal import Heat
    >>> resistances = {"die_to_sink": "0.1 K/W", "sink_to_coolant": "0.2 K/W"}
    >>> coolant = {"medium": "air", "coolant_rise": "0.01 K/W", "coolant_lag": "1 s"}
    >>> parts = {"die": "45 J/K", "sink": "650 J/K"}
    >>> network = thermal_network(Cooling.model_validate(resistances | coolant | parts))
    >>> network.steady(Heat(100.0, 0.0, 25.0)).round(6).tolist()
    [56.0, 46.0, 26.0]
    """
    matrix, forcing, always, capacities = _equations(cooling, leak)
    steady = np.asarray(-np.linalg.solve(matrix, forcing), dtype=np.float64)
    steady_always = np.asarray(-np.linalg.solve(matrix, always), dtype=np.float64)
    # The coolant follows the steady leakage, so its temperature does not depend on the die's.
    matrix[-1, :-1] = 0.0
    rates, modes = np.linalg.eig(matrix)
    # The eigenvalues are real: the part without coolant is a symmetric matrix scaled by its
    # capacities, and no heat flows back into the coolant.
    order = np.argsort(rates.real)
    rates, modes = rates.real[order], modes.real[:, order]
    return ThermalNetwork(
        cooling,
        rates,
        modes,
        np.linalg.inv(modes),
        capacities,
        leak,
        steady,
        steady_always,
        -np.linalg.inv(matrix)[0],
    )


def runs_away(cooling: Cooling, leak: Leak) -> bool:
    """Return whether leakage heats a die faster than its cooling can remove the heat.

    Its temperature would then have no steady state: an eigenvalue of the network is positive.

    Parameters
    ----------
    cooling
        Heat capacities and thermal resistances of the device.
    leak
        Leakage of its die.

    Examples
    --------
    Through 0.3 K/W in all, each kelvin of the die warms it by 0.9 K of leakage, or by 1.2:

    >>> from cluster_sim.hardware.power_and_cooling import Cooling
    >>> resistances = {"die_to_sink": "0.1 K/W", "sink_to_coolant": "0.15 K/W"}
    >>> coolant = {"medium": "air", "coolant_rise": "0.05 K/W", "coolant_lag": "1 s"}
    >>> parts = {"die": "45 J/K", "sink": "650 J/K"}
    >>> cooling = Cooling.model_validate(resistances | coolant | parts)
    >>> [runs_away(cooling, Leak(slope, 22.0, 0.3, 0.3)) for slope in (3.0, 4.0)]
    [False, True]
    """
    rates = np.linalg.eigvals(_equations(cooling, leak).matrix)
    return bool(np.max(rates.real) >= 0.0)


def _equations(cooling: Cooling, leak: Leak) -> _Equations:
    """Return the equations of a network, with leakage in the die and in the coolant's rise."""
    flows, sources, capacities = _conduction(cooling)
    size, lag_s, rise = len(flows) + 1, cooling.coolant_lag_s, cooling.coolant_rise_k_per_w
    matrix, forcing, always = np.zeros((size, size)), np.zeros((size, 3)), np.zeros(size)
    matrix[:-1], forcing[:-1] = flows / capacities[:, None], sources / capacities[:, None]
    matrix[-1, -1] = -1.0 / lag_s
    forcing[-1] = np.array([rise, rise, 1.0]) / lag_s
    if leak.w_per_k:
        slope = leak.w_per_k
        measured = np.array([leak.die_k_per_w, leak.memory_k_per_w, 0.0])
        for row, k_per_j in ((0, 1.0 / capacities[0]), (-1, rise / lag_s)):
            matrix[row, 0] += slope * k_per_j
            forcing[row] -= slope * k_per_j * measured
            always[row] -= slope * k_per_j * leak.inlet_c
    return _Equations(matrix, forcing, always, capacities)


def _conduction(cooling: Cooling) -> tuple[Array, Array, Array]:
    """Return conductances between the temperatures [W/K], sources of heat, and capacities [J/K]."""
    sink = 1.0 / cooling.sink_to_coolant_k_per_w
    ds = 1.0 / cooling.die_to_sink_k_per_w
    if cooling.memory_j_per_k is None:
        capacities = np.array([cooling.die_j_per_k, cooling.sink_j_per_k])
        flows = np.array([[-ds, ds, 0.0], [ds, -ds - sink, sink]])
        return flows, np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]), capacities
    assert cooling.memory_to_sink_k_per_w is not None and cooling.die_to_memory_k_per_w is not None
    ms, dm = 1.0 / cooling.memory_to_sink_k_per_w, 1.0 / cooling.die_to_memory_k_per_w
    capacities = np.array([cooling.die_j_per_k, cooling.memory_j_per_k, cooling.sink_j_per_k])
    flows = np.array([
        [-ds - dm, dm, ds, 0.0],
        [dm, -ms - dm, ms, 0.0],
        [ds, ms, -ds - ms - sink, sink],
    ])  # fmt: skip
    return flows, np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]), capacities
