"""A pool: nodes of one kind, filled with replicas of one plan."""

from __future__ import annotations

from functools import partial
from math import inf
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from cluster_sim.economics.prices import Prices
from cluster_sim.hardware.node import Node
from cluster_sim.hardware.operating_point import FULL_PACE, Pace
from cluster_sim.hardware.precision import Precision
from cluster_sim.llm.model import Model
from cluster_sim.physics.gpu import GpuSteps
from cluster_sim.physics.placement import Placement, place_on_gpus, place_on_wafers
from cluster_sim.physics.replica_layout import Hops, ReplicaLayout
from cluster_sim.physics.speculative_steps import SpeculativeSteps
from cluster_sim.physics.step_work import StepWork
from cluster_sim.physics.transformer import causal_pairs, step_kv_bytes, window_pairs
from cluster_sim.physics.wafer import WaferSteps
from cluster_sim.physics.wafer_placement import WaferLayout, WaferPlan, regions_of, wafers_needed
from cluster_sim.schema import Description, named
from cluster_sim.serving.engine import Engine
from cluster_sim.serving.kv_cache.offload import Level, Tier, levels
from cluster_sim.serving.scheduler import (
    Batch,
    Batching,
    Continuous,
    ContinuousBatch,
    DecodeBatch,
    PrefillBatch,
    SpeculativeDecodeBatch,
    Static,
    StaticBatch,
)
from cluster_sim.serving.scheduler.speculative import SpeculativeBatch
from cluster_sim.serving.speculation import Speculation
from cluster_sim.topology import Topology, group_path, host_bandwidth_bytes_per_s
from cluster_sim.units import Bytes, BytesPerSecond, Watts
from cluster_sim.workload.random_streams import numbered

Count = Annotated[int, Field(gt=0)]


_NO_LIMIT = 1 << 40  # tokens


class ReplicaPlan(Description):
    """How one copy of the model lies on devices."""

    tensor_parallel: Count = 1
    pipeline_parallel: Count = 1
    data_parallel: Count = 1
    """Attention data parallelism: ranks that hold all but the experts, each with sequences of its
    own; batching limits are of a rank."""
    expert_parallel: Count = 1
    """Groups of devices that hold whole experts; 1: experts are split over all devices, as every
    other weight."""
    wafers: Count | None = None
    """Of a wafer-scale device; default: as many as the weights need, or one where they are
    streamed."""
    layout: WaferLayout = "regions"
    """On wafers: regions, each layer has cores of its own and tokens flow through; whole, a wafer's
    layers take turns on all its cores."""
    reserved_rows: Annotated[int, Field(ge=0)] = 0
    """Of each wafer's grid of cores, kept for other things."""
    defective_cores: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of a wafer's cores that only pass on what comes; spread evenly."""
    weights_from: Literal["memory", "memoryx"] = "memory"
    """memory: the weights stay on the devices; memoryx: they are streamed to wafers layer by layer
    in every step, to all at once."""
    start: Literal["warm", "cold"] = "warm"
    """cold: the replica takes requests from the beginning and works on them once its weights are
    loaded."""
    load_bandwidth_bytes_per_s: BytesPerSecond | None = None
    """At which each device loads its weights on a cold start; default: of the node's link between
    host and device."""
    weights: Precision | None = None
    """Precision of the weights; default: as the model is published."""
    kv_cache: Precision = "bf16"
    engine: Annotated[
        Engine, BeforeValidator(partial(named, "engines"), json_schema_input_type=str | Engine)
    ] = Field(default="vllm", validate_default=True)
    """A catalog name or the path of an engine file: limits and reserves that the scenario leaves
    out."""
    role: Literal["both", "prefill", "decode"] = "both"
    """Whether requests are served here from prompt to answer, or handed over between the two: see
    the cluster's `hand_over`."""
    speculation: Speculation | None = None
    """Tokens drafted and checked in each step; default: none."""


