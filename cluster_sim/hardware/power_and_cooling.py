"""Power that a device draws, the limits it protects itself at, and how its heat leaves it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from cluster_sim.hardware.precision import Precision, Share, widened
from cluster_sim.schema import Description
from cluster_sim.units import (
    Celsius,
    Hertz,
    JoulesPerByte,
    JoulesPerFlop,
    JoulesPerKelvin,
    Kelvin,
    KelvinPerWatt,
    PositiveKelvinPerWatt,
    PositiveSeconds,
    Quantity,
    Seconds,
    Watts,
)


class FlopEnergy(Description):
    """Energy of one FLOP by precision, at the highest clock; fp8 and fp4 fall back to the wider one
    where they are left out.
    """

    bf16_j_per_flop: JoulesPerFlop
    fp8_j_per_flop: JoulesPerFlop | None = None
    fp4_j_per_flop: JoulesPerFlop | None = None
    attention_j_per_flop: JoulesPerFlop | None = None
    """Of attention, its softmax included; default: as bf16."""

    def of(self, precision: Precision) -> float:
        """That of a matrix product of weights in `precision` [J]."""
        return widened(precision, self.bf16_j_per_flop, self.fp8_j_per_flop, self.fp4_j_per_flop)

    @property
    def of_attention(self) -> float:
        """That of attention [J]."""
        return (
            self.bf16_j_per_flop if self.attention_j_per_flop is None else self.attention_j_per_flop
        )


class Power(Description):
    """What a device draws, as `physics.power` puts it together; of the whole board, memory
    included.
    """

    limit_w: Watts
    """The board's power limit, which its clock is lowered to keep."""
    idle_w: Watts
    """Without a context."""
    loaded_idle_w: Watts
    """With a model loaded, while nothing runs."""
    busy_w: Watts
    """While kernels run that do next to nothing: clocks are up."""
    active_w: Annotated[float, Quantity("W", "170 W", least=0.0)] = 0.0
    """More while the processors hold work, at the highest clock, whatever the work moves and
    computes."""
    memory_j_per_byte: JoulesPerByte
    """Of a byte that crosses the memory bus, on its way to the registers included."""
    flop: FlopEnergy
    """Of the arithmetic."""
    memory_idle_w: Watts | None = None
    """Share of the idle power that warms the memory; left out where it is no part of its own, as on
    a wafer."""
    memory_part_j_per_byte: JoulesPerByte = 0.0
    """Share of a byte's energy that warms the memory."""


class Limits(Description):
    """Temperatures at which a device protects itself."""

    operating_c: Celsius
    """Highest it is meant to run at; above, software lowers the clock."""
    slowdown_c: Celsius
    """At which hardware halves the clock at once."""
    shutdown_c: Celsius
    """At which it is lost."""
    memory_c: Celsius | None = None
    """Highest of the memory; above, software lowers the clock as well."""


class GovernorSpec(Description):
    """How a device changes its clock to keep its limits."""

    clock_hz: Hertz
    """The highest."""
    floor_hz: Hertz
    """The lowest that heat or power bring it to."""
    step_hz: Hertz
    """By which it changes at a time."""
    power_period_s: PositiveSeconds
    """Between steps that keep the power limit."""
    fall_period_s: PositiveSeconds
    """Between steps down while it is above the operating limit."""
    rise_period_s: PositiveSeconds
    """Between steps up once it has cooled."""
    hysteresis_kelvin: Kelvin
    """How far below the operating limit that is."""
    slowdown_factor: Share
    """Of the clock at the slowdown limit."""
    slowdown_hold_s: Seconds
    """How long that lasts at least."""


class Cooling(Description):
    """How the heat of one device leaves it: a linear network of die, memory and heat sink (or cold
    plate), see `physics.thermal`.
    """

    medium: Literal["air", "liquid"]
    die_to_sink_k_per_w: PositiveKelvinPerWatt
    memory_to_sink_k_per_w: PositiveKelvinPerWatt | None = None
    """Left out, with the two others of memory, where memory is on the die."""
    die_to_memory_k_per_w: PositiveKelvinPerWatt | None = None
    sink_to_coolant_k_per_w: PositiveKelvinPerWatt
    coolant_rise_k_per_w: KelvinPerWatt
    """By which a device warms the coolant that flows past it."""
    preheat_k_per_w: KelvinPerWatt = 0.0
    """By which the coolant of a device in the rear is warmer for each watt of the one in front of
    it."""
    die_j_per_k: JoulesPerKelvin
    memory_j_per_k: JoulesPerKelvin | None = None
    sink_j_per_k: JoulesPerKelvin
    coolant_lag_s: PositiveSeconds
    """Time constant with which the coolant follows."""
    front: Annotated[int, Field(gt=0)] | None = None
    """Devices that the coolant reaches first; as many stand behind them. Left out where none stands
    behind another."""

    @model_validator(mode="after")
    def _memory_is_whole(self) -> Cooling:
        if (
            len(
                {
                    part is None
                    for part in (
                        self.memory_to_sink_k_per_w,
                        self.die_to_memory_k_per_w,
                        self.memory_j_per_k,
                    )
                }
            )
            > 1
        ):
            raise ValueError(
                "wanted 'memory_to_sink', 'die_to_memory' and 'memory' together, or none of them"
            )
        return self


class Surroundings(Description):
    """What a node draws beside its devices: processors, switches, fans or pumps, losses of its
    supplies.
    """

    base_w: Watts
    """With its devices idle."""
    most_w: Watts
    """With every device at its limit."""
