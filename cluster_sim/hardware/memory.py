"""Memories of a device: capacity, bandwidth, and what refreshing takes of it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cluster_sim.schema import Description
from cluster_sim.typing import Share
from cluster_sim.units import BytesPerSecond, Celsius, PositiveBytes


class Memory(Description):
    """The memory that holds weights and KV cache: HBM of a GPU, SRAM of a wafer."""

    capacity_bytes: PositiveBytes
    """Capacity that software can use, before any reserve [B]."""
    bandwidth_bytes_per_s: BytesPerSecond
    """Peak bandwidth of both directions together [B/s]."""
    reachable: Share = 1.0
    """Share of the peak bandwidth that all traffic together can reach. Kernels alone reach what
    their own figures say."""
    stream_loss: Annotated[float, Field(ge=0.0, lt=0.2)] = 0.0
    """Share of the bandwidth that is lost at each doubling of the number of streams of traffic:
    1 - loss x log2(streams) of it are left."""
    mix_loss: Annotated[float, Field(ge=0.0, le=2.0)] = 0.0
    """Loss of bandwidth when reads and writes alternate: 1 - loss x w (1 - w) of it are left, where
    w is the share of the bytes that are written."""


class WeightMemory(Memory):
    """A memory for weights and activations beside that of the KV cache.

    An example is the SRAM of a machine that has HBM as well.
    """

    overlap: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """Share of the shorter part of a step that hides behind the longer one; the parts are reading
    the KV cache and everything else."""


class Refresh(Description):
    """Bandwidth that is left when warm memory is refreshed more often."""

    double_c: Celsius
    """Temperature above which memory is refreshed twice as often [°C]."""
    double_share: Share
    """Share of the bandwidth that is left when memory is refreshed twice as often."""
    quadruple_c: Celsius
    """Temperature above which memory is refreshed four times as often [°C]."""
    quadruple_share: Share
    """Share of the bandwidth that is left when memory is refreshed four times as often."""
