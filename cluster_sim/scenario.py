"""Everything one run depends on, read from a scenario file and checked as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, partial
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from cluster_sim.hardware import Network, Node, Precision
from cluster_sim.model import Model, read_model
from cluster_sim.physics.gpu import GpuSteps
from cluster_sim.physics.placement import Placement, place_on_gpus, place_on_wafers, wafers_needed
from cluster_sim.physics.transformer import causal_pairs, windowed_pairs
from cluster_sim.physics.wafer import WaferSteps
from cluster_sim.reading import Description, named, yaml_text
from cluster_sim.serving.admission import AcceptAll, Admission
from cluster_sim.serving.batching import Batch, Batching
from cluster_sim.serving.engine import Engine
from cluster_sim.serving.routing import LeastRequests, Routing
from cluster_sim.topology import Topology
from cluster_sim.units import Celsius, GramsPerKwh, PositiveSeconds, Seconds, UsdPerKwh, Watts
from cluster_sim.workload.arrivals import Arrivals
from cluster_sim.workload.classes import Slo, TrafficClass
from cluster_sim.workload.lengths import Lengths
from cluster_sim.workload.traces import Trace
from cluster_sim.workload.traffic import lengths, lengths_by_class

Count = Annotated[int, Field(gt=0)]


class Workload(Description):
    """What arrives: a process with lengths, or a trace."""

    arrivals: Arrivals | None = None
    prompt_tokens: Lengths | None = None
    output_tokens: Lengths | None = None
    trace: Trace | None = None
    """A recorded trace in place of arrivals and lengths."""
    classes: tuple[TrafficClass, ...] = ()
    """Parts of the traffic with priorities, objectives and lengths of their own; each request is drawn to one of them."""

    def lengths(self, seed: int) -> Iterator[tuple[int, int]]:
        """(prompt, output) tokens of the first request, the second, and so on without end; not for a trace."""
        if self.classes:
            return lengths_by_class(self.prompt_tokens, self.output_tokens, self.classes, seed)
        assert self.prompt_tokens is not None and self.output_tokens is not None
        return lengths(self.prompt_tokens, self.output_tokens, seed)

    def length_pairs(self) -> list[tuple[Lengths | None, Lengths | None]]:
        """What prompts and outputs are drawn from, class by class where there are classes."""
        if not self.classes:
            return [(self.prompt_tokens, self.output_tokens)]
        return [(one.prompt_tokens or self.prompt_tokens, one.output_tokens or self.output_tokens) for one in self.classes]


class ReplicaPlan(Description):
    """How one copy of the model lies on devices."""

    tensor_parallel: Count = 1
    pipeline_parallel: Count = 1
    data_parallel: Count = 1
    """Attention data parallelism: ranks that hold all but the experts, each with sequences of its own; batching limits are of a rank."""
    expert_parallel: Count = 1
    """Groups of devices that hold whole experts; 1: experts are split over all devices, as every other weight."""
    wafers: Count | None = None
    """Of a wafer-scale device; default: as many as the weights need."""
    weights: Precision | None = None
    """Precision of the weights; default: as the model is published."""
    kv_cache: Precision = "bf16"
    engine: Annotated[Engine, BeforeValidator(partial(named, "engines"), json_schema_input_type=str | Engine)] = Field(default="vllm", validate_default=True)
    """A catalog name or the path of an engine file: limits and reserves that the scenario leaves out."""
    role: Literal["both"] = "both"


class Kv(Description):
    """The KV cache of a replica; what is left out is the engine's."""

    block_tokens: Count | None = None
    memory_fraction: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    """Share of a device's memory that the engine uses, weights included."""
    prefix_caching: Literal[False] = False
    preemption: Literal["recompute"] = "recompute"


