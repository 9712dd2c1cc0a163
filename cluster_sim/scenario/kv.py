"""KV cache of the replicas of a pool."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cluster_sim.schema import Description
from cluster_sim.serving.kv_cache.offload import Tier
from cluster_sim.typing import Count, Share
from cluster_sim.units import Bytes, BytesPerSecond


class Kv(Description):
    """KV cache of a replica. Omitted keys are those of the engine."""

    block_tokens: Count | None = None
    """Number of tokens per block of KV cache. Default: that of the engine."""
    memory_fraction: Share | None = None
    """Share of a device's memory that the engine uses, weights included. Default: that of the
    engine."""
    prefix_caching: bool = False
    """Whether full blocks of prompts and answers stay in the prefix cache. The least recently used
    blocks are evicted first."""
    preemption: Literal["recompute", "swap"] = "recompute"
    """Treatment of the KV cache of a preempted request. recompute: it is discarded and computed
    again. swap: it is kept in the host's memory."""
    swap_space_bytes: Bytes = 4.0 * 2**30
    """Size of the host's memory for swapped KV cache, per device, as in vLLM [B]. When it is full,
    requests are recomputed."""
    swap_bandwidth_bytes_per_s: BytesPerSecond | None = None
    """Swap bandwidth between a device and the host [B/s]. Default: that of the narrowest link
    between them."""
    watermark: Annotated[float, Field(ge=0.0, lt=1.0)] | None = None
    """Share of the blocks that stays free when a request is admitted beside others, so that they
    can grow. Default: that of the engine."""
    offload: tuple[Tier, ...] = ()
    """Tiers for the blocks that prefix caching evicts, in order. Blocks are fetched from a tier if
    that is faster than recomputing them."""
