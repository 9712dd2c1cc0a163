"""Rules by which engines size the KV cache, and limits that they choose by the device.

* vLLM: KV cache = utilisation x all memory - weights - the rest (`v1/worker/gpu_worker.py`).
* TensorRT-LLM: KV cache = fraction x memory that is free beside weights and the rest
  (`free_gpu_memory_fraction`, `_torch/pyexecutor/_util.py`, 1.0).
* SGLang: weights and KV cache have the share (memory - reserve) / memory. The reserve follows from
  the tokens per step, the largest graph and the devices (`server_args.py`, 0.5).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from cluster_sim.hardware.device import Device
from cluster_sim.schema import Description
from cluster_sim.typing import Count, CountOrZero, Share
from cluster_sim.units import Bytes

MemoryBase = Literal["all", "free"]
"""Memory of which an engine takes a share: all of a device's, or what weights and reserves leave."""


class ServedPlan(NamedTuple):
    """Counts of a replica on which the reserve of an engine depends."""

    step_tokens: int
    """Maximum number of tokens of a step of one rank."""
    graph_sequences: int
    """Number of sequences of the largest decode graph of one rank."""
    devices: int
    """Number of devices of the replica, like SGLang's `tp_size` times `pp_size`."""
    data_parallel: int = 1
    """Number of attention data-parallel ranks."""
    is_latent: bool = False
    """Whether the model has latent attention."""


class StaticReserve(Description):
    """Memory of each device outside the share for weights and KV cache, as SGLang computes it."""

    fixed_bytes: Bytes = 0.0
    """Constant part of the reserve [B]."""
    per_step_token_bytes: Bytes = 0.0
    """Reserve per token of the largest step [B]."""
    min_step_tokens: CountOrZero = 0
    """Number of step tokens that are counted at least."""
    per_graph_sequence_bytes: Bytes = 0.0
    """Reserve per sequence of the largest decode graph [B]."""
    per_device_bytes: Bytes = 0.0
    """Reserve per device of the replica [B]."""
    per_rank_sequence_bytes: Bytes = 0.0
    """Reserve per sequence of the largest decode graph and attention data-parallel rank [B], with
    more than one rank."""
    large_graph_sequences: CountOrZero = 0
    """Number of sequences above which a decode graph is large; see `per_large_sequence`."""
    per_large_sequence_bytes: Bytes = 0.0
    """Further reserve per sequence and rank, with more than one rank, if the largest decode graph
    is a large one [B]."""
    latent_bytes: Bytes = 0.0
    """Reserve for models with latent attention [B]."""
    at_least_bytes: Bytes = 0.0
    """Smallest reserve [B], on devices with at least `at_least_from` of memory."""
    at_least_from_bytes: Bytes = 0.0
    """Memory of a device from which the smallest reserve holds [B]."""

    def reserve_bytes(self, memory_bytes: float, plan: ServedPlan) -> float:
        """Return the reserve of each device [B].

        >>> rule = {"fixed": "512 MiB", "per_step_token": "1.5 MiB", "per_graph_sequence": "2 MiB",
        ...         "per_device": "128 MiB"}
        >>> reserve = StaticReserve.model_validate(rule)
        >>> reserve.reserve_bytes(192e9, ServedPlan(16384, 512, 8)) / 2**20
        27136.0
        """
        graph, ranks = plan.graph_sequences, plan.data_parallel
        reserve_bytes = (
            self.fixed_bytes
            + self.per_step_token_bytes * max(plan.step_tokens, self.min_step_tokens)
            + self.per_graph_sequence_bytes * graph
            + self.per_device_bytes * plan.devices
            + (self.latent_bytes if plan.is_latent else 0.0)
        )
        if ranks > 1:
            reserve_bytes += self.per_rank_sequence_bytes * graph * ranks
            if graph > self.large_graph_sequences:
                reserve_bytes += self.per_large_sequence_bytes * graph * ranks
        if memory_bytes >= self.at_least_from_bytes:
            return max(reserve_bytes, self.at_least_bytes)
        return reserve_bytes

    def fraction(self, memory_bytes: float, plan: ServedPlan) -> float:
        """Return the share of a device's memory for weights and KV cache, at least 0."""
        return max(1.0 - self.reserve_bytes(memory_bytes, plan) / memory_bytes, 0.0)


class ExpertPaddingSpec(Description):
    """Blocks to which an engine pads the 4-bit weights of experts, for the tiles of its kernels."""

    hidden: Count = 1
    """Number of hidden values per block."""
    width: Count = 1
    """Number of values of an expert's width per block, on one device."""


class DeviceDefaults(Description):
    """Values of an engine for some devices. Conditions that are omitted hold for every device."""

    devices: tuple[str, ...] = ()
    """Parts of the names of the devices, such as A100. Default: every device."""
    min_memory_bytes: Bytes = 0.0
    """Smallest memory of the devices [B]."""
    min_tensor_parallel: Count = 1
    """Smallest number of devices per pipeline stage: tensor-parallel devices times attention
    data-parallel ranks, like SGLang's `tp_size`."""
    max_sequences: Count | None = None
    """Maximum number of requests in the batch. Default: that of the next row."""
    max_batched_tokens: Count | None = None
    """Maximum number of tokens per step. Default: that of the next row."""
    largest_graph: Count | None = None
    """Largest captured size of CUDA graphs, in the unit of `graph_sizes`. It has no effect if
    `graph_sizes` gives `largest`. Default: that of the next row, or else no limit."""
    memory_fraction: Share | None = None
    """Share of each device's memory that the engine uses. Default: that of the next row."""

    @property
    def is_for_all(self) -> bool:
        """Whether the row has no conditions."""
        return not self.devices and self.min_memory_bytes == 0.0 and self.min_tensor_parallel == 1

    def holds(self, device: Device, stage_devices: int) -> bool:
        """Return whether the row is for a device and a number of devices per pipeline stage."""
        return (
            (not self.devices or any(name in device.name for name in self.devices))
            and device.memory.capacity_bytes >= self.min_memory_bytes
            and stage_devices >= self.min_tensor_parallel
        )
