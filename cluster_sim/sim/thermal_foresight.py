"""How soon the temperatures of a thermal group could reach a threshold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf

import numpy as np

from cluster_sim.deployment.climate import Conditions
from cluster_sim.deployment.thermal_groups import ThermalGroup
from cluster_sim.physics.thermal import Heat
from cluster_sim.typing import Array

AT_K = 1e-6
"""Difference below which a temperature counts as being at its threshold [K]."""
_DOUBLINGS = 18

Threshold = tuple[int, float]
"""Place in a state, and temperature [degC]."""


class ThermalForesight:
    """Temperatures that bound those of a group after one period, two, four and so on."""

    def __init__(self, group: ThermalGroup, period_s: float) -> None:
        self._group = group
        self._times_s = np.ldexp(period_s, np.arange(_DOUBLINGS))
        self._fading: dict[float, Array] = {}
        """What is left of a state's distance from the steady one after each of these times, by
        flow."""

    def quiet_s(
        self,
        state: Array,
        around: Conditions,
        heats: Sequence[Heat],
        happens: Callable[[Array], Array],
    ) -> float:
        """Return the longest of the times after which nothing has happened under any heat [s].

        inf means that it never happens.

        Parameters
        ----------
        state
            Temperatures now [degC].
        happens
            For each state of an array, whether it makes something happen.
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
    """Return whether each state is at any of the thresholds or above it."""
    reached: Array = np.any(
        [states[:, place] >= limit_c - AT_K for place, limit_c in thresholds], axis=0
    )
    return reached


def is_below_all(states: Array, thresholds: Sequence[Threshold]) -> Array:
    """Return whether each state is below all of the thresholds."""
    return ~is_at_any(states, thresholds)
