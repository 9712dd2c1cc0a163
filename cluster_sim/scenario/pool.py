"""A pool: nodes of one kind, filled with replicas of one plan."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from cluster_sim.economics.prices import Prices, below_materials
from cluster_sim.hardware.clock_grid import ClockGrid
from cluster_sim.hardware.node import Node
from cluster_sim.hardware.precision import Precision
from cluster_sim.llm.model import Model
from cluster_sim.physics.replica_layout import Overlap, ReplicaLayout
from cluster_sim.physics.step_overlap import SplitFrom
from cluster_sim.physics.wafer_regions import WaferLayout
from cluster_sim.scenario.kv import Kv
from cluster_sim.scenario.power_cap import SomePowerCap
from cluster_sim.schema import Description, Named
from cluster_sim.serving.autoscaling import Scaling
from cluster_sim.serving.disaggregation import Role
from cluster_sim.serving.engine import Engine, known
from cluster_sim.serving.frequency import Frequency
from cluster_sim.serving.phase_exchanges import exchange_plan
from cluster_sim.serving.scheduler import Batching, Continuous
from cluster_sim.serving.speculation import Speculation
from cluster_sim.typing import ClusterCount, CountOrZero
from cluster_sim.units import BytesPerSecond
from cluster_sim.workload.expert_load import ExpertLoadSpec, SomeExpertLoad


class ReplicaPlan(Description):
    """Plan of one replica: how one copy of the model is placed on devices and served."""

    bare_key: ClassVar[str] = "tensor_parallel"

    tensor_parallel: ClusterCount = 1
    """Number of devices over which each layer is split."""
    pipeline_parallel: ClusterCount = 1
    """Number of pipeline stages into which the layers are split."""
    data_parallel: ClusterCount = 1
    """Number of attention data-parallel ranks. Each rank holds all weights but the experts and has
    its own sequences. Batching limits apply per rank."""
    expert_parallel: ClusterCount = 1
    """Number of groups of devices that hold whole experts. With 1, experts are split over all
    devices like all other weights."""
    redundant_experts: CountOrZero = 0
    """Number of further copies of experts in each layer, over all groups. They go to the most
    popular experts (EPLB), and all copies are placed so that the groups have equal loads."""
    expert_load: SomeExpertLoad = Field(default_factory=ExpertLoadSpec)
    """Popularity of experts. even: tokens pick all experts with equal probability. `{sigma: 1.05}`:
    a log-normal law. `{path: FILE}`: a routing trace. Default: even."""
    overlap: Overlap = "none"
    """Overlap of computing and exchanges of experts in a step. none: they follow each other.
    two_batch: the exchange of one half of the batch runs while the other half computes."""
    wafers: ClusterCount | None = None
    """Number of wafers per replica, for wafer-scale devices. Default: as many as the weights need,
    or 1 if the weights are streamed."""
    layout: WaferLayout = "regions"
    """Placement of layers on wafers. regions: each layer has its own cores and tokens flow through
    the regions. whole: the layers of a wafer take turns on all its cores."""
    reserved_rows: CountOrZero = 0
    """Number of rows of each wafer's grid of cores that are reserved for other uses."""
    defective_cores: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of a wafer's cores that only forward traffic. They are spread evenly over the wafer."""
    weights_from: Literal["memory", "memoryx"] = "memory"
    """Location of the weights. memory: they stay on the devices. memoryx: they are streamed to all
    wafers simultaneously, layer by layer, in every step."""
    start: Literal["warm", "cold"] = "warm"
    """State of the replica at time zero. warm: its weights are loaded. cold: it accepts requests
    from the beginning and processes them after its weights are loaded."""
    weights_at: Literal["host", "disk", "network"] = "host"
    """Store from which weights are loaded when a replica starts. host: the memory of the host, or
    MemoryX for wafers. disk: the local NVMe disks, which devices of a server share. network: an
    object store, which a server reads at 5 GB/s."""
    load_bandwidth_bytes_per_s: BytesPerSecond | None = None
    """Bandwidth at which each device loads its weights when a replica starts [B/s]. Default: that
    of the store and of the node's link between host and device, whichever is slower."""
    weights: Precision | None = None
    """Precision of the weights. Default: the precision in which the model is published."""
    kv_cache: Precision = "bf16"
    """Precision of the KV cache."""
    engine: Annotated[Engine, Named("engines")] = Field(default="vllm", validate_default=True)
    """Serving engine: a catalog name, the path of an engine file, or a mapping with its keys, such
    as `{like: vllm, max_sequences: 64}`. It gives the limits and reserves that the scenario
    omits."""
    role: Role = "both"
    """Phases of a request that are served here. With prefill and decode, two pools share each
    request: see `disaggregation` of the cluster."""
    speculation: Speculation | None = None
    """Speculative decoding: tokens that are drafted and verified in each step. Default: no
    drafts."""

    @property
    def stage_devices(self) -> int:
        """Number of devices per pipeline stage: those of all attention data-parallel ranks."""
        return self.tensor_parallel * self.data_parallel

    def weights_of(self, model: Model) -> Precision:
        """Return the precision of a model's weights on this replica."""
        return self.weights or model.native

    def layout_of(self, model: Model) -> ReplicaLayout:
        """Return the spread of a model over GPUs, without captured graphs and networks."""
        engine = self.engine
        return ReplicaLayout(
            tensor_parallel=self.tensor_parallel,
            pipeline_parallel=self.pipeline_parallel,
            data_parallel=self.data_parallel,
            expert_parallel=self.expert_parallel,
            weights=self.weights_of(model),
            kv_cache=self.kv_cache,
            engine=engine.profile,
            attention_backend=engine.attention_backend,
            exchange=exchange_plan(engine.expert_exchange),
            graph_batches=engine.graph_batches,
            redundant_experts=self.redundant_experts if model.experts else 0,
            expert_load=self.expert_load.load,
            overlap=self.overlap,
            fused_experts=engine.fused_experts,
            split_from=engine.two_batch_from.split_from if engine.two_batch_from else SplitFrom(),
        )


