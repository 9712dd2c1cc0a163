"""Memories of a device: capacity, bandwidth, and bandwidth that is lost to refreshing."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cluster_sim.schema import Description
from cluster_sim.typing import Share
from cluster_sim.units import BytesPerSecond, Celsius, PositiveBytes


class Memory(Description):
    """Memory that holds weights and KV cache: HBM of a GPU, SRAM of a wafer."""

    capacity_bytes: PositiveBytes
    """Capacity that software can use, before any reserve [B]."""
    bandwidth_bytes_per_s: BytesPerSecond
    """Peak bandwidth of both directions together [B/s]."""
    reachable: Share = 1.0
    """Share of the peak bandwidth that all traffic together can reach. Kernels alone reach what
    their own figures give."""
    stream_loss: Annotated[float, Field(ge=0.0, lt=0.2)] = 0.0
    """Share of the bandwidth that is lost at each doubling of the number of traffic streams: 1 -
    loss x log2(streams) remains."""
    mix_loss: Annotated[float, Field(ge=0.0, le=2.0)] = 0.0
    """Loss of bandwidth due to alternating reads and writes: 1 - loss x w (1 - w) remains, where w
    is the share of written bytes."""


class WeightMemory(Memory):
    """A memory for weights and activations beside the memory of the KV cache.

    An example is the SRAM of a machine that also has HBM.
    """

    overlap: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """Share of the shorter part of a step that is hidden behind the longer part. The two parts are
    reading the KV cache and everything else."""


class Refresh(Description):
    """Bandwidth that remains if warm memory is refreshed more often."""

    double_c: Celsius
    """Temperature above which memory is refreshed twice as often [degC]."""
    double_share: Share
    """Share of the bandwidth that remains if memory is refreshed twice as often."""
    quadruple_c: Celsius
    """Temperature above which memory is refreshed four times as often [degC]."""
    quadruple_share: Share
    """Share of the bandwidth that remains if memory is refreshed four times as often."""
