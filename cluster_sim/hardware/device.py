"""One accelerator, as described by its data sheet and its measurements."""

from __future__ import annotations

from functools import cache
from typing import Self

from pydantic import Field, model_validator

from cluster_sim.errors import ScenarioError, did_you_mean, shown
from cluster_sim.hardware.collective_fits import CollectiveFits
from cluster_sim.hardware.compute import Peak, Systolic
from cluster_sim.hardware.efficiency import Efficiency, Overhead
from cluster_sim.hardware.engine_releases import listed_as
from cluster_sim.hardware.exchange_fits import ExchangeFits
from cluster_sim.hardware.governor import GovernorSpec, Limits
from cluster_sim.hardware.kernel_fits import KernelFits
from cluster_sim.hardware.memory import Memory, Refresh, WeightMemory
from cluster_sim.hardware.operating_point import (
    CLOCK_ON_BANDWIDTH,
    FULL_SPEED,
    OperatingPoint,
    scaled_by,
)
from cluster_sim.hardware.power_and_cooling import Power
from cluster_sim.hardware.precision import Precision
from cluster_sim.hardware.predecessor import PRECISIONS, Gains
from cluster_sim.hardware.wafer import Wafer
from cluster_sim.schema import (
    Description,
    Document,
    catalog_entry,
    catalog_names,
    describe,
    named,
)
from cluster_sim.units import BytesPerSecond, Seconds

_LAUNCHES = ("layer_s", "expert_layer_s", "latent_layer_s", "latent_fp8_layer_s", "piece_s")
"""Fields of `Overhead` that are launches of kernels and follow the clock. The other fields are
times of the host."""


