"""One accelerator, as its data sheet and its measurements describe it."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from cluster_sim.errors import ScenarioError
from cluster_sim.hardware.collective_fits import CollectiveFits
from cluster_sim.hardware.kernel_fits import Efficiency, KernelFits, Overhead
from cluster_sim.hardware.memory import Memory, Refresh, WeightMemory
from cluster_sim.hardware.operating_point import CLOCK_ON_BANDWIDTH, FULL_PACE, Pace, scaled_by
from cluster_sim.hardware.power_and_cooling import GovernorSpec, Limits, Power
from cluster_sim.hardware.precision import Precision
from cluster_sim.hardware.wafer import Wafer
from cluster_sim.schema import Description, Document, describe, named
from cluster_sim.units import BytesPerSecond, FlopPerSecond, Seconds


class Systolic(Description):
    """Arrays of multipliers that keep weights while tokens stream through, see `physics.systolic`;
    small products leave parts of them empty.
    """

    rows: Annotated[int, Field(gt=0)]
    """Inputs of a product that one array sums over."""
    columns: Annotated[int, Field(gt=0)]
    """Outputs of a product that it makes."""
    arrays: Annotated[int, Field(gt=0)] = 1
    """As many work side by side, and reach the device's peak together."""
    load_cycles: Annotated[int, Field(gt=0)] | None = None
    """To fill one array with weights, which hides behind the tokens of the weights before; default:
    one row a cycle."""


class Peak(Description):
    """Dense peak compute rate by precision; a precision that is left out has no hardware of its
    own.
    """

    bf16_flop_per_s: FlopPerSecond
    fp8_flop_per_s: FlopPerSecond | None = None
    fp4_flop_per_s: FlopPerSecond | None = None

    def of(self, precision: Precision) -> tuple[Precision, float]:
        """The precision that `precision` computes in here, and its peak: weights without hardware
        are widened to bf16.
        """
        rate = {
            "bf16": self.bf16_flop_per_s,
            "fp8": self.fp8_flop_per_s,
            "fp4": self.fp4_flop_per_s,
        }[precision]
        return (precision, rate) if rate is not None else ("bf16", self.bf16_flop_per_s)


class Device(Description):
    """One accelerator: a GPU where `efficiency` is given, a wafer where `wafer` is."""

    name: str
    memory: Memory
    peak: Peak
    efficiency: Efficiency | None = None
    overheads: dict[str, Overhead] = Field(default_factory=dict)
    """Of a GPU: by the name of the engine; `default` for all others."""
    kernels: KernelFits | None = None
    """What its kernels take alone, where they were measured; kinds that were not are taken from
    `efficiency`."""
    weight_memory: WeightMemory | None = None
    """Where weights lie, where that is not `memory`, which then holds the KV cache alone."""
    systolic: Systolic | None = None
    """What multiplies matrices; `efficiency.compute` is then what is left once the shapes of
    products are counted. Left out, shapes do not matter."""
    wafer: Wafer | None = None
    collectives: CollectiveFits = CollectiveFits()
    """Between devices of one node."""
    peer_latency_s: Seconds = 0.0
    """Start of a transfer from device to device inside a node."""
    peer_bandwidth_bytes_per_s: BytesPerSecond | None = None
    """Device to device inside a node, one direction."""
    power: Power | None = None
    """What it draws; left out, runs say nothing of energy."""
    limits: Limits | None = None
    """Temperatures at which it protects itself."""
    refresh: Refresh | None = None
    """How its memory is refreshed when warm."""
    governor: GovernorSpec | None = None
    """How it lowers its clock."""

    @model_validator(mode="after")
    def _is_one_kind(self) -> Device:
        if (self.efficiency is None) == (self.wafer is None):
            raise ValueError("wanted either 'efficiency' (a GPU) or 'wafer'")
        if self.efficiency is not None and "default" not in self.overheads:
            raise ValueError("'overheads' has no 'default'")
        if self.wafer is not None:
            for name in ("weight_memory", "systolic"):
                if getattr(self, name) is not None:
                    raise ValueError(
                        f"came '{name}' beside 'wafer'; wanted it with 'efficiency' only"
                    )
        return self

    @property
    def fast_memory(self) -> Memory:
        """Where weights lie, and what is between layers."""
        return self.weight_memory or self.memory

    @property
    def bandwidth_bytes_per_s(self) -> float:
        """Peak of all its memories together."""
        return self.memory.bandwidth_bytes_per_s + (
            self.weight_memory.bandwidth_bytes_per_s if self.weight_memory else 0.0
        )

    @property
    def measured(self) -> bool:
        """Whether step times rest on measured kernels, or on a fit to measured runs as a wafer's;
        not on a data sheet alone.
        """
        return self.wafer is not None or self.kernels is not None

    def overhead(self, engine: str) -> Overhead:
        """What the engine called `engine` adds on this device."""
        return self.overheads.get(engine, self.overheads["default"])

    def at(self, pace: Pace) -> Self:
        """This device at `pace`: what its kernels, its peaks and its links come to then; what its
        host does takes as long as before.
        """
        if pace == FULL_PACE:
            return self
        clock, memory, links = pace
        reading, starts = memory * clock**CLOCK_ON_BANDWIDTH, 1.0 / clock
        return self.model_copy(update={
            "memory": scaled_by(self.memory, {"bandwidth_bytes_per_s": reading}),
            "peak": scaled_by(self.peak, dict.fromkeys(Peak.model_fields, clock)),
            "overheads": {name: scaled_by(one, dict.fromkeys(("layer_s", "expert_layer_s", "latent_layer_s"), starts)) for name, one in self.overheads.items()},
            "kernels": self.kernels and self.kernels.at(clock, memory),
            "wafer": self.wafer and scaled_by(self.wafer, {"clock_hz": clock, "core_s": starts}),
            "collectives": self.collectives.at(links),
            "peer_bandwidth_bytes_per_s": self.peer_bandwidth_bytes_per_s and self.peer_bandwidth_bytes_per_s * links,
        })  # fmt: skip


def device_named(came: str) -> Device:
    """The device of a catalog name or of the path of a device file. Raises ScenarioError where
    there is none, or a wrong one.
    """
    try:
        return describe(Device, Document(named("devices", came), came))
    except ScenarioError:
        raise
    except ValueError as fault:
        raise ScenarioError.at("--device", str(fault)) from fault
