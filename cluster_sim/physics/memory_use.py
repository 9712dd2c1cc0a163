"""MemoryUse: memory of a GPU that an engine uses, and what of it the KV cache gets."""

from __future__ import annotations

from typing import NamedTuple

from cluster_sim.hardware.device import Device


class MemoryUse(NamedTuple):
    """Memory of a GPU that an engine uses, and its needs in addition to weights and KV cache."""

    fraction: float
    """Share of the device's memory that the engine uses, as vLLM's gpu_memory_utilization."""
    reserved_bytes: float
    """Memory of each device that is reserved for other purposes than KV cache [B]."""
    prefix_caching: bool = False
    """Whether blocks stay findable; each sequence then keeps a second state for prefix hits."""
    block_tokens: int = 16
    """Number of tokens per block of KV cache."""
    step_tokens: int = 8192
    """Maximum number of tokens of a step of one rank."""
    activation_bytes: float = 0.0
    """Activations of experts and of the sampler beyond those in `reserved_bytes` [B]."""
    graph_bytes: float = 0.0
    """CUDA graphs beyond `reserved_bytes` [B]."""
    of_free: bool = False
    """Whether `fraction` is a share of the memory that weights and reserves leave, as TensorRT-LLM's
    free_gpu_memory_fraction."""


def kv_bytes_of(
    device: Device, memory: MemoryUse, weight_bytes: float, reserved_bytes: float
) -> float:
    """Return the memory of the KV cache of one device [B], negative if the weights do not fit."""
    capacity_bytes, is_apart = device.memory.capacity_bytes, device.weight_memory is not None
    if memory.of_free:
        held_bytes = reserved_bytes if is_apart else weight_bytes + reserved_bytes
        return memory.fraction * (capacity_bytes - held_bytes)
    kv_bytes = capacity_bytes * memory.fraction - weight_bytes - reserved_bytes
    return kv_bytes + weight_bytes if is_apart else kv_bytes
