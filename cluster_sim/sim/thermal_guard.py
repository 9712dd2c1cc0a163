"""ThermalGuard: protection of the devices of one thermal group against heat."""

from __future__ import annotations

from math import floor, inf
from typing import NamedTuple

from cluster_sim.deployment.climate import Conditions
from cluster_sim.deployment.device_power import DrawnPower
from cluster_sim.deployment.temperatures import last_temperatures, mean_powers
from cluster_sim.deployment.thermal_groups import ThermalGroup
from cluster_sim.hardware.memory import Refresh
from cluster_sim.hardware.power_and_cooling import Limits
from cluster_sim.physics.cooling import bandwidth_left
from cluster_sim.physics.thermal import DIE, MEMORY
from cluster_sim.sim.software_slowdown import SoftwareSlowdown
from cluster_sim.sim.thermal_foresight import AT_K, ThermalForesight, Threshold
from cluster_sim.sim.throttle_rules import ThrottleRules
from cluster_sim.typing import Array

_LEAD = 0.25
"""Time before a limit could be reached at which software begins to look, as a share of the horizon
of its prediction. The greatest heat is assumed until then, so that a limit is hardly ever near."""
_AT_S = 1e-9
"""Difference below which a time counts as due [s]."""


class _Energies(NamedTuple):
    """Energies since the last decision of the software, and the time since then."""

    of_device_j: float = 0.0
    of_memory_j: float = 0.0
    of_front_j: float = 0.0
    elapsed_s: float = 0.0


