"""Work and energy of stretches of engine steps: FLOP, bytes and joules, from their counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.hardware.power_and_cooling import Power
from cluster_sim.physics.ramp_energy import RampWork, ramp_energy_j
from cluster_sim.physics.step_power import clock_of
from cluster_sim.physics.step_work import StepWork
from cluster_sim.physics.transformer import (
    AttentionCounts,
    attention_flop,
    expert_flop,
    linear_flop,
    step_weight_bytes,
)
from cluster_sim.typing import Line, Number


class FlopEnergies(NamedTuple):
    """Energies per FLOP of each kind of arithmetic; zeros if they are unknown."""

    products: float = 0.0
    """Energy of products with weights of dense layers [J/FLOP]."""
    experts: float = 0.0
    """Energy of products with weights of experts [J/FLOP]."""
    attention: float = 0.0
    """Energy of attention [J/FLOP]."""


@dataclass(frozen=True)
class StretchWork:
    """Work of stretches over all devices of their replicas.

    Each term is (first, slope) by step: it is constant, or grows by a constant amount per step.
    """

    linear_flop: Line
    """FLOP of matrix products, experts included."""
    expert_flop: Number
    """FLOP of products with experts, a part of `linear_flop`; constant over the steps."""
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
    flop_j: FlopEnergies
    stages_j: Line = (0.0, 0.0)
    """Energy of pipeline stages that hold work, of all devices at the highest clock [J]; zeros
    for other devices than wafers."""

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
        """Energy of the arithmetic of one device at the highest clock, stages included [J]."""
        (linear, _), (attention, grows) = self.linear_flop, self.attention_flop
        products_j, experts_j, attention_j = self.flop_j
        first = products_j * linear + attention_j * attention
        if experts_j != products_j:
            first = first + (experts_j - products_j) * self.expert_flop
        slope = attention_j * grows
        if self.power is not None and self.power.stages_w:
            first, slope = first + self.stages_j[0], slope + self.stages_j[1]
        return first / self.devices, slope / self.devices

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
            self.power, RampWork(seconds, self.moved, self.arithmetic_j, self.steps), at, clock
        )
        return energy_j


def stages_j(deployment: Deployment, counts: StepWork, tokens_per_sequence: int) -> Line:
    """Return the energy of a wafer's pipeline stages that hold work, per step [J].

    It is that of all devices of the replica at the highest clock; zeros for other devices.

    Parameters
    ----------
    deployment
        Deployment of the replica.
    counts
        Counts of the first step of each stretch.
    tokens_per_sequence
        Number of tokens of each decoding sequence per step.
    """
    power, times = deployment.device.power, deployment.wafer_steps
    if times is None or power is None or not power.stages_w:
        return 0.0, 0.0
    all_w = power.stages_w * deployment.devices_per_replica
    first_s, slope_s = times.mean_busy_s(counts, tokens_per_sequence)
    return all_w * first_s, all_w * slope_s


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
    if plan.redundant_experts or not plan.expert_load.is_even:
        weights = weights + deployment.target.more_expert_bytes(tokens)
    traffic = deployment.kv_traffic
    kv = traffic.step_bytes(tokens, counts.context, counts.windowed, counts.batch)
    power, flop_j = device.power, FlopEnergies()
    if power is not None:
        computed_in = device.peak.of(deployment.computed_in)[0]
        flop = power.flop
        flop_j = FlopEnergies(flop.of(computed_in), flop.of_experts(computed_in), flop.of_attention)
    return StretchWork(
        (linear, 0.0),
        expert_flop(model, tokens),
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
        stages_j(deployment, counts, each),
    )
