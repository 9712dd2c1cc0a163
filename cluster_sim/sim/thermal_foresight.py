"""Foresight of temperatures: when they can reach a threshold, and where they are heading."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import NamedTuple

import numpy as np

from cluster_sim.deployment.climate import Conditions
from cluster_sim.deployment.thermal_groups import ThermalGroup
from cluster_sim.physics.thermal import DIE, Heat, ThermalNetwork
from cluster_sim.typing import Array

AT_K = 1e-6
"""Difference below which a temperature counts as equal to its threshold [K]."""

_RATIO, _FINE, _DOUBLINGS = 1.25, 40, 18
_RESPONSE, _SHORTEST, _FINER = 0.25, 0.01, 1.1


class Threshold(NamedTuple):
    """Temperature of one place of a thermal network that causes an action."""

    place: int
    """Index in a state."""
    limit_c: float
    """Temperature [degC]."""


class ThermalForesight:
    """Bounds of the temperatures of a group after short and long times.

    The shortest of these times is the precision with which a crossing is foreseen.
    """

    def __init__(self, group: ThermalGroup, first_s: float) -> None:
        self._group = group
        fine = first_s * _RATIO ** np.arange(_FINE)
        coarse = np.ldexp(fine[-1], np.arange(1, _DOUBLINGS + 1))
        self._times_s = np.concatenate([fine, coarse, [inf]])
        self._fading: dict[float, Array] = {}
        """Remaining fraction of a state's distance from the steady state, by place and time, by
        flow."""
        self._bounds: dict[Conditions, tuple[Array, Array]] = {}

    def rise_s(self, state: Array, around: Conditions, threshold: Threshold) -> float:
        """Return a time within which no heat can take a place to its threshold [s].

        It is 0 if the place could be there within the shortest of the times, and inf if it can
        never be there.
        """
        place, limit_c = threshold
        steady = self._steady_bounds(around)[0]
        later_c = self._fades(around, place) @ (state - steady).T + steady[:, place]
        reached = later_c.max(axis=1) >= limit_c - AT_K
        first = int(reached.argmax())
        return self._before_s(first if reached[first] else len(self._times_s))

    def fall_s(self, state: Array, around: Conditions, thresholds: Sequence[Threshold]) -> float:
        """Return a time within which some place stays at its threshold under any heat [s].

        It is inf if the places can never be below all of their thresholds.
        """
        steady, first = self._steady_bounds(around)[1], 0
        for place, limit_c in thresholds:
            later_c = steady[place] + self._fades(around, place) @ (state - steady)
            below = later_c < limit_c - AT_K
            at = int(below.argmax())
            first = max(first, at if below[at] else len(self._times_s))
        return self._before_s(first)

    def _before_s(self, number: int) -> float:
        """Return the time before the one with this number [s]."""
        if number == len(self._times_s):
            return inf
        return float(self._times_s[number - 1]) if number else 0.0

    def _fades(self, around: Conditions, place: int) -> Array:
        fading = self._fading.get(around.flow)
        if fading is None:
            network = self._group.network(around.flow)
            fading = network.fading(self._times_s).transpose(1, 0, 2).copy()
            self._fading[around.flow] = fading
        rows: Array = fading[place]
        return rows

    def _steady_bounds(self, around: Conditions) -> tuple[Array, Array]:
        """Return the steady states under the greatest heats, one row each, and under the least."""
        if (known := self._bounds.get(around)) is None:
            network, group = self._group.network(around.flow), self._group
            known = (
                np.array([network.steady(heat) for heat in group.greatest(around)]),
                network.steady(group.least(around)),
            )
            self._bounds = {around: known}  # conditions do not come back
        return known


class Prediction(NamedTuple):
    """Temperature of one place after a horizon, as a linear function of state and heat.

    The network is linear, so this is its exact solution under constant heat.
    """

    horizon_s: float
    """Time until the predicted temperature [s]."""
    of_state: tuple[float, ...]
    """Change of the prediction per kelvin of each temperature [1]."""
    of_heat: tuple[float, float, float]
    """Change per watt in the die and in the memory [K/W], and per kelvin at the inlet [1]."""
    offset_c: float
    """Prediction for a state and an inlet at 0 degC without heat [degC]."""

    @classmethod
    def of(cls, network: ThermalNetwork, place: int, response_s: float) -> Prediction:
        """Return the prediction whose horizon suits the place.

        The horizon of the die is `response_s`. Places that follow the heat of the die more slowly
        have horizons that are longer in proportion. Their temperatures would otherwise have to be
        held by great changes of the clock.
        """
        slowness = _follows_s(network, place) / _follows_s(network, DIE)
        horizon_s = response_s * max(slowness, 1.0)
        cold, none = np.zeros(len(network.rates)), Heat(0.0, 0.0, 0.0)
        unit = Heat(1.0, 0.0, 0.0)
        offset = network.after(cold, none, horizon_s)

        def change(state: Array, heat: Heat) -> float:
            return float((network.after(state, heat, horizon_s) - offset)[place])

        return cls(
            horizon_s,
            tuple(change(unit_state, none) for unit_state in np.eye(len(cold))),
            (
                change(cold, unit),
                change(cold, Heat(0.0, 1.0, 0.0)),
                change(cold, Heat(0.0, 0.0, 1.0)),
            ),
            float(offset[place]),
        )

    def temperature_c(self, state: Sequence[float], heat: Heat) -> float:
        """Return the temperature after the horizon [degC]."""
        of_die, of_memory, of_inlet = self.of_heat
        return (
            self.offset_c
            + sum(share * now_c for share, now_c in zip(self.of_state, state, strict=True))
            + of_die * heat.die_w
            + of_memory * heat.memory_w
            + of_inlet * heat.inlet_c
        )


def _follows_s(network: ThermalNetwork, place: int) -> float:
    """Return the time until a place has shown a quarter of what the heat of the die does to it [s].

    It is exact to a tenth.
    """
    cold, none, unit = np.zeros(len(network.rates)), Heat(0.0, 0.0, 0.0), Heat(1.0, 0.0, 0.0)
    in_the_end = float((network.steady(unit) - network.steady(none))[place])
    elapsed_s = _SHORTEST / -float(network.rates[0])
    while True:
        now = network.after(cold, unit, elapsed_s) - network.after(cold, none, elapsed_s)
        if now[place] >= _RESPONSE * in_the_end:
            return elapsed_s
        elapsed_s *= _FINER
