"""MemoryUse: memory of a GPU that an engine uses, and what of it the KV cache gets."""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

from cluster_sim.hardware.device import Device
from cluster_sim.llm.model import Model
from cluster_sim.physics.replica_layout import ReplicaLayout


class ExpertPadding(NamedTuple):
    """Blocks to which an engine pads the 4-bit weights of experts, for the tiles of its kernels.

    Source: vLLM 0.11 to 0.33, `model_executor/layers/quantization/mxfp4.py` create_weights: on
    Hopper the width of an expert on a device to 128 and the hidden size to 256.
    """

    hidden: int = 1
    """Block of the hidden size."""
    width: int = 1
    """Block of the width of an expert on one device."""

    def factor(self, model: Model, layout: ReplicaLayout) -> float:
        """Return the size of a model's padded experts relative to their own size.

        gpt-oss pads 2,880 to 3,072, and 1,440 on each of two devices to 1,536:

        >>> from cluster_sim.schema import catalog_entry
        >>> gpt_oss = Model.model_validate(catalog_entry("models", "gpt-oss-120b"))
        >>> round(ExpertPadding(256, 128).factor(gpt_oss, ReplicaLayout(2, weights="fp4")), 4)
        1.1378
        """
        experts = model.experts
        if experts is None or model.stored_in(layout.weights, "experts") != "fp4":
            return 1.0
        parts = 1 if layout.expert_parallel > 1 else layout.tensor_parallel * layout.data_parallel
        width, hidden = experts.ffn / parts, model.expert_hidden
        padded = self.hidden * ceil(hidden / self.hidden) * self.width * ceil(width / self.width)
        return padded / (hidden * width)


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
    expert_padding: ExpertPadding = ExpertPadding()
    """Blocks to which 4-bit weights of experts are padded."""
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
