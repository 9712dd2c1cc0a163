"""SoftwareSlowdown: controller that lowers a clock so that temperatures hold their limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from cluster_sim.deployment.thermal_groups import ThermalGroup
from cluster_sim.physics.power import FLOOR_V
from cluster_sim.physics.thermal import Heat
from cluster_sim.sim.thermal_foresight import Prediction, Threshold

_CLOCK_ON_POWER = 1.0 + 2.0 * (1.0 - FLOOR_V)
"""Exponent of the clock in f V², at the highest clock."""
_AT_S = 1e-9
"""Difference below which a time counts as due [s]."""


@dataclass(frozen=True)
class ClockSteps:
    """Steps in which software changes a clock, and their timing."""

    step: float
    """Size of a step, as a share of the highest clock."""
    max_steps_down: int
    """Maximum number of steps down."""
    period_s: float
    """Time between two decisions [s]."""
    response_s: float
    """Time within which a temperature shall reach its limit [s]."""
    rise_s: float
    """Minimum time between two steps up [s]; 0 if there is none."""


class SoftwareSlowdown:
    """Incremental controller of a clock, with the temperatures that the device is heading for.

    Each period the temperature of every limited place is predicted a horizon ahead, for the present
    state of the thermal network and the mean heat of the last period. The clock moves by the share
    period / horizon of the steps that would take the prediction to its limit; of several places the
    one that asks for the lowest clock decides. So the clock settles where the predicted, and
    therefore the steady, temperature is at its limit, and then moves by single steps at most.

    The number of steps follows from the heat of one step. It is assumed that all power above that
    of idle kernels goes as f V², which is the most that a step can do: where it does less, the
    limit is approached more slowly, without overshoot.

    The law is an integral controller with internal model (see Skogestad, Journal of Process Control
    13 (2003) 291). What NVIDIA's driver does is not published: this is an estimate.
    """

    def __init__(self, group: ThermalGroup, limits: Sequence[Threshold], steps: ClockSteps) -> None:
        self.steps_down = 0
        """Number of steps by which the clock is lowered."""
        self._group, self._limits, self._steps = group, limits, steps
        power = group.power
        self._step_w = steps.step * _CLOCK_ON_POWER * max(power.limit_w - power.busy_w, 1.0)
        self._level, self._rose_s = 0.0, -inf
        self._by_flow: dict[float, list[Prediction]] = {}

    @property
    def is_active(self) -> bool:
        """Whether the clock is lowered, or about to be."""
        return self._level > 0.0 or self.steps_down > 0

    def predictions(self, flow: float) -> list[Prediction]:
        """Return the prediction for each of the limits, at a share of the coolant's flow."""
        if (known := self._by_flow.get(flow)) is None:
            network, response_s = self._group.network(flow), self._steps.response_s
            known = self._by_flow[flow] = [
                Prediction.of(network, limit.place, response_s) for limit in self._limits
            ]
        return known

    def reset(self) -> None:
        """Return to the highest clock."""
        self._level, self.steps_down = 0.0, 0

    def decide(self, now_s: float, state: Sequence[float], heat: Heat, flow: float) -> None:
        """Move the clock once, given the present temperatures and the mean heat of late."""
        period_s = self._steps.period_s
        moves = (
            (prediction.temperature_c(state, heat) - limit.limit_c)
            / (prediction.of_heat[0] * self._step_w)
            * min(period_s / prediction.horizon_s, 1.0)
            for limit, prediction in zip(self._limits, self.predictions(flow), strict=True)
        )
        level = self._level + max(moves)
        self._level = min(max(level, 0.0), float(self._steps.max_steps_down))
        self._follow(now_s)

    def _follow(self, now_s: float) -> None:
        """Take whole steps towards the level; a fraction of a step moves nothing."""
        moved = int(self._level - self.steps_down)
        if moved < 0 and self._steps.rise_s:
            moved = -1 if now_s + _AT_S >= self._rose_s + self._steps.rise_s else 0
            self._level = max(self._level, self.steps_down - 1.0)
        if moved < 0:
            self._rose_s = now_s
        self.steps_down += moved