class Device(Description):
    """One accelerator: a GPU if `efficiency` is given, a wafer if `wafer` is given."""

    name: str
    """Name of the device, as shown in tables and figures."""
    memory: Memory
    """Memory that holds weights and KV cache."""
    peak: Peak
    """Dense peak compute rate by precision."""
    predecessor: str | None = None
    """Catalog name of a device whose constants hold for this one where it has none of its own:
    `efficiency`, `overheads`, `kernels`, `collectives` and `exchanges`. Times stay; rates grow in
    proportion to memory bandwidth, compute rate and link bandwidth. Default: no predecessor."""
    efficiency: Efficiency | None = None
    """Shares of the peaks that a GPU's kernels reach. Either `efficiency` (a GPU) or `wafer` is
    required. Default: those of the predecessor."""
    overheads: dict[str, Overhead] = Field(default_factory=dict)
    """Overheads of a GPU by the name of the engine. `default` applies to all other engines and is
    required for a GPU without a predecessor."""
    kernels: KernelFits | None = None
    """Measured times of the device's kernels, each alone on the device. `efficiency` gives the
    times of other kernels. Default: no kernel was measured."""
    weight_memory: WeightMemory | None = None
    """Separate memory of the weights, if `memory` holds only the KV cache. Default: `memory` holds
    both."""
    systolic: Systolic | None = None
    """Systolic arrays that multiply matrices. `efficiency.compute` is then the share that remains
    after the shapes of products are accounted for. Default: the shapes of products do not
    matter."""
    wafer: Wafer | None = None
    """Grid of cores of a wafer-scale device. Either `efficiency` (a GPU) or `wafer` is required."""
    collectives: CollectiveFits = CollectiveFits()
    """Fits of collectives between devices of one node."""
    exchanges: ExchangeFits = ExchangeFits()
    """Fits of exchanges between attention and experts within one node or NVLink domain."""
    peer_latency_s: Seconds = 0.0
    """Start time of a transfer from device to device inside a node [s]."""
    peer_bandwidth_bytes_per_s: BytesPerSecond | None = None
    """Bandwidth from device to device inside a node in one direction [B/s]. Default: transfers
    between pipeline stages take `peer_latency` alone."""
    power: Power | None = None
    """Power that the device draws. Default: runs report no energy."""
    limits: Limits | None = None
    """Temperatures at which the device protects itself. Default: temperatures do not change the
    clock."""
    refresh: Refresh | None = None
    """Share of the memory bandwidth that remains at high temperature, because warm memory is
    refreshed more often. Default: the whole bandwidth."""
    governor: GovernorSpec | None = None
    """Steps and periods in which the device changes its clock. Default: assumed steps and
    periods."""

    @model_validator(mode="after")
    def _takes_over(self) -> Device:
        if self.predecessor is None:
            return self
        if self.wafer is not None:
            raise ValueError("got 'predecessor' beside 'wafer'; expected it only for a GPU")
        if self.predecessor not in catalog_names("devices"):
            remedy = did_you_mean(self.predecessor, catalog_names("devices"))
            raise ValueError(
                f"predecessor: got {shown(self.predecessor)}; expected a device of the catalog{remedy}"
            )
        earlier = _in_catalog(self.predecessor)
        if earlier.efficiency is None:
            raise ValueError(f"predecessor: got {shown(self.predecessor)}, a wafer; expected a GPU")
        whole = self.model_copy(update={"efficiency": self.efficiency or earlier.efficiency})
        gains = whole._gains_over(earlier)
        kernels = earlier.kernels and gains.kernels(earlier.kernels)
        if kernels and self.kernels:
            kernels = kernels.updated(self.kernels)
        return whole.model_copy(
            update={
                "overheads": earlier.overheads | self.overheads,
                "kernels": kernels or self.kernels,
                "collectives": earlier.collectives.at(gains.links).updated(self.collectives),
                "exchanges": earlier.exchanges.at(gains.links).updated(self.exchanges),
            }
        )

    @property
    def gains(self) -> Gains | None:
        """Rates relative to those of the predecessor; None without a predecessor."""
        return None if self.predecessor is None else self._gains_over(_in_catalog(self.predecessor))

    def _gains_over(self, earlier: Device) -> Gains:
        ours, theirs = self.peer_bandwidth_bytes_per_s, earlier.peer_bandwidth_bytes_per_s
        return Gains(
            memory=self.bandwidth_bytes_per_s / earlier.bandwidth_bytes_per_s,
            links=ours / theirs if ours and theirs else 1.0,
            compute={each: self._reach(each) / earlier._reach(each) for each in PRECISIONS},
        )

    def _reach(self, precision: Precision) -> float:
        """Return the compute rate that large products of weights in a precision reach [FLOP/s]."""
        assert self.efficiency is not None
        computed, peak = self.peak.of(precision)
        return peak * self.efficiency.compute.of(computed)

    @model_validator(mode="after")
    def _is_one_kind(self) -> Device:
        if (self.efficiency is None) == (self.wafer is None):
            raise ValueError("expected either 'efficiency' (a GPU) or 'wafer'")
        if self.efficiency is not None and "default" not in self.overheads:
            raise ValueError(
                "'overheads' has no 'default'; expected an entry of this name for engines without their own"
            )
        if self.wafer is not None:
            for name in ("weight_memory", "systolic"):
                if getattr(self, name) is not None:
                    raise ValueError(
                        f"got '{name}' beside 'wafer'; expected '{name}' only with 'efficiency'"
                    )
        return self

    @property
    def fast_memory(self) -> Memory:
        """Memory that holds weights and activations."""
        return self.weight_memory or self.memory

    @property
    def bandwidth_bytes_per_s(self) -> float:
        """Peak bandwidth of all its memories together [B/s]."""
        return self.memory.bandwidth_bytes_per_s + (
            self.weight_memory.bandwidth_bytes_per_s if self.weight_memory else 0.0
        )

    @property
    def measured(self) -> bool:
        """Whether step times rely on measured kernels or runs of this device."""
        has_kernels = self.kernels is not None and self.predecessor is None
        return self.wafer is not None or has_kernels

    @property
    def has_own_kernels(self) -> bool:
        """Whether its file has kernels beside those of its predecessor."""
        if self.predecessor is None or self.kernels is None:
            return self.kernels is not None
        earlier = _in_catalog(self.predecessor)
        kernels = earlier.kernels and self._gains_over(earlier).kernels(earlier.kernels)
        return kernels != self.kernels

    def overhead(self, engine: str) -> Overhead:
        """Return the times that the engine called `engine` adds on this device."""
        return self.overheads[self.overhead_name(engine)]

    def overhead_name(self, engine: str) -> str:
        """Return the key of `overheads` that holds for the engine called `engine`."""
        return listed_as(self.overheads, engine) or "default"

    def at(self, point: OperatingPoint) -> Self:
        """Return this device at `point`. Kernels, peaks and links slow down; the host does not."""
        if point == FULL_SPEED:
            return self
        clock, memory, links, _ = point  # rails are not of the device
        reading, starts = memory * clock**CLOCK_ON_BANDWIDTH, 1.0 / clock
        peer = self.peer_bandwidth_bytes_per_s
        slowed = {
            "memory": scaled_by(self.memory, {"bandwidth_bytes_per_s": reading}),
            "peak": scaled_by(self.peak, dict.fromkeys(Peak.model_fields, clock)),
            "overheads": {
                engine: scaled_by(overhead, dict.fromkeys(_LAUNCHES, starts))
                for engine, overhead in self.overheads.items()
            },
            "kernels": self.kernels and self.kernels.at(clock, memory),
            "wafer": self.wafer and scaled_by(self.wafer, {"clock_hz": clock, "core_s": starts}),
            "collectives": self.collectives.at(links),
            "exchanges": self.exchanges.at(links),
            "peer_bandwidth_bytes_per_s": peer and peer * links,
        }
        return self.model_copy(update=slowed)


@cache
def _in_catalog(name: str) -> Device:
    return Device.model_validate(catalog_entry("devices", name))


def device_named(name: str) -> Device:
    """Return the device of a catalog name or of the path of a device file.

    Raises
    ------
    ScenarioError
        There is no such device, or its file is invalid.
    """
    try:
        return describe(Device, Document(named("devices", name), name))
    except ScenarioError:
        raise
    except ValueError as fault:
        raise ScenarioError.at("--device", str(fault)) from fault
