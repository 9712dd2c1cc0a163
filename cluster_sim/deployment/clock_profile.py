"""Profile of a replica: times and power of its engine steps at each clock.

A frequency policy in a datacentre has such a table from measurements of its devices. Here it
follows from the simulator's own step times and power model. Nothing else uses the memories and
links, and the devices are cool.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil
from typing import NamedTuple

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.deployment.step_draw import StepDraw
from cluster_sim.hardware.clock_grid import ClockGrid
from cluster_sim.hardware.operating_point import FULL_SPEED
from cluster_sim.physics.limited_view import LimitedView, causal_pairs
from cluster_sim.physics.power import idle_at_clock_w
from cluster_sim.physics.step_work import StepWork

_CONTEXT_TOKENS, _PROMPT_TOKENS = 512, 128
"""Distances between the contexts and the prompts of a profile [tokens]; others take the next one
above."""
_KEPT = 1 << 14
"""Number of steps that a profile keeps."""


class _Step(NamedTuple):
    """Engine step at one clock."""

    seconds: float
    watts: float
    """Power of one device [W]."""


def clock_grid(deployment: Deployment) -> ClockGrid | None:
    """Return the clocks to which the devices of a deployment can be locked; None if unknown.

    Nothing is public about locking the clock of a wafer.
    """
    device = deployment.device
    if device.governor is None or device.power is None or device.wafer is not None:
        return None
    return ClockGrid.of(device.governor)


class DeploymentProfile:
    """Times and power of the steps of one replica of a deployment: a ClockProfile."""

    def __init__(self, deployment: Deployment) -> None:
        grid = clock_grid(deployment)
        assert grid is not None and deployment.device.power is not None
        self._deployment, self._power = deployment, deployment.device.power
        self._draw = StepDraw(deployment)
        self.grid = grid
        """Clocks to which the devices can be locked."""
        self.max_sequences = deployment.pool.max_sequences
        """Number of batch slots."""
        self._view = LimitedView.of(deployment.model)
        self._known = lru_cache(_KEPT)(self._decode)
        self._known_prefill = lru_cache(_KEPT)(self._prefill)

    def decode_s(self, sequences: int, context_tokens: float, clock: float) -> float:
        """Return the length of a step in which sequences decode with this context together [s]."""
        return self._known(
            sequences, _up(context_tokens / sequences, _CONTEXT_TOKENS), clock
        ).seconds

    def decode_w(self, sequences: int, context_tokens: float, clock: float) -> float:
        """Return the power of one device in such a decode step [W]."""
        return self._known(sequences, _up(context_tokens / sequences, _CONTEXT_TOKENS), clock).watts

    def prefill_s(self, tokens: float, clock: float) -> float:
        """Return the length of the steps that prefill a prompt of `tokens` tokens [s].

        A long prompt takes as many whole steps as its tokens fill.
        """
        most = self._deployment.pool.max_batched_tokens
        if tokens > most:
            return tokens / most * self._known_prefill(most, clock).seconds
        return self._known_prefill(_up(tokens, _PROMPT_TOKENS), clock).seconds

    def prefill_w(self, tokens: float, clock: float) -> float:
        """Return the power of one device in steps that prefill such a prompt [W]."""
        most = self._deployment.pool.max_batched_tokens
        return self._known_prefill(min(_up(tokens, _PROMPT_TOKENS), most), clock).watts

    def idle_w(self, clock: float) -> float:
        """Return the power of one device that holds the model and runs no step [W]."""
        return float(idle_at_clock_w(self._power, clock))

    def _decode(self, sequences: int, context_each: int, clock: float) -> _Step:
        context = sequences * context_each
        seen = min(context_each, self._view.tokens) if self._view.tokens else 0
        work = StepWork(
            batch=sequences,
            counted=sequences,
            sampled=sequences,
            growth=sequences,
            context=context,
            windowed=sequences * seen,
            longest=context_each,
        )
        return self._step(work, clock)

    def _prefill(self, tokens: int, clock: float) -> _Step:
        work = StepWork(
            prompt_tokens=tokens,
            sampled=1,
            pairs=causal_pairs(tokens, 0),
            window_pairs=self._view.pairs(tokens, 0) if self._view.tokens else 0,
        )
        return self._step(work, clock)

    def _step(self, counts: StepWork, clock: float) -> _Step:
        """Return a step at a clock, given as a share of the highest clock.

        An operating point has a share of the clock that the board's own power limit allows.
        """
        deployment, draw = self._deployment, self._draw
        lines = draw.lines(counts)
        seconds = deployment.times_at(FULL_SPEED).ramp(counts).first_s
        share = min(clock / draw.own_clock(lines, 0, seconds), 1.0)
        if share < 1.0:
            seconds = deployment.times_at(FULL_SPEED._replace(clock=share)).ramp(counts).first_s
        return _Step(seconds, draw.watts(lines, 0, seconds, share))


def _up(tokens: float, each: int) -> int:
    """Return the next multiple of `each` from `tokens` on; at least one."""
    return max(ceil(tokens / each), 1) * each
