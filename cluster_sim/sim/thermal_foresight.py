"""ThermalForesight: time until the temperatures of a thermal group can reach a threshold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf

import numpy as np

from cluster_sim.deployment.climate import Conditions
from cluster_sim.deployment.thermal_groups import ThermalGroup
from cluster_sim.physics.thermal import Heat
from cluster_sim.typing import Array

AT_K = 1e-6
"""Difference below which a temperature counts as equal to its threshold [K]."""
_DOUBLINGS = 18

Threshold = tuple[int, float]
"""Index in a state, and temperature [degC]."""


class ThermalForesight:
    """Bounds of the temperatures of a group after 1, 2, 4, … control periods."""

    def __init__(self, group: ThermalGroup, period_s: float) -> None:
        self._group = group
        self._times_s = np.ldexp(period_s, np.arange(_DOUBLINGS))
        self._fading: dict[float, Array] = {}
        """Remaining fraction of a state's distance from the steady state after each of these times,
        by flow."""

    def quiet_s(
        self,
        state: Array,
        around: Conditions,
        heats: Sequence[Heat],
        happens: Callable[[Array], Array],
    ) -> float:
        """Return the longest of the times within which nothing can happen under any heat [s].

        The result is inf if nothing can ever happen.

        Parameters
        ----------
        state
            Present temperatures [degC].
        happens
            Function that returns, for each state of an array, whether it causes an action.
        """
        network = self._group.network(around.flow)
        if (fading := self._fading.get(around.flow)) is None:
            fading = self._fading[around.flow] = network.fading(self._times_s)
        first = _DOUBLINGS
        for heat in heats:
            steady = network.steady(heat)
            happened = happens(steady + fading @ (state - steady))
            if happened.any():
                first = min(first, int(happened.argmax()))
        return inf if first == _DOUBLINGS else float(self._times_s[max(first - 1, 0)])


def is_at_any(states: Array, thresholds: Sequence[Threshold]) -> Array:
    """Return whether each state is at or above any of the thresholds."""
    reached: Array = np.any(
        [states[:, place] >= limit_c - AT_K for place, limit_c in thresholds], axis=0
    )
    return reached


def is_below_all(states: Array, thresholds: Sequence[Threshold]) -> Array:
    """Return whether each state is below all of the thresholds."""
    return ~is_at_any(states, thresholds)
