"""HardwareSlowdown: slowdown and shutdown of devices by their own hardware."""

from __future__ import annotations

from math import inf

from cluster_sim.physics.thermal import DIE
from cluster_sim.sim.thermal_foresight import AT_K, Threshold
from cluster_sim.sim.throttle_rules import ThrottleRules

_AT_S = 1e-9
"""Difference below which a time counts as due [s]."""


class HardwareSlowdown:
    """Hardware that halves the clock of a hot die at once, and shuts down a hotter one.

    A slowdown lasts for its minimum duration, and ends when the die is below the operating limit.
    """

    def __init__(self, rules: ThrottleRules) -> None:
        self.is_slow = False
        """Whether the clock is lowered, above the slowdown limit."""
        self.is_lost = False
        """Whether the devices have shut down and have not been started again."""
        self._rules, self._slow_s = rules, 0.0

    @property
    def factor(self) -> float:
        """Share of the clock that the hardware leaves."""
        governor = self._rules.governor
        return governor.slowdown_factor if self.is_slow and governor is not None else 1.0

    def restart(self) -> None:
        """Start again after a shutdown."""
        self.is_slow = self.is_lost = False

    def act(self, now_s: float, die_c: float) -> None:
        """Shut down, or slow down at once, or end the slowdown."""
        limits, governor = self._rules.limits, self._rules.governor
        if limits is None:
            return
        if die_c + AT_K >= limits.shutdown_c:
            self.is_lost = True
        elif governor is None:
            return
        elif die_c + AT_K >= limits.slowdown_c:
            if not self.is_slow:
                self.is_slow, self._slow_s = True, now_s
        elif self.is_slow and now_s + _AT_S >= self._slow_s + governor.slowdown_hold_s:
            self.is_slow = die_c + AT_K >= limits.operating_c

    def threshold(self) -> Threshold | None:
        """Return the next temperature of the die at which the hardware acts; None if none."""
        limits = self._rules.limits
        if self.is_lost or limits is None:
            return None
        if self.is_slow or self._rules.governor is None:
            return Threshold(DIE, limits.shutdown_c)
        return Threshold(DIE, min(limits.slowdown_c, limits.shutdown_c))

    def held_s(self, now_s: float) -> float:
        """Return the time until the minimum duration of a slowdown ends [s]; inf if it has."""
        governor = self._rules.governor
        if not self.is_slow or governor is None:
            return inf
        left_s = self._slow_s + governor.slowdown_hold_s - now_s
        return left_s if left_s > _AT_S else inf
