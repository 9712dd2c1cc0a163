"""Power of a node beside its devices."""

from __future__ import annotations

from math import sqrt

from cluster_sim.hardware.power_and_cooling import Surroundings
from cluster_sim.typing import Number


def surroundings_w(around: Surroundings, devices_w: Number, most_w: float) -> Number:
    """Return the power of a node beside its devices [W].

    Fans and losses of supplies grow faster than what they serve: a base, and the rest with the
    square of the devices' load (estimate).

    Parameters
    ----------
    around
        Constants of the node.
    devices_w
        Power of all its devices together [W].
    most_w
        Power of all its devices at their limits [W].

    Examples
    --------
    >>> from cluster_sim.hardware.power_and_cooling import Surroundings
    >>> dgx = Surroundings.model_validate({"base": "2300 W", "most": "6300 W"})
    >>> surroundings_w(dgx, 4000.0, 8000.0)
    3300.0
    """
    return around.base_w + (around.most_w - around.base_w) * (devices_w / most_w) ** 2


def devices_under_w(around: Surroundings | None, node_w: float, most_w: float) -> float:
    """Return the power that a node's devices may draw together for the node to draw `node_w` [W].

    It is the positive root of a quadratic, see `surroundings_w`; 0 where the node draws more even
    without its devices.

    Parameters
    ----------
    around
        Constants of the node; None where it draws nothing beside its devices.
    node_w
        Power of the node [W].
    most_w
        Power of all its devices at their limits [W].

    Examples
    --------
    >>> from cluster_sim.hardware.power_and_cooling import Surroundings
    >>> dgx = Surroundings.model_validate({"base": "2300 W", "most": "6300 W"})
    >>> round(devices_under_w(dgx, 4000.0 + 3300.0, 8000.0), 6)
    4000.0
    """
    if around is None:
        return max(node_w, 0.0)
    left_w, bend = max(node_w - around.base_w, 0.0), (around.most_w - around.base_w) / most_w**2
    return 2.0 * left_w / (1.0 + sqrt(1.0 + 4.0 * bend * left_w))
