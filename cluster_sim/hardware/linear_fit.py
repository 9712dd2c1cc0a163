"""Constants of the state part of linear-attention layers."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cluster_sim.hardware.kernel_fit import KernelFit
from cluster_sim.units import BytesPerSecond, FlopPerSecond, Seconds


class LinearAttentionFit(KernelFit):
    """Time of the state part of a linear-attention layer, one fit per kind of layer.

    `physics.linear_attention` combines the constants.
    """

    start_s: Seconds
    """Time of the kernels of one decoding sequence [s]."""
    free_heads: Annotated[float, Field(ge=0.0)]
    """Number of states (heads times sequences) that move at no cost in decode."""
    bandwidth_bytes_per_s: BytesPerSecond
    """Rate at which states in 32 bit are read and written in decode [B/s]. It exceeds the bandwidth
    of the memory if the states were measured in the cache or are kept in 16 bit."""
    channel_s: Seconds
    """Time per channel of the convolution and decoding sequence [s]."""
    prompt_start_s: Seconds
    """Time of the kernels for few prompt tokens [s]."""
    prompt_free_heads: Annotated[float, Field(ge=0.0)]
    """Number of states (heads times sequences) that cost nothing in prefill."""
    prompt_head_s: Seconds
    """Time per state beyond the free states in prefill [s]."""
    walk_s: Seconds
    """Time per token of a single sequence, whose chunks are processed one after another [s]."""
    compute_flop_per_s: FlopPerSecond
    """Compute rate of the scan for any number of heads [FLOP/s]."""
    overlap: Annotated[float, Field(ge=1.0)]
    """Exponent of the norm that combines the walk over chunks and computing. With 1 their times add
    up."""
    prompt_channel_s: Seconds
    """Time per channel of the convolution and prompt token [s]."""
    is_partial: bool = False
    """Whether the scan was not measured. Its constants are then shares of the peaks."""
