"""Constants of decode-attention kernels whose time depends on the longest sequence."""

from __future__ import annotations

from cluster_sim.hardware.kernel_fit import KernelFit
from cluster_sim.typing import Count
from cluster_sim.units import BytesPerSecond, PositiveSeconds, Seconds


class BlockAttentionFit(KernelFit):
    """Time of decode attention in which one thread block reads a whole part of a sequence.

    `physics.block_attention` combines the constants.
    """

    start_s: Seconds
    """Time of the kernels without keys [s]."""
    key_s: PositiveSeconds
    """Time of one thread block per key and KV head [s]."""
    bandwidth_bytes_per_s: BytesPerSecond
    """Rate at which all thread blocks together read keys and values [B/s]."""
    thread_blocks: Count
    """Number of thread blocks that run in parallel. Sequences are split into parts only up to this
    number of parts of all KV heads."""
    least_keys: Count = 128
    """Minimum number of keys of a part. Default: 128."""
