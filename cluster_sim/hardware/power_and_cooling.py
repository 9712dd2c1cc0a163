"""Power that a device draws, and the path of its heat."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import model_validator

from cluster_sim.hardware.precision import Precision, given_or_wider
from cluster_sim.schema import Description
from cluster_sim.typing import Count
from cluster_sim.units import (
    BytesPerSecond,
    Celsius,
    JoulesPerByte,
    JoulesPerFlop,
    JoulesPerKelvin,
    KelvinPerWatt,
    PositiveKelvinPerWatt,
    PositiveSeconds,
    Quantity,
    Watts,
)


class FlopEnergy(Description):
    """Energy per FLOP by precision at the highest clock.

    By default fp8 and fp4 use the energy of the next wider precision.
    """

    bf16_j_per_flop: JoulesPerFlop
    """Energy per FLOP in bf16 [J/FLOP]."""
    fp8_j_per_flop: JoulesPerFlop | None = None
    """Energy per FLOP in fp8 [J/FLOP]. Default: that of bf16."""
    fp4_j_per_flop: JoulesPerFlop | None = None
    """Energy per FLOP in fp4 [J/FLOP]. Default: that of fp8."""
    attention_j_per_flop: JoulesPerFlop | None = None
    """Energy per FLOP of attention, softmax included [J/FLOP]. Default: that of bf16."""
    expert_j_per_flop: JoulesPerFlop | None = None
    """Energy per FLOP of the chosen experts of a mixture [J/FLOP]. Their many small products keep
    processors busy with little arithmetic. Default: that of other products."""

    def of(self, precision: Precision) -> float:
        """Return the energy per FLOP of a matrix product of weights in `precision` [J/FLOP]."""
        return given_or_wider(
            precision, self.bf16_j_per_flop, self.fp8_j_per_flop, self.fp4_j_per_flop
        )

    def of_experts(self, precision: Precision) -> float:
        """Return the energy per FLOP of experts with weights in `precision` [J/FLOP]."""
        return self.of(precision) if self.expert_j_per_flop is None else self.expert_j_per_flop

    @property
    def of_attention(self) -> float:
        """Energy per FLOP of attention [J/FLOP]."""
        return (
            self.bf16_j_per_flop if self.attention_j_per_flop is None else self.attention_j_per_flop
        )


class Leakage(Description):
    """Leakage of a device, which grows with the temperature of its die.

    `physics.leakage` has the equation. It counts only where temperatures are simulated.
    """

    at_60_w: Watts
    """Leakage at a die of 60 degC [W], a part of the other figures of the power."""
    reference_c: Celsius
    """Temperature of the coolant that reached the boards whose power was measured [degC]. In such
    coolant the leakage is that in the other figures."""


class Power(Description):
    """Power of a device's whole board, memory included.

    `physics.power` combines the constants.
    """

    limit_w: Watts
    """Power limit of the board [W]. The board lowers its clock to stay within the limit."""
    idle_w: Watts
    """Power without a CUDA context, at the lowest clock [W]."""
    loaded_idle_w: Watts
    """Power with a loaded model and no running work, at the highest clock [W]. At a lower clock it
    is lower, down to `idle`."""
    busy_w: Watts
    """Power during kernels that do almost no work, with clocks up [W]."""
    active_w: Annotated[float, Quantity("W", "170 W", least=0.0)] = 0.0
    """Additional power while the processors hold work at the highest clock, independent of the
    bytes and FLOP of the work [W]."""
    full_traffic_bytes_per_s: BytesPerSecond | None = None
    """Memory traffic at which the processors hold work all the time [B/s]. At lower rates they hold
    work for a share of the time. Default: they hold work during whole steps."""
    full_arithmetic_w: Watts | None = None
    """Power of arithmetic at which the processors hold work all the time, at the voltage of the
    highest clock [W]. Default: they hold work during whole steps."""
    stages_w: Annotated[float, Quantity("W", "7 kW", least=0.0)] = 0.0
    """Additional power of a wafer while all of its pipeline stages hold work, at the highest clock
    [W]. It follows the share of the stages that hold work."""
    leakage: Leakage | None = None
    """Leakage by the temperature of the die. Default: power does not depend on temperature."""
    memory_j_per_byte: JoulesPerByte
    """Energy per byte that crosses the memory bus, including its way to the registers [J/B]."""
    flop: FlopEnergy
    """Energy of the arithmetic, per FLOP."""
    memory_idle_w: Watts | None = None
    """Part of the idle power that heats the memory [W]. Default: the memory has no temperature of
    its own, as on a wafer."""
    memory_part_j_per_byte: JoulesPerByte = 0.0
    """Part of the energy per byte that heats the memory [J/B]."""

    @model_validator(mode="after")
    def _full_rates_are_whole(self) -> Power:
        if (self.full_traffic_bytes_per_s is None) != (self.full_arithmetic_w is None):
            raise ValueError(
                "expected 'full_traffic' and 'full_arithmetic' together, or without both"
            )
        if self.full_traffic_bytes_per_s is not None and not self.memory_j_per_byte:
            raise ValueError("got 'full_traffic' and no energy per byte; expected 'memory' above 0")
        return self

    @property
    def full_traffic_w(self) -> float | None:
        """Power of the memory traffic at which the processors hold work all the time [W]."""
        full = self.full_traffic_bytes_per_s
        return None if full is None else self.memory_j_per_byte * full


class Cooling(Description):
    """Path of one device's heat: a linear network of die, memory and heat sink (or cold plate).

    `physics.thermal` combines the constants.
    """

    medium: Literal["air", "liquid"]
    """Coolant that carries the heat away."""
    die_to_sink_k_per_w: PositiveKelvinPerWatt
    """Thermal resistance from the die to the heat sink [K/W]."""
    memory_to_sink_k_per_w: PositiveKelvinPerWatt | None = None
    """Thermal resistance from the memory to the heat sink [K/W]. Default: the memory is on the die,
    and the two other figures of the memory are omitted too."""
    die_to_memory_k_per_w: PositiveKelvinPerWatt | None = None
    """Thermal resistance between die and memory [K/W]. Default: the memory is on the die."""
    sink_to_coolant_k_per_w: PositiveKelvinPerWatt
    """Thermal resistance from the heat sink to the coolant [K/W]."""
    coolant_rise_k_per_w: KelvinPerWatt
    """Temperature rise of the coolant per watt of the device that it passes [K/W]."""
    preheat_k_per_w: KelvinPerWatt = 0.0
    """Temperature rise of the coolant of a rear device per watt of the device in front of it
    [K/W]."""
    die_j_per_k: JoulesPerKelvin
    """Heat capacity of the die [J/K]."""
    memory_j_per_k: JoulesPerKelvin | None = None
    """Heat capacity of the memory [J/K]. Default: the memory is on the die."""
    sink_j_per_k: JoulesPerKelvin
    """Heat capacity of the heat sink [J/K]."""
    coolant_lag_s: PositiveSeconds
    """Time constant of the coolant's temperature [s]."""
    front: Count | None = None
    """Number of devices that the coolant reaches first. The same number of devices stand behind
    them. Default: no device stands behind another."""

    @model_validator(mode="after")
    def _memory_is_whole(self) -> Cooling:
        parts = (self.memory_to_sink_k_per_w, self.die_to_memory_k_per_w, self.memory_j_per_k)
        if len({part is None for part in parts}) > 1:
            raise ValueError(
                "expected 'memory_to_sink', 'die_to_memory' and 'memory' together, or without all three"
            )
        return self


class InletRating(Description):
    """Range of temperatures of the supply air or water for which the maker rates a node."""

    least_c: Celsius
    """Lowest rated temperature of the inlet [degC]."""
    most_c: Celsius
    """Highest rated temperature of the inlet [degC]."""

    @model_validator(mode="after")
    def _is_a_range(self) -> InletRating:
        if self.least_c >= self.most_c:
            raise ValueError(
                f"got 'least' of {self.least_c:g} degC and 'most' of {self.most_c:g} degC; expected 'least' below 'most'"
            )
        return self
