"""A deployment: a pool with the model it serves, resolved once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from cluster_sim.deployment.model_on_devices import ModelOnDevices, PlainSteps
from cluster_sim.deployment.replica_times import ReplicaTimes
from cluster_sim.deployment.weight_loading import loading_s, waking_s, weight_store
from cluster_sim.hardware.device import Device
from cluster_sim.hardware.network import NetworkSpec
from cluster_sim.hardware.node import Node
from cluster_sim.hardware.operating_point import OperatingPoint
from cluster_sim.hardware.precision import Precision
from cluster_sim.llm.model import Model
from cluster_sim.physics.kv_shards import KvShards
from cluster_sim.physics.kv_sizes import KVTraffic, kv_traffic, sequence_kv_bytes
from cluster_sim.physics.limited_view import LimitedView, causal_pairs
from cluster_sim.physics.placement import Placement
from cluster_sim.physics.step_times import StepTimes
from cluster_sim.physics.step_work import StepWork
from cluster_sim.physics.wafer import WaferSteps
from cluster_sim.physics.wafer_placement import wafers_needed
from cluster_sim.physics.wafer_regions import Region
from cluster_sim.scenario.pool import Pool
from cluster_sim.serving.disaggregation import Role
from cluster_sim.serving.kv_cache.offload import Level, Tier, levels
from cluster_sim.serving.kv_cache.spec import KVCacheSpec
from cluster_sim.topology import host_bandwidth_bytes_per_s


class FrontEndCosts(NamedTuple):
    """Times of the front end of a server, which works on one batch of requests at a time."""

    accept_s: float = 0.0
    """Time per request [s]."""
    token_s: float = 0.0
    """Time per prompt token [s]."""


@dataclass(frozen=True, eq=False)
class Deployment:
    """A pool with the model it serves. Everything that follows from the two is computed once."""

    pool: Pool
    model: Model
    network: NetworkSpec | None = None
    """Network of the cluster, which replaces the network of the pool's nodes."""

    @property
    def name(self) -> str:
        """Name of the pool."""
        return self.pool.name

    @property
    def role(self) -> Role:
        """Phases of a request that replicas serve: `both`, `prefill` or `decode`."""
        return self.pool.replica.role

    @property
    def device(self) -> Device:
        """Device of the pool's nodes, with the times of the pool's engine."""
        return self.node.device

    @cached_property
    def node(self) -> Node:
        """Node of the pool, reached by the network of the cluster, with the engine's times."""
        node, engine = self.pool.node, self.pool.replica.engine
        device = engine.measured_on(node.device, engine.profile)
        changes: dict[str, object] = {} if device is node.device else {"device": device}
        if self.network is not None:
            changes["network"] = self.network
        return node.model_copy(update=changes) if changes else node

    @property
    def weights(self) -> Precision:
        """Precision of the served weights."""
        return self.pool.replica.weights_of(self.model)

    @property
    def computed_in(self) -> Precision:
        """Precision in which the weights are multiplied."""
        return self.model.multiplied_in(self.weights)

    # Numbers of devices and replicas

    @cached_property
    def devices_per_replica(self) -> int:
        """Number of devices of one replica."""
        pool = self.pool
        return pool.replica_devices or wafers_needed(
            self.model, self.device, self.weights, pool.replica.kv_cache, pool.max_sequences
        )

    @cached_property
    def replica_count(self) -> int:
        """Number of replicas in the pool."""
        return self.pool.replica_count(self.devices_per_replica)

    # Memory of one replica

    @cached_property
    def target(self) -> ModelOnDevices:
        """The model on the devices of one replica."""
        return ModelOnDevices(self.model, self.pool, self.node, self.devices_per_replica)

    @cached_property
    def placement(self) -> Placement:
        """Memory of one replica: weights and KV cache, including those of a draft model.

        Layers of the model that draft share its embedding and its output head.
        """
        speculation, drafter = self.pool.replica.speculation, self.target.drafter
        if speculation is None or drafter is None:
            return self.target.placement
        if speculation.passed_layers:
            drafter = drafter.model_copy(update={"vocabulary": 1})
        return self.target.placement_with(drafter)

    @property
    def regions(self) -> tuple[Region, ...]:
        """Regions of the wafers of one replica; empty if replicas use other devices."""
        return self.target.regions

    @cached_property
    def kv_tokens(self) -> int:
        """KV cache capacity of one replica in whole blocks [tokens]."""
        block_tokens = self.pool.block_tokens
        return self.placement.kv_tokens // block_tokens * block_tokens

    @cached_property
    def block_bytes(self) -> float:
        """Size of a block of KV cache over all devices that hold it [B]."""
        plan = self.pool.replica  # the placement of wafers covers all wafers of the replica
        shares = 1 if self.pool.is_wafer else plan.tensor_parallel * plan.pipeline_parallel
        return self._device_block_bytes * shares

    @cached_property
    def kv_cache(self) -> KVCacheSpec:
        """KV cache of one replica, as its scheduler sees it."""
        swap_blocks, swap_block_s = self.swap
        pages = self.placement.pool
        return KVCacheSpec(
            kv_tokens=self.kv_tokens,
            block_tokens=self.pool.block_tokens,
            watermark=self.pool.watermark,
            prefix_caching=self.pool.kv.prefix_caching,
            swap_blocks=swap_blocks,
            swap_block_s=swap_block_s,
            offload=self.offload,
            groups=pages.groups if pages else (),
            pages=self.placement.pages,
        )

    @property
    def _device_block_bytes(self) -> float:
        """Size of a block of KV cache on each device that holds it [B]; of all wafers together."""
        placement = self.placement
        if placement.pool is not None:
            return placement.pool.page_bytes
        return placement.kv_token_bytes * self.pool.block_tokens

    @cached_property
    def _ranks(self) -> int:
        """Number of tensor-parallel devices that share a layer."""
        return 1 if self.pool.is_wafer else self.pool.replica.tensor_parallel

    @cached_property
    def kv_traffic(self) -> KVTraffic:
        """Bytes of cache and state that steps move on all devices of a tensor-parallel group."""
        return kv_traffic(self.model, self.pool.replica.kv_cache, self._ranks)

    def kv_bytes(self, tokens: int) -> float:
        """Return the size of cache and states of a request with `tokens` tokens [B].

        It counts all devices of a replica, including copies of heads.
        """
        return self._ranks * sequence_kv_bytes(
            self.model, self.pool.replica.kv_cache, self._ranks, tokens
        )

    @cached_property
    def kv_shards(self) -> KvShards:
        """Spread of the KV cache of one request over the devices of its attention rank."""
        if self.pool.is_wafer:
            return KvShards(1, self.devices_per_replica, 0)
        parts = max(kind.cache_parts for kind in self.model.attention)
        return KvShards(self.pool.replica.pipeline_parallel, self._ranks, parts)

    @property
    def attention_ranks(self) -> int:
        """Number of attention data-parallel ranks of a replica."""
        return 1 if self.pool.is_wafer else self.pool.replica.data_parallel

    # Memory behind the devices

    @property
    def keeps_kv_on_host(self) -> bool:
        """Whether blocks of KV cache move between devices and their host."""
        kv = self.pool.kv
        return kv.preemption == "swap" or any(not tier.is_shared for tier in kv.offload)

    @cached_property
    def swap_bandwidth_bytes_per_s(self) -> float | None:
        """Bandwidth between a device and its host [B/s]; None if it is unknown."""
        return self.pool.kv.swap_bandwidth_bytes_per_s or self._host_bandwidth_bytes_per_s

    @cached_property
    def swap(self) -> tuple[int, float]:
        """Number of blocks of a replica that the host keeps, and the time to move one of them [s].

        Each device moves its share over its own link.
        """
        kv = self.pool.kv
        if kv.preemption != "swap" or not (bandwidth := self.swap_bandwidth_bytes_per_s):
            return 0, 0.0
        block_bytes = self._device_block_bytes
        if self.pool.is_wafer and not self.pool.is_streamed:  # the placement covers all wafers
            block_bytes /= self.devices_per_replica
        return int(kv.swap_space_bytes / block_bytes), block_bytes / bandwidth

    @cached_property
    def offload(self) -> tuple[Level, ...]:
        """Tiers behind the KV cache of one replica.

        The time to recompute a block is assumed to be its share of a full prefill step with one
        prompt.
        """
        tiers = [tier for tier in self.pool.kv.offload if not tier.is_shared]
        if not tiers:
            return ()
        return levels(tiers, self.block_bytes, self.block_recompute_s)

    @property
    def shared_tier(self) -> Tier | None:
        """Tier that replicas of the pool or the cluster share; None if there is none."""
        return next((tier for tier in self.pool.kv.offload if tier.is_shared), None)

    @property
    def block_recompute_s(self) -> float:
        """Estimated time to recompute a block of KV cache [s]."""
        return self.pool.block_tokens / self.prefill_tokens_per_s

    @property
    def stored_block_bytes(self) -> float:
        """Size of a block in a shared tier, which keeps one copy of heads and latents [B]."""
        shards = self.kv_shards
        return (
            self.block_bytes * shards.groups / shards.tensor if shards.parts else self.block_bytes
        )

    @cached_property
    def load_s(self) -> float | None:
        """Time until every device of a replica has loaded its weights [s]; None if it is unknown.

        Replicas load weights on a cold start, when they are added, and after a repair.
        """
        if self.pool.is_streamed:
            return 0.0 if weight_store(self.pool) else None
        return loading_s(self.pool, self._device_weight_bytes, self.devices_per_replica)

    @property
    def wake_s(self) -> float:
        """Time in which a replica whose weights are in the host's memory becomes ready [s]."""
        if self.pool.is_streamed:
            return 0.0
        return waking_s(self._device_weight_bytes, self._host_bandwidth_bytes_per_s)

    @cached_property
    def ready_s(self) -> float:
        """Time from the beginning of the run until replicas are ready [s]."""
        return (self.load_s or 0.0) if self.pool.replica.start == "cold" else 0.0

    @cached_property
    def _host_bandwidth_bytes_per_s(self) -> float | None:
        return host_bandwidth_bytes_per_s(self.pool.node)

    @property
    def _device_weight_bytes(self) -> float:
        """Weights on a device; for wafers, on the one with the most weights [B]."""
        if not self.pool.is_wafer:
            return self.placement.weight_bytes
        held: dict[int, float] = {}
        for region in self.regions:
            held[region.wafer] = held.get(region.wafer, 0.0) + region.weight_bytes
        return max(held.values())

    # Step times

    @property
    def request_overhead_s(self) -> float:
        """Time from a request's arrival at the replica's server until the scheduler sees it [s]."""
        if (wafer := self.device.wafer) is not None:
            return wafer.request_s
        return self.device.overhead(self.pool.replica.engine.profile).request_s

    @property
    def front_end(self) -> FrontEndCosts:
        """Times of the front end of the replica's server for its requests."""
        if self.device.wafer is not None:
            return FrontEndCosts()
        overhead = self.device.overhead(self.pool.replica.engine.profile)
        return FrontEndCosts(overhead.accept_s, overhead.prompt_token_s)

    @cached_property
    def step_times(self) -> PlainSteps:
        """Times of one replica's engine steps at the full operating point, without drafts."""
        return self._times.plain

    @property
    def wafer_steps(self) -> WaferSteps | None:
        """Step times of a replica on wafers, as `step_times`; None for other devices."""
        times = self.step_times
        return times if isinstance(times, WaferSteps) else None

    def times_at(self, point: OperatingPoint) -> StepTimes:
        """Return the times of one replica's engine steps at an operating point, drafts included."""
        return self._times.at(point)

    @cached_property
    def _times(self) -> ReplicaTimes:
        return ReplicaTimes(self.target)

    @cached_property
    def prefill_tokens_per_s(self) -> float:
        """Rate at which one replica prefills in full steps that hold one prompt [tokens/s]."""
        model = self.model
        tokens = min(self.pool.max_batched_tokens, model.max_context)
        work = StepWork(
            prompt_tokens=tokens,
            sampled=1,
            pairs=causal_pairs(tokens, 0),
            window_pairs=LimitedView.of(model).pairs(tokens, 0),
        )
        return tokens / self.step_times.ramp(work).first_s