class ThermalGuard:
    """State machine of the devices of one thermal group, which reacts to their temperatures.

    It has no clock: the caller passes the time. Software decides at multiples of its period.
    Hardware is looked at in between, whenever it could have something to do.
    """

    def __init__(self, group: ThermalGroup, state: Array) -> None:
        self.group = group
        self.state = state
        """Present temperatures [degC]."""
        self.name = group.devices()[0]
        """Name of the first device of the group."""
        self.halved = False
        """Whether hardware has lowered the clock, above the slowdown limit."""
        self.lost = False
        """Whether the devices have shut down and are not cool yet."""
        self.refresh = 1.0
        """Share of the memory bandwidth that refresh leaves."""
        device = group.pool.node.device
        self._rules = ThrottleRules.of(device, has_memory=len(state) > 3)
        self.software = SoftwareSlowdown(group, self._rules.operating(), self._rules.clock_steps)
        self._foresight = ThermalForesight(group, self._rules.slowdown_period_s)
        self._energies = _Energies()
        self._halved_s = self._decides_s = self.looks_s = 0.0
        self._told = (1.0, 1.0, "")

    @property
    def clock(self) -> float:
        """Present clock, as a share of the highest clock."""
        governor = self._rules.governor
        factor = governor.slowdown_factor if self.halved and governor is not None else 1.0
        return factor * (1.0 - self.software.steps_down * self._rules.clock_steps.step)

    @property
    def reason(self) -> str:
        """Reason for a lowered clock, in NVML's terms; empty if it is not lowered."""
        if self.lost:
            return "lost"
        if self.halved:
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
        """Advance the temperatures, given the power of the devices and of those upstream."""
        self.state = last_temperatures(self.group, self.state, own, front)
        (of_device_w, of_memory_w), elapsed_s = mean_powers(own), own.edges_s[-1] - own.edges_s[0]
        of_front_w = 0.0 if front is None else mean_powers(front)[0]
        device_j, memory_j, front_j, before_s = self._energies
        self._energies = _Energies(
            device_j + of_device_w * elapsed_s,
            memory_j + of_memory_w * elapsed_s,
            front_j + of_front_w * elapsed_s,
            before_s + float(elapsed_s),
        )

    def act(self, now_s: float) -> None:
        """Act on the present temperatures."""
        if self.lost:
            if self._is_cool:
                self.lost = self.halved = False
                self.software.reset()
            return
        limits = self._rules.limits
        if limits is not None:
            self._act_as_hardware(limits, now_s)
        if now_s + _AT_S >= self._decides_s:
            self._act_as_software(now_s)

    @property
    def _is_cool(self) -> bool:
        """Whether devices that have shut down can start again.

        They can at the operating limits minus the hysteresis. This is an estimate: NVIDIA publishes
        no rule for the start after a thermal shutdown.
        """
        cool = self._rules.below(self._rules.operating())
        return all(float(self.state[place]) <= limit_c + AT_K for place, limit_c in cool)

    def _act_as_hardware(self, limits: Limits, now_s: float) -> None:
        """Shut down, or slow down at once, or end the slowdown."""
        die_c, governor = float(self.state[DIE]) + AT_K, self._rules.governor
        if die_c >= limits.shutdown_c:
            self.lost = True
        elif governor is None:
            return
        elif die_c >= limits.slowdown_c:
            if not self.halved:
                self.halved, self._halved_s = True, now_s
        elif self.halved and now_s + _AT_S >= self._halved_s + governor.slowdown_hold_s:
            self.halved = die_c >= limits.operating_c

    def _act_as_software(self, now_s: float) -> None:
        """Move the clock by steps, and set the refresh rate of the memory."""
        rules, around = self._rules, self.group.around(now_s).conditions
        device_j, memory_j, front_j, elapsed_s = self._energies
        is_governed = rules.limits is not None and rules.governor is not None
        if is_governed and not self.halved and elapsed_s > 0.0:
            heat = self.group.heat(
                around, device_j / elapsed_s, memory_j / elapsed_s, front_j / elapsed_s
            )
            self.software.decide(now_s, self.state.tolist(), heat, around.flow)
        self._energies = _Energies()
        if rules.refresh is not None:
            memory_c = float(self.state[MEMORY])
            # higher refresh rate immediately, lower only after the hysteresis
            least = bandwidth_left(rules.refresh, memory_c + rules.band_k - AT_K)
            most = bandwidth_left(rules.refresh, memory_c + AT_K)
            self.refresh = min(max(self.refresh, least), most)

    def next_s(self, now_s: float) -> float:
        """Return `looks_s` anew after a look: the time of the next one [s].

        Nothing can happen before, under any load of the devices and of those upstream of them.
        """
        around, _, changes_s = self.group.around(now_s)
        self._decides_s = self._next_decision_s(now_s, around)
        hard_s = now_s + self._hardware_s(now_s, around)
        self.looks_s = min(self._decides_s, hard_s, changes_s)
        return self.looks_s

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
        rules, quiet_s = self._rules, inf
        if self.lost:
            return self._foresight.fall_s(self.state, around, rules.below(rules.operating()))
        if rules.governor is not None:
            if self.software.is_active or self.halved:
                return 0.0
            predictions = self.software.predictions(around.flow)
            for limit, prediction in zip(rules.operating(), predictions, strict=True):
                rise_s = self._foresight.rise_s(self.state, around, limit)
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
                limit = Threshold(MEMORY, limit_c)
                quiet_s = self._foresight.rise_s(state, around, limit)
        if self.refresh < 1.0:
            is_double = self.refresh > refresh.quadruple_share
            limit_c = refresh.double_c if is_double else refresh.quadruple_c
            ends = self._rules.below([Threshold(MEMORY, limit_c)])
            quiet_s = min(quiet_s, self._foresight.fall_s(state, around, ends))
        return quiet_s

    def _hardware_s(self, now_s: float, around: Conditions) -> float:
        """Return the time until hardware can have something to do [s], at least its period."""
        rules, due_s = self._rules, inf
        if self.lost or rules.limits is None:
            return inf
        limit_c = rules.limits.shutdown_c
        if rules.governor is not None and not self.halved:
            limit_c = min(limit_c, rules.limits.slowdown_c)
        elif rules.governor is not None:
            ends_s = self._halved_s + rules.governor.slowdown_hold_s
            due_s = ends_s - now_s if ends_s > now_s + _AT_S else inf
        rise_s = self._foresight.rise_s(self.state, around, Threshold(DIE, limit_c))
        return max(min(due_s, rise_s), rules.slowdown_period_s)
