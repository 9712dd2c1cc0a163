"""Power of a node in addition to its devices."""

from __future__ import annotations

from math import sqrt

from cluster_sim.hardware.surroundings import Surroundings
from cluster_sim.typing import Number


def surroundings_w(around: Surroundings, devices_w: Number, most_w: float) -> Number:
    """Return the power of a node in addition to its devices [W].

        base + (most - base) (devices / maximum of devices)^2

    The power of fans and the losses of power supplies grow faster than linearly. Estimate: a base,
    and a part that grows with the square of the load of the devices.

    Parameters
    ----------
    around
        Constants of the node.
    devices_w
        Power of all devices of the node [W].
    most_w
        Power of all devices of the node at their limits [W].

    Returns
    -------
    Number
        Power [W], of the shape of `devices_w`.

    Examples
    --------
    >>> from cluster_sim.hardware.surroundings import Surroundings
    >>> dgx = Surroundings.model_validate({"base": "2300 W", "most": "6300 W"})
    >>> surroundings_w(dgx, 4000.0, 8000.0)
    3300.0
    """
    return around.base_w + (around.most_w - around.base_w) * (devices_w / most_w) ** 2


def with_flow_w(around_w: Number, moved: float, flow: Number) -> Number:
    """Return the power of a node in addition to its devices, at a share of the full flow [W].

        surroundings (1 - moved (1 - flow³))

    The power of ideal fans and pumps is proportional to the cube of their flow. At full flow it is
    the same share of the surroundings at any load of the devices: an estimate.

    Parameters
    ----------
    around_w
        Power of the surroundings at full flow [W].
    moved
        Share of that power that the failing fans or pumps draw at full flow [1].
    flow
        Share of the full flow of air or water, of a shape that broadcasts with `around_w` [1].

    Returns
    -------
    Number
        Power [W], of the common shape.

    Source: affinity laws of fans and pumps.

    Examples
    --------
    >>> with_flow_w(4000.0, 0.25, 0.5)  # fans draw an eighth of 1 kW
    3125.0
    """
    return around_w * (1.0 - moved * (1.0 - flow**3))


def devices_under_w(around: Surroundings | None, node_w: float, most_w: float) -> float:
    """Return the power that the devices of a node may draw if the node draws `node_w` [W].

    It is the positive root of the quadratic in `surroundings_w`. It is 0 if the node draws more
    than `node_w` without its devices.

    Parameters
    ----------
    around
        Constants of the node; None if only its devices draw power.
    node_w
        Power of the node [W].
    most_w
        Power of all devices of the node at their limits [W].

    Returns
    -------
    float
        Power of all devices together [W].

    Examples
    --------
    >>> from cluster_sim.hardware.surroundings import Surroundings
    >>> dgx = Surroundings.model_validate({"base": "2300 W", "most": "6300 W"})
    >>> round(devices_under_w(dgx, 4000.0 + 3300.0, 8000.0), 6)
    4000.0
    """
    if around is None:
        return max(node_w, 0.0)
    left_w, bend = max(node_w - around.base_w, 0.0), (around.most_w - around.base_w) / most_w**2
    return 2.0 * left_w / (1.0 + sqrt(1.0 + 4.0 * bend * left_w))
