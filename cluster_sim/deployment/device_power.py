"""Power of one device over time, from the steps of its replica."""

from __future__ import annotations

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


class IdlePower(NamedTuple):
    """Power of a device while it runs no step, piecewise constant.

    `watts[i]` holds from `from_s[i]` until `from_s[i + 1]`. The last piece has no end.
    """

    from_s: Array
    watts: Array


def loaded_idle(power: Power) -> IdlePower:
    """Return the power of a device that always holds a model, while it runs no step."""
    return IdlePower(np.zeros(1), np.array([power.loaded_idle_w]))


class _Pieces(NamedTuple):
    """Values that are constant between knots; there is one value more than there are knots."""

    knots_s: Array
    values: Array

    def with_changes(self, began_s: Array, from_s: Array, values: Array) -> _Pieces:
        """Return the pieces with further values, each from a time at which no step runs.

        Parameters
        ----------
        began_s
            Beginnings of the steps, which have two knots each [s].
        from_s
            Times from which the further values hold [s].
        values
            Values until the next knot.
        """
        places = 2 * np.searchsorted(began_s, from_s, side="left")
        return _Pieces(
            np.maximum.accumulate(np.insert(self.knots_s, places, from_s)),
            np.insert(self.values, places + 1, values),
        )


def device_pieces(steps: PoweredSteps, idle: IdlePower) -> tuple[Array, Array]:
    """Return the power of a device: times of its changes [s], and powers around them [W].

    There is one power more than there are changes.

    Parameters
    ----------
    steps
        Steps or stretches of its replica, in order. The device holds its model in each.
    idle
        Power of the device between steps.
    """
    # a stretch ends when the next begins, up to rounding
    ends_s = np.stack([steps.began_s, steps.ended_s], axis=1).ravel()
    between = idle.watts[np.searchsorted(idle.from_s, steps.began_s, side="right") - 1]
    pieces = _Pieces(
        np.maximum.accumulate(ends_s),
        np.append(idle.watts[0], np.stack([steps.watts, between], axis=1).ravel()),
    )
    if len(idle.from_s) > 1:
        pieces = pieces.with_changes(steps.began_s, idle.from_s[1:], idle.watts[1:])
    return pieces


def power_of_steps(
    power: Power,
    steps: PoweredSteps,
    since_s: float,
    until_s: float,
    idle: IdlePower | None = None,
) -> DrawnPower:
    """Return the power of a device over a time.

    Parameters
    ----------
    power
        Power model of the device.
    steps
        Steps or stretches of its replica, in order.
    since_s, until_s
        Beginning and end of the time [s].
    idle
        Power of the device between steps. Default: the device always holds its model.
    """
    idle = idle or loaded_idle(power)
    knots_s, watts = device_pieces(steps, idle)
    quiet_w = float(memory_w(power, 0.0))
    in_memory = steps._replace(watts=memory_w(power, steps.bytes_per_s))
    quiet = IdlePower(idle.from_s, np.full(len(idle.watts), quiet_w))
    _, of_memory = device_pieces(in_memory, quiet)
    edges_s = np.concatenate([[since_s], np.clip(knots_s, since_s, until_s), [until_s]])
    return DrawnPower(edges_s, watts, np.minimum(of_memory, watts))


def power_without_replica(power: Power, since_s: float, until_s: float) -> DrawnPower:
    """Return the power of a device without a model from `since_s` until `until_s`."""
    return DrawnPower(
        np.array([since_s, until_s]), np.array([power.idle_w]), np.array([memory_w(power, 0.0)])
    )
