"""Power of one device over time, from the steps of its replica."""

from __future__ import annotations

from math import inf
from typing import NamedTuple

import numpy as np

from cluster_sim.hardware.power_and_cooling import Power
from cluster_sim.physics.power import memory_w
from cluster_sim.typing import Array


class DrawnPower(NamedTuple):
    """Power of one device, piecewise constant: n + 1 edges and n values."""

    edges_s: Array
    watts: Array
    memory_w: Array
    """Part of the power that the memory draws [W]."""


class PoweredSteps(NamedTuple):
    """Steps or stretches of a replica in order, and the power of one of its devices in each."""

    began_s: Array
    ended_s: Array
    watts: Array
    bytes_per_s: Array
    """Rate at which the device's memory is read and written [B/s]."""


def power_of_steps(
    power: Power, steps: PoweredSteps, since_s: float, until_s: float, lost_s: float = inf
) -> DrawnPower:
    """Return the power of a device over a time.

    Between steps the device is loaded and idle.

    Parameters
    ----------
    power
        Power model of the device.
    steps
        Steps or stretches of its replica, in order.
    since_s, until_s
        Beginning and end of the time [s].
    lost_s
        Time from which on the device holds no model [s].
    """
    count, quiet_memory_w = len(steps.began_s), memory_w(power, 0.0)
    ends_s = np.stack([steps.began_s, steps.ended_s], axis=1).ravel()
    knots_s = np.clip(np.maximum.accumulate(ends_s), since_s, until_s)
    between = np.full(count, power.loaded_idle_w)
    watts = np.append(power.loaded_idle_w, np.stack([steps.watts, between], axis=1).ravel())
    quiet = np.full(count, float(quiet_memory_w))
    of_memory = np.append(
        float(quiet_memory_w),
        np.stack([memory_w(power, steps.bytes_per_s), quiet], axis=1).ravel(),
    )
    if lost_s < until_s:
        knots_s = np.append(knots_s, max(lost_s, since_s))
        watts = np.append(watts, power.idle_w)
        of_memory = np.append(of_memory, quiet_memory_w)
    edges_s = np.concatenate([[since_s], knots_s, [until_s]])
    return DrawnPower(edges_s, watts, np.minimum(of_memory, watts))


def power_without_replica(power: Power, since_s: float, until_s: float) -> DrawnPower:
    """Return the power of a device without a replica from `since_s` until `until_s`."""
    return DrawnPower(
        np.array([since_s, until_s]), np.array([power.idle_w]), np.array([memory_w(power, 0.0)])
    )
