"""Memory of one replica: location of weights and KV cache, and KV cache capacity."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cluster_sim.hardware.device import Device
from cluster_sim.hardware.precision import Precision
from cluster_sim.llm.model import Model
from cluster_sim.physics.cache_groups import View
from cluster_sim.physics.kv_sizes import cache_bytes, growing_kv_bytes, window_kv_bytes
from cluster_sim.physics.memory_use import ExpertPadding, MemoryUse, kv_bytes_of
from cluster_sim.physics.page_pool import CacheKind, PagePool, page_pool
from cluster_sim.physics.replica_layout import ReplicaLayout
from cluster_sim.physics.wafer_placement import regions_of
from cluster_sim.physics.wafer_regions import WaferPlan


@dataclass(frozen=True, slots=True)
class Placement:
    """Memory of one replica.

    Sizes are those of one device. A replica on wafers counts all its wafers as one device.
    """

    devices: int
    """Number of devices of the replica."""
    weight_bytes: float
    """Size of the weights [B]."""
    reserved_bytes: float
    """Reserved memory [B]: runtime, activations and communication buffers; on wafers also windows
    and states of all sequences."""
    kv_token_bytes: float
    """KV cache per token in the layers with full attention [B]."""
    kv_bytes: float
    """KV cache capacity [B]; negative if the weights do not fit."""
    ranks: int = 1
    """Number of groups of devices that hold the KV cache of different sequences."""
    weight_free_bytes: float | None = None
    """Memory that is left in a separate memory for weights [B], negative if the weights do not fit;
    None if weights and KV cache share one memory."""
    pool: PagePool | None = None
    """Pool of pages that groups of layers share; None for a single group."""
    page_tokens: float = 0.0
    """Number of tokens per page of the pool; 0 without a pool."""
    activation_bytes: float = 0.0
    """Part of the reserved memory for experts and the sampler, beyond a step of dense layers [B].
    """
    graph_bytes: float = 0.0
    """Part of the reserved memory for CUDA graphs [B]."""
    kv_share: float = 1.0
    """Share of further free memory that the KV cache would get [1]."""

    @property
    def pages(self) -> int:
        """Number of pages of the replica; 0 if the weights do not fit, or without a pool."""
        return self._holds(self.pool.page_bytes) if self.pool is not None else 0

    @property
    def kv_tokens(self) -> int:
        """KV cache capacity of the replica [tokens], without rounding to blocks.

        It is 0 if the weights do not fit.
        """
        if self.pool is not None:
            return int(self.pages * self.page_tokens)
        return self._holds(self.kv_token_bytes)

    def _holds(self, size: float) -> int:
        """Return the number of items of `size` bytes that fit into the KV cache capacity."""
        if self.weight_free_bytes is not None and self.weight_free_bytes < 0.0:
            return 0
        return max(int(self.kv_bytes / size), 0) * self.ranks

    def beside(self, other: Placement) -> Placement:
        """Return the memory with a second model on the same devices.

        The second model keeps its weights, and a KV cache of the same tokens.
        """
        shared = self.weight_free_bytes is None
        return replace(
            self,
            weight_bytes=self.weight_bytes + other.weight_bytes,
            kv_token_bytes=self.kv_token_bytes + other.kv_token_bytes,
            kv_bytes=self.kv_bytes - (self.kv_share * other.weight_bytes if shared else 0.0),
            weight_free_bytes=None
            if self.weight_free_bytes is None
            else self.weight_free_bytes - other.weight_bytes,
        )


def place_on_gpus(
    model: Model,
    device: Device,
    layout: ReplicaLayout,
    memory: MemoryUse,
    drafter: Model | None = None,
) -> Placement:
    """Return the memory of a replica on GPUs.

    * Tensor- and pipeline-parallel devices share the weights evenly, except for replicated weights.
    * A device holds the KV cache of its heads, for the layers of its stage.
    * With attention data parallelism each rank holds all weights except for the experts, and the KV
      cache of its own sequences. All ranks share the experts and their redundant copies; the device
      with the most of them counts.
    * Windows reserve no memory: groups of layers share one pool of pages.
    * If the weights have a separate memory, the whole other memory is for the KV cache. The
      used share of both memories is equal.

    Parameters
    ----------
    model
        Shape of the model.
    device
        GPU that the replica runs on.
    layout
        Distribution of the model over devices.
    memory
        Memory that the engine uses per device.
    drafter
        Draft model whose layers share the pool of pages; its own memory is not counted.

    Returns
    -------
    Placement
        Memory per device, and the KV cache capacity of the replica.

    Examples
    --------
    70.55 billion weights of 2 B on eight devices:

    >>> from cluster_sim.schema import catalog_entry
    >>> llama = Model.model_validate(catalog_entry("models", "llama-3.3-70b"))
    >>> h200 = Device.model_validate(catalog_entry("devices", "h200-sxm"))
    >>> memory = place_on_gpus(llama, h200, ReplicaLayout(8), MemoryUse(0.9, 0.0))
    >>> round(memory.weight_bytes / 1e9, 1)
    17.6
    """
    tensor, pipeline, data = (
        layout.tensor_parallel,
        layout.pipeline_parallel,
        layout.data_parallel,
    )
    devices = tensor * pipeline * data
    growing_bytes = growing_kv_bytes(model, layout.kv_cache, tensor)
    pool = _pool(model, layout, memory, drafter)
    token_bytes = growing_bytes or window_kv_bytes(model, layout.kv_cache, tensor)
    copies = (
        (tensor - 1)
        * model.copied_parameters
        * model.bytes_per_parameter(layout.weights, "attention")
    )
    rank_bytes = model.weight_bytes(layout.weights) - model.expert_bytes(layout.weights) + copies
    expert_bytes = model.expert_bytes(layout.weights)
    if model.experts is not None:
        expert_bytes *= layout.expert_copies(model.experts)
    if memory.expert_padding != ExpertPadding():
        expert_bytes *= memory.expert_padding.factor(model, layout)
    weight_bytes = (expert_bytes + data * rank_bytes) / devices
    reserved_bytes = memory.reserved_bytes + memory.activation_bytes + memory.graph_bytes
    weight_free_bytes = None
    kv_bytes = kv_bytes_of(device, memory, weight_bytes, reserved_bytes)
    if device.weight_memory is not None:
        weight_free_bytes = device.weight_memory.capacity_bytes * memory.fraction - weight_bytes
    return Placement(
        devices=devices,
        weight_bytes=weight_bytes,
        reserved_bytes=reserved_bytes,
        kv_token_bytes=token_bytes / pipeline,
        kv_bytes=kv_bytes,
        ranks=data,
        weight_free_bytes=weight_free_bytes,
        activation_bytes=memory.activation_bytes,
        graph_bytes=memory.graph_bytes,
        kv_share=memory.fraction if memory.of_free else 1.0,
        pool=pool,
        page_tokens=pool.tokens_per_page(model.max_context, memory.step_tokens) if pool else 0.0,
    )


def _pool(
    model: Model, layout: ReplicaLayout, memory: MemoryUse, drafter: Model | None
) -> PagePool | None:
    """Return the pool that groups of layers share; None if all layers see the whole context."""
    kinds = cache_kinds(model, layout.kv_cache, layout.tensor_parallel)
    views = {kind.view for kind in kinds}
    if views == {"context"} or (memory.prefix_caching and views == {"state"}):
        return None
    if drafter is not None:
        kinds = _together(kinds, cache_kinds(drafter, layout.kv_cache, layout.tensor_parallel))
    pool = page_pool(kinds, memory.block_tokens, layout.pipeline_parallel)
    return pool.with_prefix_caching() if memory.prefix_caching else pool


def cache_kinds(model: Model, precision: Precision, ranks: int) -> list[CacheKind]:
    """Return the layers of a model on one device, by kind of cache.

    Layers that cache the whole context are one kind with the mean size of a token: engines keep
    them in one group even if they differ.
    """
    counts: dict[CacheKind, int] = {}  # layers of each kind but the whole context
    layers, size, kernel_tokens = 0, 0.0, 16
    for kind in model.attention:
        if grown := cache_bytes(kind.growing_values(ranks), kind.index_values(ranks), precision):
            layers, size = layers + kind.layers, size + kind.layers * grown
            kernel_tokens = 64 if kind.is_latent else kernel_tokens
        if window := cache_bytes(kind.window_values(ranks), 0.0, precision):
            view: View = "chunk" if kind.is_chunked else "window"
            limited = CacheKind(0, window, view, kind.window_tokens)
            counts[limited] = counts.get(limited, 0) + kind.layers
        if state_size := kind.state_bytes(ranks):
            state = CacheKind(0, state_size, "state")
            counts[state] = counts.get(state, 0) + kind.layers
    kinds = [kind._replace(layers=count) for kind, count in counts.items()]
    if not layers:
        return kinds
    return [CacheKind(layers, size / layers, kernel_tokens=kernel_tokens), *kinds]


def _together(kinds: list[CacheKind], drafting: list[CacheKind]) -> list[CacheKind]:
    """Return the kinds of a model and of its drafter; the whole context is one kind."""
    whole = [kind for kind in (*kinds, *drafting) if kind.view == "context"]
    limited = [kind for kind in (*kinds, *drafting) if kind.view != "context"]
    layers = sum(kind.layers for kind in whole)
    if not layers:
        return limited
    size = sum(kind.layers * kind.token_bytes for kind in whole) / layers
    return [whole[0]._replace(layers=layers, token_bytes=size), *limited]


def place_on_wafers(model: Model, device: Device, plan: WaferPlan) -> Placement:
    """Return the memory of a replica on wafers, whose SRAM holds all weights and the KV cache.

    The region with the smallest KV cache capacity sets the number of tokens. Of streamed weights,
    two layers are present at a time, and each wafer keeps the KV cache of its own sequences.

    Parameters
    ----------
    model
        Shape of the model.
    device
        Wafer that the replica runs on.
    plan
        Plan of the replica, see `physics.wafer_placement`.

    Returns
    -------
    Placement
        Memory of the replica, which counts as one device.

    Examples
    --------
    8.03 billion weights of 2 B on one wafer:

    >>> from cluster_sim.schema import catalog_entry
    >>> wse3 = Device.model_validate(catalog_entry("devices", "wse-3"))
    >>> llama = Model.model_validate(catalog_entry("models", "llama-3.1-8b"))
    >>> round(place_on_wafers(llama, wse3, WaferPlan(1)).weight_bytes / 1e9, 1)
    16.1
    """
    regions = regions_of(model, device, plan)
    ranks = plan.wafers if plan.streamed else 1
    weight_bytes = sum(region.weight_bytes for region in regions)
    kv_token_bytes = sum(region.kv_token_bytes for region in regions)
    kv_bytes = min(region.kv_tokens for region in regions) * kv_token_bytes
    return Placement(
        devices=plan.wafers,
        weight_bytes=ranks * weight_bytes,
        reserved_bytes=plan.wafers * device.memory.capacity_bytes
        - ranks * (weight_bytes + kv_bytes),
        kv_token_bytes=kv_token_bytes,
        kv_bytes=kv_bytes,
        ranks=ranks,
    )