class Pool(Description):
    """Nodes of one kind, filled with replicas of one plan."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]
    node: Annotated[Node, BeforeValidator(partial(named, "nodes"), json_schema_input_type=str | Node)]
    """A catalog name, the path of a node file, or a mapping with its keys."""
    nodes: Count = 1
    replica: ReplicaPlan = Field(default_factory=ReplicaPlan)
    replicas: Count | None = None
    """Fewer replicas than fit; default: as many as fit."""
    batching: Batching = Field(default_factory=Batching)
    kv: Kv = Field(default_factory=Kv)

    @property
    def is_wafer(self) -> bool:
        """Whether replicas lie on wafers."""
        return self.node.device.wafer is not None

    def weights(self, model: Model) -> Precision:
        """The precision in which `model` is served."""
        return self.replica.weights or model.native

    def devices_a_replica(self, model: Model) -> int:
        """Devices that one replica takes."""
        if self.is_wafer:
            return self.replica.wafers or wafers_needed(model, self.node.device, self.weights(model))
        return self.replica.tensor_parallel * self.replica.pipeline_parallel * self.replica.data_parallel

    def replica_count(self, model: Model) -> int:
        """Replicas in this pool."""
        return self.replicas or self.nodes * self.node.devices // self.devices_a_replica(model)

    @property
    def max_sequences(self) -> int:
        """Requests in a replica's batch at once."""
        return (self.batching.max_sequences or self.replica.engine.max_sequences) * self.replica.data_parallel

    @property
    def max_batched_tokens(self) -> int:
        """Tokens of one step of a replica."""
        return (self.batching.max_batched_tokens or self.replica.engine.max_batched_tokens) * self.replica.data_parallel

    @property
    def chunked_prefill(self) -> bool:
        """Whether prompts may be spread over steps."""
        chunked = self.batching.chunked_prefill
        return self.replica.engine.chunked_prefill if chunked is None else chunked

    @property
    def block_tokens(self) -> int:
        """Tokens of a block of KV cache."""
        return self.kv.block_tokens or self.replica.engine.block_tokens

    @property
    def request_overhead_s(self) -> float:
        """From a request's arrival at a replica's server until its scheduler sees it."""
        return 0.0 if self.is_wafer else self.node.device.overhead(self.replica.engine.name).request_s

    def placement(self, model: Model) -> Placement:
        """Where one replica's weights and KV lie."""
        plan, engine, device = self.replica, self.replica.engine, self.node.device
        if self.is_wafer:
            return place_on_wafers(model, device, self.devices_a_replica(model), self.weights(model), plan.kv_cache)
        reserved = engine.reserved_bytes + (engine.reserved_group_bytes if self.devices_a_replica(model) > 1 else 0.0)
        return place_on_gpus(
            model, device, plan.tensor_parallel, plan.pipeline_parallel, self.weights(model), plan.kv_cache,
            self.kv.memory_fraction or engine.memory_fraction, reserved, self.max_sequences, plan.data_parallel,
        )  # fmt: skip

    def kv_tokens(self, model: Model) -> int:
        """Room of one replica's KV cache in whole blocks [tokens]."""
        return self.placement(model).kv_tokens // self.block_tokens * self.block_tokens

    def step_times(self, model: Model) -> GpuSteps | WaferSteps:
        """How long one replica's steps take."""
        plan, device = self.replica, self.node.device
        if self.is_wafer:
            return WaferSteps(model, device, self.devices_a_replica(model))
        return GpuSteps(
            model, device, plan.tensor_parallel, plan.pipeline_parallel, self.weights(model), plan.kv_cache, plan.engine.name,
            plan.data_parallel, plan.expert_parallel,
        )  # fmt: skip

    def prefill_tokens_per_s(self, model: Model) -> float:
        """Prompt tokens that one replica reads a second in steps that hold nothing but one prompt, filled to the brim."""
        tokens, window = min(self.max_batched_tokens, model.max_context), model.window.tokens if model.window else 0
        seconds, _, _ = self.step_times(model).mixed(0, 0, 0, 0, tokens, 1, causal_pairs(tokens, 0), windowed_pairs(tokens, 0, window), 0)
        return tokens / seconds

    def batch(self, model: Model) -> Batch:
        """The empty batch of one replica."""
        window = model.window.tokens if model.window else 0
        return Batch(self.kv_tokens(model), self.block_tokens, self.max_sequences, self.max_batched_tokens, self.chunked_prefill, model.max_context, window)


