"""Where weights and KV cache of one replica lie, and how much room is left for KV."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cluster_sim.hardware.device import Device
from cluster_sim.hardware.precision import Precision
from cluster_sim.llm.model import Model
from cluster_sim.physics.transformer import kv_layer_bytes
from cluster_sim.physics.wafer_placement import WaferPlan, regions_of


@dataclass(frozen=True, slots=True)
class Placement:
    """One replica's memory. Bytes are of one device; a wafer replica counts its wafers as one
    device.
    """

    devices: int
    weight_bytes: float
    reserved_bytes: float
    """Kept aside: runtime, activations, communication buffers, window layers."""
    kv_token_bytes: float
    """What a token takes in the layers of full attention."""
    kv_room_bytes: float
    """What is left for KV; negative where the weights do not fit."""
    ranks: int = 1
    """Groups of devices with KV of their own."""
    weight_room_bytes: float | None = None
    """What the weights leave of a memory that is theirs alone, negative where they do not fit; None
    where they share that of the KV cache."""

    @property
    def kv_tokens(self) -> int:
        """Tokens that the KV cache of the replica holds, blocks left out; 0 where the weights do
        not fit.
        """
        if self.weight_room_bytes is not None and self.weight_room_bytes < 0.0:
            return 0
        return max(int(self.kv_room_bytes / self.kv_token_bytes), 0) * self.ranks

    def beside(self, other: Placement) -> Placement:
        """With a second model on the same devices, which keeps its weights, and KV of the same
        tokens.
        """
        shared = self.weight_room_bytes is None
        return replace(
            self,
            weight_bytes=self.weight_bytes + other.weight_bytes,
            kv_token_bytes=self.kv_token_bytes + other.kv_token_bytes,
            kv_room_bytes=self.kv_room_bytes - other.weight_bytes if shared else self.kv_room_bytes,
            weight_room_bytes=None
            if self.weight_room_bytes is None
            else self.weight_room_bytes - other.weight_bytes,
        )


def place_on_gpus(
    model: Model,
    device: Device,
    tensor_parallel: int,
    pipeline_parallel: int,
    weights: Precision,
    kv_cache: Precision,
    memory_fraction: float,
    reserved_bytes: float,
    max_sequences: int,
    data_parallel: int = 1,
) -> Placement:
    """Weights split evenly over tensor- and pipeline-parallel devices, but for copies; KV of a
    stage's layers, its heads split.

    With attention data parallelism each rank holds all but the experts, which are split over all
    ranks, and the KV of its own sequences.

    `memory_fraction` of the device is used, as vLLM's gpu_memory_utilization; `reserved_bytes` of
    each device are not for KV. Layers with a window hold at most the window for each of
    `max_sequences`; that much is set aside at once. Weights with a memory of their own leave the KV
    cache the whole of the other; the same fraction of both is used.
    """
    devices = tensor_parallel * pipeline_parallel * data_parallel
    layer_bytes = kv_layer_bytes(model, kv_cache, tensor_parallel)
    growing_layers = (
        model.full_layers or model.layers
    )  # a model of windows only still caches whole prompts in blocks
    windows = 0.0
    if model.window and model.full_layers:
        windows = (
            max_sequences
            / data_parallel
            * model.window.tokens
            * model.window.layers
            / pipeline_parallel
            * layer_bytes
        )
    copies = (
        (tensor_parallel - 1)
        * model.layers
        * model.copied_parameters
        * model.bytes_per_parameter(weights, "attention")
    )
    rank_bytes = model.weight_bytes(weights) - model.expert_bytes(weights) + copies
    weight_bytes = (model.expert_bytes(weights) + data_parallel * rank_bytes) / devices
    room = device.memory.capacity_bytes * memory_fraction - weight_bytes - reserved_bytes - windows
    weight_room = None
    if device.weight_memory is not None:
        room, weight_room = (
            room + weight_bytes,
            device.weight_memory.capacity_bytes * memory_fraction - weight_bytes,
        )
    kv_token_bytes = layer_bytes * growing_layers / pipeline_parallel
    return Placement(
        devices,
        weight_bytes,
        reserved_bytes + windows,
        kv_token_bytes,
        room,
        data_parallel,
        weight_room,
    )


def place_on_wafers(model: Model, device: Device, plan: WaferPlan) -> Placement:
    """All weights and KV in the SRAM of the plan's wafers, as `physics.wafer_placement` lays them
    out.

    The region with the least room sets the tokens that all have room for. Of streamed weights two
    layers are there at a time, and each wafer keeps the KV of sequences of its own.
    """
    regions = regions_of(model, device, plan)
    ranks = plan.wafers if plan.streamed else 1
    weight_bytes, kv_token_bytes = (
        sum(getattr(region, name) for region in regions)
        for name in ("weight_bytes", "kv_token_bytes")
    )
    room = min(region.kv_tokens for region in regions) * kv_token_bytes
    return Placement(
        plan.wafers,
        ranks * weight_bytes,
        plan.wafers * device.memory.capacity_bytes - ranks * (weight_bytes + room),
        kv_token_bytes,
        room,
        ranks,
    )
