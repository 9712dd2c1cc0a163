"""ThermalGuard: protection of the devices of one thermal group against heat."""

from __future__ import annotations

from math import floor, inf

from cluster_sim.deployment.climate import Conditions
from cluster_sim.deployment.device_power import DrawnPower
from cluster_sim.deployment.thermal_groups import ThermalGroup
from cluster_sim.hardware.memory import Refresh
from cluster_sim.physics.cooling import bandwidth_left
from cluster_sim.physics.thermal import DIE, MEMORY
from cluster_sim.sim.hardware_slowdown import HardwareSlowdown
from cluster_sim.sim.software_slowdown import SoftwareSlowdown
from cluster_sim.sim.thermal_foresight import AT_K, ThermalForesight, Threshold
from cluster_sim.sim.throttle_rules import ThrottleRules
from cluster_sim.sim.warming import Warming
from cluster_sim.typing import Array

_LEAD = 0.25
"""Time before a limit could be reached at which software begins to look, as a share of the horizon
of its prediction. The greatest heat is assumed until then, so that a limit is hardly ever near."""
_AT_S = 1e-9
"""Difference below which a time counts as due [s]."""


class ThermalGuard:
    """State machine of the devices of one thermal group, which reacts to their temperatures.

    It has no clock: the caller passes the time. Software decides at multiples of its period.
    Hardware is looked at in between, whenever it could have something to do.
    """

    def __init__(self, group: ThermalGroup, state: Array) -> None:
        self.group = group
        self.warming = Warming(group, state)
        """Temperatures of the devices."""
        self.name = group.devices()[0]
        """Name of the first device of the group."""
        self._rules = ThrottleRules.of(group.pool.node.device, has_memory=len(state) > 3)
        self.hardware = HardwareSlowdown(self._rules)
        """Slowdown and shutdown by hardware."""
        self.software = SoftwareSlowdown(group, self._rules.operating(), self._rules.clock_steps)
        """Slowdown by software."""
        self.refresh = 1.0
        """Share of the memory bandwidth that refresh leaves."""
        self.looks_s = 0.0
        """Time of the next look at the temperatures [s]."""
        self._foresight = ThermalForesight(group, self._rules.slowdown_period_s)
        self._decides_s = 0.0
        self._told = (1.0, 1.0, "")

    @property
    def state(self) -> Array:
        """Temperatures at the last look [degC]."""
        return self.warming.state

    @property
    def lost(self) -> bool:
        """Whether the devices have shut down and are not cool yet."""
        return self.hardware.is_lost

    @property
    def clock(self) -> float:
        """Present clock, as a share of the highest clock."""
        lowered = self.software.steps_down * self._rules.clock_steps.step
        return self.hardware.factor * (1.0 - lowered)

    @property
    def reason(self) -> str:
        """Reason for a lowered clock, in NVML's terms; empty if it is not lowered."""
        if self.lost:
            return "lost"
        if self.hardware.is_slow:
            return "hw_thermal_slowdown"
        return "sw_thermal_slowdown" if self.software.steps_down else ""

    def change(self) -> tuple[float, float, str] | None:
        """Return (clock, refresh, reason) if they have changed since the last call, else None."""
        now = (self.clock, self.refresh, self.reason)
        if now == self._told:
            return None
        self._told = now
        return now

    def warm(self, own: DrawnPower, front: DrawnPower | None) -> None:
        """Take note of the power of the devices and of those upstream until the next look."""
        self.warming.note(own, front)

    def act(self, now_s: float) -> None:
        """Compute the present temperatures, and act on them."""
        self.warming.advance()
        if self.lost:
            if self._can_start(now_s):
                self.hardware.restart()
                self.software.reset()
            return
        self.hardware.act(now_s, float(self.state[DIE]))
        if not self.lost and now_s + _AT_S >= self._decides_s:
            self._act_as_software(now_s)

    def _can_start(self, now_s: float) -> bool:
        """Return whether devices that have shut down can start again.

        They can at the operating limits minus the hysteresis, if idle devices would stay below. This
        is an estimate: NVIDIA publishes no rule for the start after a thermal shutdown.
        """
        return self._is_cool(self.state) and self._stays_cool(self.group.around(now_s).conditions)

    def _stays_cool(self, around: Conditions) -> bool:
        """Return whether idle devices stay cool enough to start."""
        steady = self.group.network(around.flow).steady(self.group.idle(around))
        return self._is_cool(steady)

    def _is_cool(self, state: Array) -> bool:
        """Return whether temperatures are low enough to start."""
        cool = self._rules.below(self._rules.operating())
        return all(float(state[place]) <= limit_c + AT_K for place, limit_c in cool)

    def _act_as_software(self, now_s: float) -> None:
        """Move the clock by steps, and set the refresh rate of the memory."""
        rules, around = self._rules, self.group.around(now_s).conditions
        heat = self.warming.mean_heat(around)
        if rules.is_governed and not self.hardware.is_slow and heat is not None:
            self.software.decide(now_s, self.state.tolist(), heat, around.flow)
        if rules.refresh is not None:
            memory_c = float(self.state[MEMORY])
            # higher refresh rate immediately, lower only after the hysteresis
            least = bandwidth_left(rules.refresh, memory_c + rules.band_k - AT_K)
            most = bandwidth_left(rules.refresh, memory_c + AT_K)
            self.refresh = min(max(self.refresh, least), most)

    def plan(self, now_s: float) -> None:
        """Set the time of the next look, after a look.

        Nothing can happen before, under any load of the devices and of those upstream of them.
        """
        around, _, changes_s = self.group.around(now_s)
        self._decides_s = self._next_decision_s(now_s, around)
        hardware_s = now_s + self._hardware_s(now_s, around)
        self.looks_s = min(self._decides_s, hardware_s, changes_s)

    def _next_decision_s(self, now_s: float, around: Conditions) -> float:
        """Return the first multiple of the software's period at which it may have to act [s]."""
        period_s, quiet_s = self._rules.clock_steps.period_s, self._quiet_s(around)
        if quiet_s == inf:
            return inf
        number = floor((now_s + quiet_s) / period_s)
        while number * period_s <= now_s + max(quiet_s - _AT_S, _AT_S):
            number += 1
        return number * period_s

    def _quiet_s(self, around: Conditions) -> float:
        """Return the time for which software has nothing to do [s], whatever the load."""
        rules, state, quiet_s = self._rules, self.state, inf
        if self.lost:
            if not self._stays_cool(around):
                return inf
            return self._foresight.fall_s(state, around, rules.below(rules.operating()))
        if rules.is_governed:
            if self.software.is_active or self.hardware.is_slow:
                return 0.0
            predictions = self.software.predictions(around.flow)
            for limit, prediction in zip(rules.operating(), predictions, strict=True):
                rise_s = self._foresight.rise_s(state, around, limit)
                quiet_s = min(quiet_s, rise_s - _LEAD * prediction.horizon_s)
        if rules.refresh is not None and quiet_s > 0.0:
            quiet_s = min(quiet_s, self._refresh_quiet_s(rules.refresh, around))
        return max(quiet_s, 0.0)

    def _refresh_quiet_s(self, refresh: Refresh, around: Conditions) -> float:
        """Return the time for which the refresh rate stays [s], whatever the load."""
        state, quiet_s = self.state, inf
        rates = ((1.0, refresh.double_c), (refresh.double_share, refresh.quadruple_c))
        for share, limit_c in rates:
            if self.refresh == share:
                quiet_s = self._foresight.rise_s(state, around, Threshold(MEMORY, limit_c))
        if self.refresh < 1.0:
            is_double = self.refresh > refresh.quadruple_share
            limit_c = refresh.double_c if is_double else refresh.quadruple_c
            ends = self._rules.below([Threshold(MEMORY, limit_c)])
            quiet_s = min(quiet_s, self._foresight.fall_s(state, around, ends))
        return quiet_s

    def _hardware_s(self, now_s: float, around: Conditions) -> float:
        """Return the time until hardware can have something to do [s], at least its period."""
        if (threshold := self.hardware.threshold()) is None:
            return inf
        rise_s = self._foresight.rise_s(self.state, around, threshold)
        return max(min(self.hardware.held_s(now_s), rise_s), self._rules.slowdown_period_s)