class Cluster(Description):
    """The machines, and how requests find them."""

    pools: Annotated[tuple[Pool, ...], Field(min_length=1)]
    router: Routing = Field(default_factory=LeastRequests)
    admission: Admission = Field(default_factory=AcceptAll)
    """Which requests are turned away at the front door; default: none."""
    network: Annotated[Network, BeforeValidator(partial(named, "links"), json_schema_input_type=str | Network)] | None = None
    """How the front door reaches the nodes; default: what each node's file says."""

    def topology(self) -> Topology:
        """All places and links."""
        nodes = {f"{pool.name}/{number}": pool.node for pool in self.pools for number in range(pool.nodes)}
        return Topology(nodes, self.network)


class SiteEvent(Description):
    """Something that goes wrong."""

    at_s: Seconds
    lasts_s: PositiveSeconds
    what: str
    where: str
    factor: Annotated[float, Field(ge=0.0)] = 1.0


class Site(Description):
    """Where the cluster stands. Read and kept with the run; heat, power and cost are not simulated yet."""

    inlet_c: Celsius | None = None
    pue: Annotated[float, Field(ge=1.0)] | None = None
    electricity_usd_per_kwh: UsdPerKwh | None = None
    carbon_intensity_g_per_kwh: GramsPerKwh | None = None
    rack_power_cap_w: Watts | None = None
    events: tuple[SiteEvent, ...] = ()


class Scenario(Description):
    """One run: model, traffic, cluster, and the seed of every random choice."""

    keys_beside: ClassVar[tuple[str, ...]] = ("variants", "sweep", "capacity")

    name: str
    variant: str | None = None
    """Which variant of the file this is."""
    seed: Annotated[int, Field(ge=0)] = 0
    duration_s: PositiveSeconds | None = None
    """Arrivals stop here. May be left out where requests are counted, and with a trace."""
    drain_s: Seconds = 3600.0
    """The run ends when the last request has left, or this long after arrivals have stopped."""
    warmup_s: Seconds = 0.0
    """Requests that arrive before this load the cluster but are left out of the statistics."""
    stepping: Literal["stretch", "step"] = "stretch"
    """stretch: many engine steps in one event, in closed form. step: each is its own event; slower, the same answer."""
    model: Annotated[Model, BeforeValidator(read_model, json_schema_input_type=str | Model)]
    """A catalog name, the path of a Hugging Face config.json or of a model file, or a mapping with its keys."""
    workload: Workload
    slo: Slo = Field(default_factory=Slo)
    cluster: Cluster
    site: Site | None = None

    @property
    def title(self) -> str:
        """Name and variant."""
        return f"{self.name}/{self.variant}" if self.variant else self.name

    @property
    def slos(self) -> list[Slo]:
        """By which each class of requests is judged; the scenario's alone where there are no classes."""
        return [one.slo or self.slo for one in self.workload.classes] or [self.slo]

    @cached_property
    def requests_wanted(self) -> int | None:
        """After how many requests arrivals stop, where that is known."""
        workload = self.workload
        return workload.trace.limit if workload.trace else workload.arrivals.requests if workload.arrivals else None

    def warnings(self) -> Iterator[str]:
        """What the run will not do although the file asks for it."""
        if self.site is not None:
            yield "site: heat, power, cost and failures are not simulated by this version; the keys are read, kept with the run, and change nothing"

    def as_yaml(self) -> str:
        """The scenario with everything resolved, as a scenario file: reading it gives this scenario again."""
        return yaml_text(self.model_dump(mode="json", by_alias=True, exclude_none=True))
