"""Memories of a device: capacity, bandwidth, and what refreshing takes of it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cluster_sim.hardware.precision import Share
from cluster_sim.schema import Description
from cluster_sim.units import BytesPerSecond, Celsius, PositiveBytes


class Memory(Description):
    """The memory that weights and KV cache live in: HBM of a GPU, SRAM of a wafer."""

    capacity_bytes: PositiveBytes
    """What software can use, before any reserve."""
    bandwidth_bytes_per_s: BytesPerSecond
    """Peak, both directions together."""
    reachable: Share = 1.0
    """Share of the peak that all traffic together can reach; kernels alone reach what their own
    figures say."""
    stream_loss: Annotated[float, Field(ge=0.0, lt=0.2)] = 0.0
    """Share of the bandwidth that is lost at each doubling of the streams of traffic that cross it:
    1 - loss x log2(streams) are left."""
    mix_loss: Annotated[float, Field(ge=0.0, le=2.0)] = 0.0
    """Of reading and writing by turns: 1 - loss x w (1 - w) are left where the share w of the bytes
    is written."""


class WeightMemory(Memory):
    """A memory beside that of the KV cache, for weights and what is between layers: SRAM of a
    machine that has HBM as well.
    """

    overlap: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """Of reading KV cache and of all else in a step, the share of the shorter that hides behind the
    longer."""


class Refresh(Description):
    """What refreshing warm memory more often leaves of its bandwidth."""

    double_c: Celsius
    """Above it memory is refreshed twice as often."""
    double_share: Share
    """Share of the bandwidth that is left then."""
    quadruple_c: Celsius
    """Above it four times."""
    quadruple_share: Share
    """What is left then."""
