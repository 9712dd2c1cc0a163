"""Work and energy of stretches of engine steps: FLOP, bytes and joules, from their counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.hardware.power_and_cooling import Power
from cluster_sim.physics.step_power import RampWork, clock_of, ramp_energy_j
from cluster_sim.physics.step_work import StepWork
from cluster_sim.physics.transformer import (
    AttentionCounts,
    attention_flop,
    linear_flop,
    step_weight_bytes,
)
from cluster_sim.typing import Line, Number


@dataclass(frozen=True)
class StretchWork:
    """Work of stretches over all devices of their replicas.

    Each term is (first, slope) by step: it is constant, or grows by a constant amount per step.
    """

    linear_flop: Line
    """FLOP of matrix products."""
    attention_flop: Line
    """FLOP of attention."""
    bytes: Line
    """Bytes that memories move [B]."""
    steps: Number
    """Number of steps."""
    devices: int
    """Number of devices that share the work evenly."""
    power: Power | None
    """Power model of each device; None if it is unknown."""
    flop_j: tuple[float, float]
    """Energy per FLOP of products and of attention [J/FLOP]; zeros if it is unknown."""

    def total(self, line: Line) -> np.ndarray:
        """Return a term summed over each stretch. The middle of the series is its mean."""
        first, slope = line
        total: np.ndarray = self.steps * (first + (self.steps - 1) / 2 * slope)
        return total

    @property
    def moved(self) -> Line:
        """Bytes that the memory of one device moves [B]."""
        return self.bytes[0] / self.devices, self.bytes[1] / self.devices

    @property
    def arithmetic_j(self) -> Line:
        """Energy of the arithmetic of one device at the highest clock [J]."""
        (linear, _), (attention, grows), (linear_j, attention_j) = (
            self.linear_flop,
            self.attention_flop,
            self.flop_j,
        )
        return (
            linear_j * linear + attention_j * attention
        ) / self.devices, attention_j * grows / self.devices

    def energy_j(self, seconds: Line, clock: Number) -> np.ndarray:
        """Return the energy of all devices over each stretch [J].

        The clock that the limit of the board allows is computed for the middle step of each
        stretch.

        Parameters
        ----------
        seconds
            Length of a step, as (first, slope) [s].
        clock
            Share of the highest clock that the devices run at.
        """
        assert self.power is not None
        middle = (self.steps - 1) / 2
        middle_s, moved, arithmetic_j = (
            first + slope * middle for first, slope in (seconds, self.moved, self.arithmetic_j)
        )
        at = clock_of(
            self.power,
            self.power.memory_j_per_byte * moved / middle_s,
            arithmetic_j / middle_s,
            clock,
        )
        energy_j: np.ndarray = self.devices * ramp_energy_j(
            self.power, RampWork(seconds, self.moved, self.arithmetic_j, self.steps), at
        )
        return energy_j


def stretch_counts(rows: Mapping[str, Number]) -> StepWork:
    """Return the counts of the first step of each stretch, from the table of stretches."""
    prompt_tokens = rows["prompt_tokens"]
    return StepWork(
        batch=rows["batch"],
        growth=rows["growth"],
        context=rows["context"],
        windowed=rows["windowed"],
        growing=rows["growing"],
        prompt_tokens=prompt_tokens,
        sampled=rows["sampled"],
        pairs=rows["pairs"],
        window_pairs=rows["windowed_pairs"],
        # Only the chunks of a single prompt follow each other in equal steps.
        pairs_growth=1.0 * prompt_tokens * prompt_tokens,
    )


def work_of(deployment: Deployment, counts: StepWork, steps: Number) -> StretchWork:
    """Return the work of stretches of engine steps.

    Parameters
    ----------
    deployment
        Deployment of the replicas that run the stretches.
    counts
        Counts of the first step of each stretch, as single numbers or arrays.
    steps
        Number of steps of each stretch.

    Returns
    -------
    StretchWork
        FLOP, bytes and energy of the stretches.
    """
    model, pool, device = deployment.model, deployment.pool, deployment.device
    plan = pool.replica
    each = 1 + (plan.speculation.draft_tokens if plan.speculation else 0)
    checked = each * counts.batch
    tokens, sampled = checked + counts.prompt_tokens, counts.sampled - counts.batch + checked
    linear = linear_flop(model, tokens, sampled)
    attention = attention_flop(
        model,
        AttentionCounts(
            each * counts.context,
            each * counts.windowed,
            counts.pairs,
            counts.window_pairs,
            tokens,
        ),
    )
    growing = AttentionCounts(
        each * counts.growth, each * counts.growing, counts.pairs_growth, 0, 0
    )
    weights = step_weight_bytes(
        model, deployment.weights, tokens, weight_reuse=not pool.is_wafer, ranks=plan.data_parallel
    )
    traffic = deployment.kv_traffic
    kv = traffic.step_bytes(tokens, counts.context, counts.windowed, counts.batch)
    power = device.power
    flop_j = (
        (power.flop.of(device.peak.of(deployment.computed_in)[0]), power.flop.of_attention)
        if power
        else (0.0, 0.0)
    )
    return StretchWork(
        (linear, 0.0),
        (
            attention,
            attention_flop(model, growing),
        ),
        (
            weights + kv,
            traffic.step_bytes(0, counts.growth, counts.growing, 0),
        ),
        steps,
        deployment.devices_per_replica,
        power,
        flop_j,
    )