class Pool(Description):
    """Nodes of one kind, filled with replicas of one plan."""

    bare_key: ClassVar[str] = "node"

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$", max_length=100)]
    """Name of the pool. Tables and events use it in the names of its nodes."""
    node: Annotated[Node, Named("nodes")]
    """Kind of node: a catalog name, the path of a node file, or a mapping with its keys, such as
    `{like: dgx-b200, prices: b200-rented}`."""
    nodes: ClusterCount = 1
    """Number of nodes in the pool."""
    domain: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$", max_length=100)] | None = None
    """Name of a scale-up domain, such as the NVLink domain of a rack, that the pool's nodes share
    with those of other pools. Devices of a domain reach each other over their switch instead of the
    network. Default: each node is a domain of its own."""
    prices: Annotated[Prices, Named("prices")] | None = None
    """Prices of the nodes: a catalog name, the path of a file of prices, or a mapping with its
    keys. Default: the prices in the node's file."""
    replica: ReplicaPlan = Field(default_factory=ReplicaPlan)
    """Plan of each replica. Default: one device per replica, and the defaults below."""
    replicas: ClusterCount | None = None
    """Number of replicas. Default: as many as the nodes hold."""
    batching: Batching = Field(default_factory=Continuous)
    """Policy that forms the batch of each step. Default: continuous batching."""
    kv: Kv = Field(default_factory=Kv)
    """KV cache of each replica. Default: the settings of the engine."""
    autoscale: Scaling | None = None
    """Autoscaling of the pool between two numbers of replicas, such as `{metric: queue, min: 1, max:
    6}`. Default: all replicas are ready during the whole run."""
    power_limit_w: SomePowerCap | None = None
    """Power that each device may draw, below its own limit [W]: a power, or `points` with its
    schedule. The device lowers its clock to stay within it. Default: the limit of the device."""
    placement: Literal["in_order", "rear_last"] = "in_order"
    """Order in which replicas take the devices. in_order: node by node. rear_last: the devices that
    the air reaches first in every node, and then those behind them."""
    frequency: Frequency | None = None
    """Policy that locks the clock of the devices, such as `{policy: fixed, clock: 1.4 GHz}`.
    Default: the devices run at their highest clock, as far as heat and their power limit allow."""

    @property
    def offer(self) -> Prices | None:
        """Prices of the nodes; None if they are unknown."""
        return self.prices or self.node.prices

    @property
    def offer_below_materials(self) -> str | None:
        """Sentence about an offer that costs less than the node's materials; None otherwise."""
        if self.offer is None:
            return None
        return below_materials(self.offer, self.node.materials, self.node.devices)

    def warnings_of_clocks(self) -> Iterator[str]:
        """Yield the clocks of the frequency policy at which step times are extrapolated."""
        if self.frequency is not None and (governor := self.node.device.governor) is not None:
            for text in self.frequency.warnings(ClockGrid.of(governor)):
                yield f"pool '{self.name}': {text}"

    @property
    def is_wafer(self) -> bool:
        """Whether replicas are placed on wafers."""
        return self.node.device.wafer is not None

    @property
    def is_streamed(self) -> bool:
        """Whether the weights are streamed to the devices in every step."""
        return self.replica.weights_from == "memoryx"

    @property
    def replica_devices(self) -> int:
        """Number of devices of one replica by its plan; 0 if the weights decide."""
        plan = self.replica
        if self.is_wafer:
            return plan.wafers or (1 if self.is_streamed else 0)
        return plan.tensor_parallel * plan.pipeline_parallel * plan.data_parallel

    def replica_count(self, devices_per_replica: int) -> int:
        """Return the number of replicas: the number in the file, or as many as fit.

        It is the maximum number if the pool is scaled.
        """
        if self.autoscale is not None:
            return self.autoscale.max
        return self.replicas or self.nodes * self.node.devices // devices_per_replica

    @property
    def engine(self) -> Engine:
        """Engine of the replicas, with the values that it chooses on the pool's devices."""
        return self.replica.engine.on(self.node.device, self.replica.stage_devices)

    @property
    def max_sequences(self) -> int:
        """Number of batch slots of a replica.

        The engine's number is reduced if its sequences would not fit into a step with their drafts,
        or if the engine has another limit with drafts.
        """
        ranks = self.replica.data_parallel
        if self.batching.max_sequences is not None:
            return self.batching.max_sequences * ranks
        per_rank, speculation = known(self.engine.max_sequences), self.replica.speculation
        if speculation is not None and self.batching.is_continuous:
            fitting = per_rank
            if self.decodes_within_limit:
                fitting = self.batching.step_tokens(self.engine) // (1 + speculation.draft_tokens)
            if (drafting := self.engine.max_drafting_sequences) is not None:
                fitting = min(fitting, drafting // ranks)
            per_rank = min(per_rank, max(fitting, 1))
        return per_rank * ranks

    @property
    def admission(self) -> str:
        """Rule of admission: a `capacity_scheduler_policy`, `prefill_first`, `whole_prompts` or `static`."""
        return self.batching.admission(self.engine, self.replica.role)

    @property
    def prefills_apart(self) -> bool:
        """Whether steps prefill or decode, so that sequences take no tokens from prompts."""
        return self.batching.prefills_apart(self.engine, self.replica.role)

    @property
    def reserved_answers(self) -> float:
        """Share of running requests' remaining answers for which admission keeps blocks."""
        plan = self.replica
        return self.batching.reserved_answers(self.engine, plan.role, plan.data_parallel)

    @property
    def decodes_within_limit(self) -> bool:
        """Whether the tokens of decode steps are limited by max_batched_tokens.

        With `prefill_first` it is the chunk of steps that prefill, and decode steps are apart.
        """
        return self.admission != "prefill_first"

    @property
    def max_batched_tokens(self) -> int:
        """Maximum number of tokens of one step of a replica. A static batch has no maximum."""
        per_rank = self.batching.step_tokens(self.engine)
        return per_rank * self.replica.data_parallel

    @property
    def chunked_prefill(self) -> bool:
        """Whether the prefill of a prompt may be split over several steps."""
        return self.batching.is_chunked(self.engine)

    @property
    def sends_chunks(self) -> bool:
        """Whether clients see other chunks of the pool's answers than one per engine step."""
        return self.replica.role != "prefill" and self.replica.engine.sends_chunks

    @property
    def block_tokens(self) -> int:
        """Number of tokens per block of KV cache."""
        return self.kv.block_tokens or self.engine.block_tokens

    @property
    def watermark(self) -> float:
        """Share of the KV cache that admission keeps free; 0 with rules that have no use for it."""
        if self.admission in ("guaranteed_no_evict", "prefill_first"):
            return 0.0
        return self.engine.watermark if self.kv.watermark is None else self.kv.watermark
