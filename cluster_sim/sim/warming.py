"""Warming: temperatures of the devices of one thermal group, from the power that they drew."""

from __future__ import annotations

from typing import NamedTuple

from cluster_sim.deployment.climate import Conditions
from cluster_sim.deployment.device_power import DrawnPower
from cluster_sim.deployment.temperatures import joined, last_temperatures, mean_powers
from cluster_sim.deployment.thermal_groups import ThermalGroup
from cluster_sim.physics.thermal import Heat
from cluster_sim.typing import Array

_MOST_POWERS = 64
"""Number of readings of the power after which the temperatures are computed."""


class _Energies(NamedTuple):
    """Energies since the last question for the mean heat, and the time since then."""

    of_device_j: float = 0.0
    of_memory_j: float = 0.0
    of_front_j: float = 0.0
    elapsed_s: float = 0.0


class Warming:
    """Temperatures of a group, and its mean heat of late."""

    def __init__(self, group: ThermalGroup, state: Array) -> None:
        self.state = state
        """Temperatures at the last call of `advance` [degC]."""
        self._group, self._energies = group, _Energies()
        self._powers: list[tuple[DrawnPower, DrawnPower | None]] = []

    def note(self, own: DrawnPower, front: DrawnPower | None) -> None:
        """Take note of the power of the devices and of those upstream.

        NOTE: the temperatures are computed at the next look, in one go. Devices that look seldom
        stand beside others that look in each period.
        """
        self._powers.append((own, front))
        if len(self._powers) >= _MOST_POWERS:
            self.advance()

    def advance(self) -> None:
        """Advance the temperatures to the end of the noted powers."""
        if not self._powers:
            return
        owns, fronts = zip(*self._powers, strict=True)
        self._powers = []
        own, front = joined(owns), None
        if all(one is other for one, other in zip(owns, fronts, strict=True)):
            front = own  # one replica has devices in both rows
        elif fronts[0] is not None:
            front = joined(fronts)
        self.state = last_temperatures(self._group, self.state, own, front)
        elapsed_s = float(own.edges_s[-1] - own.edges_s[0])
        of_device_w, of_memory_w = mean_powers(own)
        of_front_w = 0.0 if front is None else mean_powers(front)[0]
        device_j, memory_j, front_j, before_s = self._energies
        self._energies = _Energies(
            device_j + of_device_w * elapsed_s,
            memory_j + of_memory_w * elapsed_s,
            front_j + of_front_w * elapsed_s,
            before_s + elapsed_s,
        )

    def mean_heat(self, around: Conditions) -> Heat | None:
        """Return the mean heat since the last call; None if no time has passed."""
        device_j, memory_j, front_j, elapsed_s = self._energies
        if elapsed_s <= 0.0:
            return None
        self._energies = _Energies()
        return self._group.heat(
            around, device_j / elapsed_s, memory_j / elapsed_s, front_j / elapsed_s
        )