class Kv(Description):
    """The KV cache of a replica; what is left out is the engine's."""

    block_tokens: Count | None = None
    memory_fraction: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    """Share of a device's memory that the engine uses, weights included."""
    prefix_caching: bool = False
    """Whether whole blocks of prompts and answers stay to be found again, the least recently used
    thrown away first."""
    preemption: Literal["recompute", "swap"] = "recompute"
    """Whether the KV of a request that is preempted is read again or kept in the host's memory."""
    swap_space_bytes: Bytes = 4.0 * 2**30
    """Of the host's memory for each device, as vLLM's; where it is full, requests are read
    again."""
    swap_bandwidth_bytes_per_s: BytesPerSecond | None = None
    """Between a device and the host; default: of the narrowest link on the way."""
    watermark: Annotated[float, Field(ge=0.0, lt=1.0)] | None = None
    """Share of the blocks that stays free when a request is admitted beside others, for those to
    grow; default: the engine's."""
    offload: tuple[Tier, ...] = ()
    """Where blocks go that prefix caching throws away, from one tier to the next; fetched from
    there where that is faster than to read them again."""


class Pool(Description):
    """Nodes of one kind, filled with replicas of one plan."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]
    node: Annotated[
        Node, BeforeValidator(partial(named, "nodes"), json_schema_input_type=str | Node)
    ]
    """A catalog name, the path of a node file, or a mapping with its keys."""
    nodes: Count = 1
    prices: (
        Annotated[
            Prices, BeforeValidator(partial(named, "prices"), json_schema_input_type=str | Prices)
        ]
        | None
    ) = None
    """What its nodes cost: a catalog name, the path of a file of prices, or a mapping with its
    keys; default: what the node's file says."""
    replica: ReplicaPlan = Field(default_factory=ReplicaPlan)
    replicas: Count | None = None
    """Fewer replicas than fit; default: as many as fit."""
    batching: Batching = Field(default_factory=Continuous)
    kv: Kv = Field(default_factory=Kv)
    power_limit_w: Watts | None = None
    """What each device may draw, below its own limit; its clock is lowered to keep it. Default: its
    own."""

    @property
    def offer(self) -> Prices | None:
        """What its nodes cost; None where nobody says."""
        return self.prices or self.node.prices

    @property
    def is_wafer(self) -> bool:
        """Whether replicas lie on wafers."""
        return self.node.device.wafer is not None

    @property
    def is_streamed(self) -> bool:
        """Whether the weights come anew in every step."""
        return self.replica.weights_from == "memoryx"

    def weights(self, model: Model) -> Precision:
        """The precision in which `model` is served."""
        return self.replica.weights or model.native

    def devices_a_replica(self, model: Model) -> int:
        """Devices that one replica takes."""
        if self.is_wafer:
            if self.is_streamed:
                return self.replica.wafers or 1
            return self.replica.wafers or wafers_needed(
                model, self.node.device, self.weights(model)
            )
        return (
            self.replica.tensor_parallel
            * self.replica.pipeline_parallel
            * self.replica.data_parallel
        )

    def replica_count(self, model: Model) -> int:
        """Replicas in this pool."""
        return self.replicas or self.nodes * self.node.devices // self.devices_a_replica(model)

    @property
    def max_sequences(self) -> int:
        """Requests in a replica's batch at once."""
        return (
            self.batching.max_sequences or self.replica.engine.max_sequences
        ) * self.replica.data_parallel

    @property
    def max_batched_tokens(self) -> int:
        """Tokens of one step of a replica; a static batch is read in one, however long."""
        if isinstance(self.batching, Static):
            return _NO_LIMIT
        return (
            self.batching.max_batched_tokens or self.replica.engine.max_batched_tokens
        ) * self.replica.data_parallel

    @property
    def chunked_prefill(self) -> bool:
        """Whether prompts may be spread over steps."""
        if isinstance(self.batching, Static):
            return False
        chunked = self.batching.chunked_prefill
        return self.replica.engine.chunked_prefill if chunked is None else chunked

    @property
    def block_tokens(self) -> int:
        """Tokens of a block of KV cache."""
        return self.kv.block_tokens or self.replica.engine.block_tokens

    @property
    def watermark(self) -> float:
        """Share of the KV room that admission leaves free."""
        return self.replica.engine.watermark if self.kv.watermark is None else self.kv.watermark

    @property
    def request_overhead_s(self) -> float:
        """From a request's arrival at a replica's server until its scheduler sees it."""
        if (wafer := self.node.device.wafer) is not None:
            return wafer.request_s
        return self.node.device.overhead(self.replica.engine.name).request_s

    def placement(self, model: Model) -> Placement:
        """Where one replica's weights and KV lie; a model that drafts has its own of both."""
        devices = self.devices_a_replica(model)
        own = self._placement(model, devices)
        if (
            self.replica.speculation is None
            or (drafter := self.replica.speculation.draft_model) is None
        ):
            return own
        return own.beside(self._placement(drafter, devices))

    def _placement(self, model: Model, devices: int) -> Placement:
        plan, engine, device = self.replica, self.replica.engine, self.node.device
        if self.is_wafer:
            return place_on_wafers(model, device, self.wafer_plan(model, devices))
        reserved = engine.reserved_bytes + (engine.reserved_group_bytes if devices > 1 else 0.0)
        return place_on_gpus(
            model, device, plan.tensor_parallel, plan.pipeline_parallel, self.weights(model), plan.kv_cache,
            self.kv.memory_fraction or engine.memory_fraction, reserved, self.max_sequences, plan.data_parallel,
        )  # fmt: skip

    def wafer_plan(self, model: Model, wafers: int | None = None) -> WaferPlan:
        """How a replica lies on wafers, on so many of them or as many as it takes."""
        plan = self.replica
        return WaferPlan(
            wafers or self.devices_a_replica(model), self.weights(model), plan.kv_cache, plan.layout, self.is_streamed, self.max_sequences,
            plan.reserved_rows, plan.defective_cores,
        )  # fmt: skip

    def kv_tokens(self, model: Model) -> int:
        """Room of one replica's KV cache in whole blocks [tokens]."""
        return self.placement(model).kv_tokens // self.block_tokens * self.block_tokens

    @property
    def swap_bandwidth_bytes_per_s(self) -> float | None:
        """Between a device and its host, where it is known."""
        return self.kv.swap_bandwidth_bytes_per_s or host_bandwidth_bytes_per_s(self.node)

    def load_s(self, model: Model) -> float | None:
        """Until every device of a replica has its weights, each over its own link; None where that
        is not known.
        """
        bandwidth = self.replica.load_bandwidth_bytes_per_s or host_bandwidth_bytes_per_s(self.node)
        if not bandwidth:
            return None
        if self.is_streamed:
            return 0.0
        own_bytes = self.placement(model).weight_bytes
        return (self._fullest_wafer_bytes(model) if self.is_wafer else own_bytes) / bandwidth

    def _fullest_wafer_bytes(self, model: Model) -> float:
        """Weights of the wafer with most of them."""
        held: dict[int, float] = {}
        for region in regions_of(model, self.node.device, self.wafer_plan(model)):
            held[region.wafer] = held.get(region.wafer, 0.0) + region.weight_bytes
        return max(held.values())

    def ready_s(self, model: Model) -> float:
        """From the run's beginning until its replicas work."""
        return (self.load_s(model) or 0.0) if self.replica.start == "cold" else 0.0

    def swap(self, model: Model) -> tuple[int, float]:
        """(blocks that the host keeps of a replica, seconds to move one of them): each device's
        share moves over its own link.
        """
        if self.kv.preemption != "swap" or not (bandwidth := self.swap_bandwidth_bytes_per_s):
            return 0, 0.0
        block_bytes = self.placement(model).kv_token_bytes * self.block_tokens
        if self.is_wafer and not self.is_streamed:  # whose placement is that of all wafers
            block_bytes /= self.devices_a_replica(model)
        return int(self.kv.swap_space_bytes / block_bytes), block_bytes / bandwidth

    def block_bytes(self, model: Model) -> float:
        """Of a block of KV, over all devices that hold it."""
        shares = (
            1 if self.is_wafer else self.replica.tensor_parallel * self.replica.pipeline_parallel
        )  # the wafers' placement is that of all
        return self.placement(model).kv_token_bytes * self.block_tokens * shares

    def offload(self, model: Model) -> tuple[Level, ...]:
        """The tiers behind one replica; to read a block's tokens again is held to take what they
        take in a full step of one prompt.
        """
        if not self.kv.offload:
            return ()
        return levels(
            self.kv.offload,
            self.block_bytes(model),
            self.block_tokens / self.prefill_tokens_per_s(model),
        )

    def step_times(
        self, model: Model, pace: Pace = FULL_PACE, devices: int | None = None
    ) -> GpuSteps | WaferSteps:
        """How long one replica's steps take at `pace`, without speculation; on the `devices` of
        another model where they are given.
        """
        plan, device = self.replica, self.node.device.at(pace)
        if self.is_wafer:
            io_bytes_per_s = (host_bandwidth_bytes_per_s(self.node) or inf) * pace.links
            return WaferSteps(
                model, device, self.wafer_plan(model, devices), plan.engine.name, io_bytes_per_s
            )
        layout = ReplicaLayout(
            tensor_parallel=plan.tensor_parallel,
            pipeline_parallel=plan.pipeline_parallel,
            data_parallel=plan.data_parallel,
            expert_parallel=plan.expert_parallel,
            weights=self.weights(model),
            kv_cache=plan.kv_cache,
            engine=plan.engine.name,
            graph_batches=plan.engine.graph_batches,
            between_nodes=self.between_nodes,
        )
        return GpuSteps(model, device, layout)

    @property
    def between_nodes(self) -> Hops:
        """The hops of a replica's pipeline that leave a node; those of the first replica, which
        stand for all.
        """
        plan, devices = self.replica, self.node.devices
        stage = plan.tensor_parallel * plan.data_parallel
        count = sum(
            first % devices == 0 for first in range(stage, stage * plan.pipeline_parallel, stage)
        )
        if self.is_wafer or not count:
            return Hops()
        sending, receiving = (
            [f"pool/{node}/device{first + lane}" for lane in range(plan.tensor_parallel)]
            for node, first in ((0, devices - stage), (1, 0))
        )
        way = group_path(Topology({"pool/0": self.node, "pool/1": self.node}), sending, receiving)
        return Hops(count, way.route.latency_s, way.bytes_per_s)

    def prefill_tokens_per_s(self, model: Model) -> float:
        """Prompt tokens that one replica reads a second in steps that hold nothing but one prompt,
        filled to the brim.
        """
        tokens, window = (
            min(self.max_batched_tokens, model.max_context),
            model.window.tokens if model.window else 0,
        )
        work = StepWork(
            prompt_tokens=tokens,
            sampled=1,
            pairs=causal_pairs(tokens, 0),
            window_pairs=window_pairs(tokens, 0, window),
        )
        return tokens / self.step_times(model).ramp(work).first_s

    def speculative_step_times(
        self, model: Model, pace: Pace = FULL_PACE
    ) -> SpeculativeSteps | None:
        """How long they take with it, where the plan asks for it."""
        plan = self.replica.speculation
        if plan is None:
            return None
        drafting, share = plan.draft_model, plan.draft_cost or 0.0
        if plan.mtp_layers and self.is_wafer:  # a few more stations in the same pipeline
            share = plan.mtp_layers / model.layers
        elif plan.mtp_layers:
            drafting = model.last_layers(plan.mtp_layers)
        drafter = (
            self.step_times(drafting, pace, self.devices_a_replica(model)) if drafting else None
        )
        return SpeculativeSteps(self.step_times(model, pace), plan.draft_tokens, drafter, share)

    def batch(self, model: Model, seed: int = 0) -> Batch:
        """The empty batch of one replica."""
        limits = (
            self.kv_tokens(model), self.block_tokens, self.max_sequences, self.max_batched_tokens, self.chunked_prefill, model.max_context,
        )  # fmt: skip
        window = model.window.tokens if model.window else 0
        if isinstance(self.batching, Static):
            return StaticBatch(
                self.kv_tokens(model),
                self.block_tokens,
                self.max_sequences,
                model.max_context,
                window,
            )
        engine, policy = self.replica.engine, self.batching
        policy = policy.model_copy(
            update={
                name: getattr(engine, name)
                for name in ("batch_wait_timeout_iterations", "batch_wait_max_tokens_ratio")
                if getattr(policy, name) is None
            }
        )
        kept = (*self.swap(model), self.offload(model))
        role = self.replica.role
        if (speculation := self.replica.speculation) is not None:
            speculative = SpeculativeDecodeBatch if role == "decode" else SpeculativeBatch
            return speculative(
                *limits,
                self.kv.prefix_caching,
                speculation,
                numbered(seed, "speculation"),
                policy,
                self.watermark,
                *kept,
            )
        kind = {"both": ContinuousBatch, "prefill": PrefillBatch, "decode": DecodeBatch}[role]
        return kind(*limits, window, self.kv.prefix_caching, 0, None, policy, self.watermark, *kept)

    def kv_bytes(self, model: Model, tokens: int) -> float:
        """Of a request with `tokens` tokens in the cache, over all devices of a replica, copies of
        heads included.
        """
        windowed = min(tokens, model.window.tokens) if model.window else 0
        lanes = 1 if self.is_wafer else self.replica.tensor_parallel
        return float(step_kv_bytes(model, self.replica.kv_cache, lanes, 0, tokens, windowed))
