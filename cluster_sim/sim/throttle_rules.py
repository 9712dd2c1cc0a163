"""ThrottleRules: limits of a device, and how its software and hardware keep them."""

from __future__ import annotations

from dataclasses import dataclass

from cluster_sim.deployment.thermal_groups import COOLANT
from cluster_sim.hardware.device import Device
from cluster_sim.hardware.governor import GovernorSpec, Limits
from cluster_sim.hardware.memory import Refresh
from cluster_sim.physics.thermal import DIE, MEMORY
from cluster_sim.sim.power_loop import clock_steps
from cluster_sim.sim.software_slowdown import ClockSteps
from cluster_sim.sim.thermal_foresight import Threshold

_PERIOD_S, _RESPONSE_S, _SLOWDOWN_PERIOD_S, _HYSTERESIS_K = 0.2, 2.0, 0.01, 3.0
"""Figures for devices whose file has no governor."""


@dataclass(frozen=True)
class ThrottleRules:
    """Throttling rules of a device."""

    limits: Limits | None
    governor: GovernorSpec | None
    refresh: Refresh | None
    """Refresh of the memory; None if it does not depend on temperature or the memory has none."""
    has_memory: bool
    """Whether the memory has a temperature of its own."""
    clock_steps: ClockSteps
    """Steps in which software changes the clock."""
    slowdown_period_s: float
    """Time within which hardware notices a limit [s]."""
    band_k: float
    """Hysteresis: distance below a temperature at which its effect ends [K]."""

    @classmethod
    def of(cls, device: Device, *, has_memory: bool) -> ThrottleRules:
        """Return the rules of a device; its periods are assumed if its file has no governor."""
        governor = device.governor
        step, floor = clock_steps(governor)
        period_s, response_s, rise_s = _PERIOD_S, _RESPONSE_S, 0.0
        slowdown_period_s, band_k = _SLOWDOWN_PERIOD_S, _HYSTERESIS_K
        if governor is not None:
            period_s, response_s = governor.thermal_period_s, governor.thermal_response_s
            rise_s = governor.rise_period_s or 0.0
            slowdown_period_s = governor.slowdown_period_s
            band_k = governor.hysteresis_kelvin
        steps = ClockSteps(step, int((1.0 - floor) / step + 1e-9), period_s, response_s, rise_s)
        refresh = device.refresh if has_memory else None
        return cls(device.limits, governor, refresh, has_memory, steps, slowdown_period_s, band_k)

    @property
    def is_governed(self) -> bool:
        """Whether the device has limits and a governor that keeps them by its clock."""
        return self.limits is not None and self.governor is not None

    def operating(self) -> list[Threshold]:
        """Return the limits that software keeps by lowering the clock."""
        limits = self.limits
        if limits is None:
            return []
        thresholds = [Threshold(DIE, limits.operating_c)]
        if self.has_memory and limits.memory_c is not None:
            thresholds.append(Threshold(MEMORY, limits.memory_c))
        if limits.coolant_c is not None:
            thresholds.append(Threshold(COOLANT, limits.coolant_c))
        return thresholds

    def below(self, thresholds: list[Threshold]) -> list[Threshold]:
        """Return thresholds that are lower by the hysteresis."""
        return [Threshold(place, limit_c - self.band_k) for place, limit_c in thresholds]
