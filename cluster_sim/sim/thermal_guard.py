"""ThermalGuard: protection of the devices of one thermal group against heat."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import ceil, inf

from cluster_sim.deployment.device_power import DrawnPower
from cluster_sim.deployment.temperatures import last_temperatures
from cluster_sim.deployment.thermal_groups import ThermalGroup
from cluster_sim.hardware.device import Device
from cluster_sim.hardware.memory import Refresh
from cluster_sim.hardware.power_and_cooling import GovernorSpec, Limits
from cluster_sim.physics.cooling import bandwidth_left
from cluster_sim.physics.thermal import DIE, MEMORY
from cluster_sim.sim.device_clock import clock_steps
from cluster_sim.sim.thermal_foresight import (
    AT_K,
    ThermalForesight,
    Threshold,
    is_at_any,
    is_below_all,
)
from cluster_sim.typing import Array

_PERIOD_S, _RISE_S, _HYSTERESIS_K = 0.05, 0.1, 3.0  # for devices whose file has no governor
_AT_S = 1e-9
"""Difference below which a time counts as due [s]."""


@dataclass(frozen=True)
class ThrottleRules:
    """Throttling rules of a device."""

    limits: Limits | None
    governor: GovernorSpec | None
    refresh: Refresh | None
    clock_step: float
    """Step of the clock, as a share of the highest clock."""
    max_steps_down: int
    """Maximum number of steps by which software lowers the clock."""
    fall_s: float
    """Minimum time between two steps down, and control period [s]."""
    rise_s: float
    """Minimum time between two steps up [s]."""
    band_k: float
    """Hysteresis: distance below a limit at which the limit is released [K]."""

    @classmethod
    def of(cls, device: Device) -> ThrottleRules:
        """Return the rules of a device; its periods are assumed if its file has no governor."""
        governor = device.governor
        step, floor = clock_steps(governor)
        fall_s, rise_s, band_k = _PERIOD_S, _RISE_S, _HYSTERESIS_K
        if governor is not None:
            fall_s, rise_s = governor.fall_period_s, governor.rise_period_s
            band_k = governor.hysteresis_kelvin
        max_steps_down = int((1.0 - floor) / step + 1e-9)
        return cls(
            device.limits, governor, device.refresh, step, max_steps_down, fall_s, rise_s, band_k
        )


class ThermalGuard:
    """State machine of the devices of one thermal group, which reacts to their temperatures.

    It has no clock: the caller passes the time.
    """

    def __init__(self, group: ThermalGroup, state: Array) -> None:
        self.group = group
        self.state = state
        """Present temperatures [degC]."""
        self.name = group.devices()[0]
        """Name of the first device of the group."""
        self.steps_down = 0
        """Number of steps by which software has lowered the clock."""
        self.slowing = False
        """Whether the clock must not rise: from the operating limit until the end of the
        hysteresis."""
        self.halved = False
        """Whether hardware has lowered the clock, above the slowdown limit."""
        self.lost = False
        """Whether the devices have shut down and are not cool yet."""
        self.refresh = 1.0
        """Share of the memory bandwidth that refresh leaves."""
        self._rules = ThrottleRules.of(group.pool.node.device)
        self._foresight = ThermalForesight(group, self._rules.fall_s)
        self._changed_s = self._halved_s = -inf  # last steps by software and hardware
        self._told = (1.0, 1.0, "")

    @property
    def clock(self) -> float:
        """Present clock, as a share of the highest clock."""
        governor = self._rules.governor
        factor = governor.slowdown_factor if self.halved and governor is not None else 1.0
        return factor * (1.0 - self.steps_down * self._rules.clock_step)

    @property
    def reason(self) -> str:
        """Reason for a lowered clock, in NVML's terms; empty if it is not lowered."""
        if self.lost:
            return "lost"
        if self.halved:
            return "hw_thermal_slowdown"
        return "sw_thermal_slowdown" if self.steps_down else ""

    def change(self) -> tuple[float, float, str] | None:
        """Return (clock, refresh, reason) if they have changed since the last call, else None."""
        now = (self.clock, self.refresh, self.reason)
        if now == self._told:
            return None
        self._told = now
        return now

    def _over_k(self, below_k: float = 0.0) -> float:
        """Return the excess of temperatures over their operating limits minus `below_k` [K]."""
        limits = self._rules.limits
        assert limits is not None
        over_k = float(self.state[DIE]) - limits.operating_c
        if limits.memory_c is not None and len(self.state) > 3:
            over_k = max(over_k, float(self.state[MEMORY]) - limits.memory_c)
        return over_k + below_k

    def warm(self, own: DrawnPower, front: DrawnPower | None) -> None:
        """Advance the temperatures, given the power of the devices and of those upstream."""
        self.state = last_temperatures(self.group, self.state, own, front)

    def act(self, now_s: float) -> None:
        """Act on the present temperatures."""
        rules = self._rules
        if self.lost:
            if self._is_cool:
                self.lost, self.slowing, self.halved, self.steps_down = False, False, False, 0
            return
        if rules.limits is not None:
            self._act_on_limits(rules.limits, now_s)
        if rules.refresh is not None and len(self.state) > 3:
            memory_c = float(self.state[MEMORY])
            # higher refresh rate immediately, lower only after the hysteresis
            least = bandwidth_left(rules.refresh, memory_c + rules.band_k - AT_K)
            most = bandwidth_left(rules.refresh, memory_c + AT_K)
            self.refresh = min(max(self.refresh, least), most)

    @property
    def _is_cool(self) -> bool:
        """Whether devices that have shut down can start again.

        They can at the operating limit minus the hysteresis. This is an estimate: NVIDIA publishes
        no rule for the start after a thermal shutdown.
        """
        return self._over_k(self._rules.band_k) <= AT_K

    def _act_on_limits(self, limits: Limits, now_s: float) -> None:
        rules, die_c = self._rules, float(self.state[DIE]) + AT_K
        if die_c >= limits.shutdown_c:
            self.lost = True
            return
        if rules.governor is None:
            return
        over_k, cooled = self._over_k() + AT_K, self._over_k(rules.band_k) <= AT_K
        hold_s = rules.governor.slowdown_hold_s
        if die_c >= limits.slowdown_c:
            if not self.halved:
                self.halved, self._halved_s = True, now_s
        elif self.halved and cooled and now_s + _AT_S >= self._halved_s + hold_s:
            self.halved = False
        if over_k >= 0.0:
            self.slowing = True
            if now_s + _AT_S >= self._changed_s + rules.fall_s:
                self._step(max(ceil(over_k - 2.0 * AT_K), 1), now_s)
        elif cooled:
            self.slowing = False
        if not self.slowing and self.steps_down and now_s + _AT_S >= self._changed_s + rules.rise_s:
            self._step(-1, now_s)

    def _step(self, steps: int, now_s: float) -> None:
        down = min(max(self.steps_down + steps, 0), self._rules.max_steps_down)
        if down != self.steps_down:
            self.steps_down, self._changed_s = down, now_s

    def safe_s(self, now_s: float) -> float:
        """Return the time for which no action can be needed [s]; at least the control period.

        The time is valid for any load of the devices and of those upstream of them.
        """
        group, period_s = self.group, self._rules.fall_s
        due_s = min(group.climate.next_change_s(now_s) - now_s, self._timers_s(now_s))
        around = group.climate.conditions(now_s)
        if due_s > period_s and (above := self._thresholds_above()):
            happens = partial(is_at_any, thresholds=above)
            heats = group.greatest(around)
            due_s = min(due_s, self._foresight.quiet_s(self.state, around, heats, happens))
        for below in self._thresholds_below():
            if due_s > period_s:
                happens = partial(is_below_all, thresholds=below)
                heats = [group.least(around)]
                due_s = min(due_s, self._foresight.quiet_s(self.state, around, heats, happens))
        return max(due_s, period_s)

    def _timers_s(self, now_s: float) -> float:
        """Return the time until the next change at the present temperatures [s]."""
        rules, due_s = self._rules, inf
        if self.lost:
            return inf
        if rules.limits is not None and rules.governor is not None:
            if self._over_k() + AT_K >= 0.0 and self.steps_down < rules.max_steps_down:
                due_s = self._changed_s + rules.fall_s - now_s
            elif not self.slowing and self.steps_down:
                due_s = self._changed_s + rules.rise_s - now_s
            if self.halved and self._over_k(rules.band_k) <= AT_K:
                due_s = min(due_s, self._halved_s + rules.governor.slowdown_hold_s - now_s)
        return due_s

    def _operating(self, limits: Limits) -> list[Threshold]:
        thresholds = [(DIE, limits.operating_c)]
        if len(self.state) > 3 and limits.memory_c is not None:
            thresholds.append((MEMORY, limits.memory_c))
        return thresholds

    def _thresholds_above(self) -> list[Threshold]:
        """Return the thresholds at which a rise causes an action."""
        rules, above = self._rules, list[Threshold]()
        if self.lost:
            return above
        if rules.limits is not None:
            above.append((DIE, rules.limits.shutdown_c))
            if rules.governor is not None and self.steps_down < rules.max_steps_down:
                above += self._operating(rules.limits)
            if rules.governor is not None and not self.halved:
                above.append((DIE, rules.limits.slowdown_c))
        if (refresh := rules.refresh) is not None and len(self.state) > 3:
            if self.refresh == 1.0:
                above.append((MEMORY, refresh.double_c))
            elif self.refresh > refresh.quadruple_share:
                above.append((MEMORY, refresh.quadruple_c))
        return above

    def _thresholds_below(self) -> list[list[Threshold]]:
        """Return groups of thresholds; a fall below all thresholds of a group causes an action."""
        rules, below = self._rules, list[list[Threshold]]()
        is_governed = rules.governor is not None and (self.slowing or self.halved)
        if rules.limits is not None and (self.lost or is_governed):
            operating = self._operating(rules.limits)
            below.append([(place, limit_c - rules.band_k) for place, limit_c in operating])
        if self.lost:
            return below
        if (refresh := rules.refresh) is not None and len(self.state) > 3 and self.refresh < 1.0:
            is_doubled = self.refresh > refresh.quadruple_share
            from_c = refresh.double_c if is_doubled else refresh.quadruple_c
            below.append([(MEMORY, from_c - rules.band_k)])
        return below
