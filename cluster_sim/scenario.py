"""Everything one run depends on, read from a scenario file and checked as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from cluster_sim.errors import Fault, ScenarioError, did_you_mean
from cluster_sim.hardware import Network, Node, Precision
from cluster_sim.model import Model, read_model
from cluster_sim.physics.gpu import GpuSteps
from cluster_sim.physics.placement import Placement, place_on_gpus, place_on_wafers, wafers_needed
from cluster_sim.physics.wafer import WaferSteps
from cluster_sim.reading import Description, Document, Trail, describe, looking_in, named, overridden, override, read_yaml, under
from cluster_sim.serving.batching import Batch, Batching
from cluster_sim.serving.engine import Engine
from cluster_sim.serving.routing import LeastRequests, Routing
from cluster_sim.topology import FRONT_DOOR, Topology
from cluster_sim.units import Celsius, GramsPerKwh, PositiveSeconds, Seconds, UsdPerKwh, Watts
from cluster_sim.workload.arrivals import Arrivals, ClosedLoop
from cluster_sim.workload.lengths import Lengths
from cluster_sim.workload.traces import Trace

Count = Annotated[int, Field(gt=0)]


def _node(came: Any) -> Any:
    return named("nodes", came)


def _engine(came: Any) -> Any:
    return named("engines", came)


def _network(came: Any) -> Any:
    return named("links", came)


class Slo(Description):
    """What makes a request good: it meets all that are given."""

    ttft_s: PositiveSeconds | None = None
    """Time to first token."""
    tpot_s: PositiveSeconds | None = None
    """Time per output token after the first."""
    e2el_s: PositiveSeconds | None = None
    """Arrival to last token."""


class Workload(Description):
    """What arrives: a process with lengths, or a trace."""

    arrivals: Arrivals | None = None
    prompt_tokens: Lengths | None = None
    output_tokens: Lengths | None = None
    trace: Trace | None = None
    """A recorded trace in place of arrivals and lengths."""


class ReplicaPlan(Description):
    """How one copy of the model lies on devices."""

    tensor_parallel: Count = 1
    pipeline_parallel: Count = 1
    data_parallel: Count = 1
    """Attention data parallelism; only 1 is simulated."""
    expert_parallel: Count = 1
    """Only 1 is simulated: experts are split as every other weight."""
    wafers: Count | None = None
    """Of a wafer-scale device; default: as many as the weights need."""
    weights: Precision | None = None
    """Precision of the weights; default: as the model is published."""
    kv_cache: Precision = "bf16"
    engine: Annotated[Engine, BeforeValidator(_engine, json_schema_input_type=str | Engine)] = Field(default="vllm", validate_default=True)
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
    node: Annotated[Node, BeforeValidator(_node, json_schema_input_type=str | Node)]
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
        return self.batching.max_sequences or self.replica.engine.max_sequences

    @property
    def max_batched_tokens(self) -> int:
        """Tokens of one step of a replica."""
        return self.batching.max_batched_tokens or self.replica.engine.max_batched_tokens

    @property
    def chunked_prefill(self) -> bool:
        """Whether prompts may be spread over steps."""
        chunked = self.batching.chunked_prefill
        return self.replica.engine.chunked_prefill if chunked is None else chunked

    @property
    def block_tokens(self) -> int:
        """Tokens of a block of KV cache."""
        return self.kv.block_tokens or self.replica.engine.block_tokens

    def placement(self, model: Model) -> Placement:
        """Where one replica's weights and KV lie."""
        plan, engine, device = self.replica, self.replica.engine, self.node.device
        if self.is_wafer:
            return place_on_wafers(model, device, self.devices_a_replica(model), self.weights(model), plan.kv_cache)
        reserved = engine.reserved_bytes + (engine.reserved_group_bytes if self.devices_a_replica(model) > 1 else 0.0)
        return place_on_gpus(
            model, device, plan.tensor_parallel, plan.pipeline_parallel, self.weights(model), plan.kv_cache,
            self.kv.memory_fraction or engine.memory_fraction, reserved, self.max_sequences,
        )  # fmt: skip

    def kv_tokens(self, model: Model) -> int:
        """Room of one replica's KV cache in whole blocks [tokens]."""
        return self.placement(model).kv_tokens // self.block_tokens * self.block_tokens

    def step_times(self, model: Model) -> GpuSteps | WaferSteps:
        """How long one replica's steps take."""
        plan, device = self.replica, self.node.device
        if self.is_wafer:
            return WaferSteps(model, device, self.devices_a_replica(model))
        return GpuSteps(model, device, plan.tensor_parallel, plan.pipeline_parallel, self.weights(model), plan.kv_cache)

    def batch(self, model: Model) -> Batch:
        """The empty batch of one replica."""
        window = model.window.tokens if model.window else 0
        return Batch(self.kv_tokens(model), self.block_tokens, self.max_sequences, self.max_batched_tokens, self.chunked_prefill, model.max_context, window)


class Cluster(Description):
    """The machines, and how requests find them."""

    pools: Annotated[tuple[Pool, ...], Field(min_length=1)]
    router: Routing = Field(default_factory=LeastRequests)
    network: Annotated[Network, BeforeValidator(_network, json_schema_input_type=str | Network)] | None = None
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

    keys_beside: ClassVar[tuple[str, ...]] = ("variants",)

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
        from io import StringIO

        from ruamel.yaml import YAML

        text, yaml = StringIO(), YAML(typ="safe", pure=True)
        yaml.default_flow_style, yaml.width, yaml.sort_base_mapping_type_on_output = False, 4096, False  # type: ignore[assignment]
        yaml.dump(self.model_dump(mode="json", by_alias=True, exclude_none=True), text)
        return text.getvalue()


def load_scenario(path: str | Path, variant: str | None = None, overrides: Mapping[str, Any] | None = None, seed: int | None = None) -> Scenario:
    """The scenario in the file at `path`.

    variant: which one, where the file has several; overrides: values by dotted key, such as
    {"cluster.pools[0].nodes": 2}, applied last; seed: in place of the file's.
    Raises ScenarioError with every fault of the file, or where a variant must be named.
    """
    document, sets = read_yaml(Path(path)), [(key, value, f"override {key}") for key, value in (overrides or {}).items()]
    names = list(_variant_names(document))
    if variant is None and names:
        if len(names) > 1:
            raise ScenarioError.at(document.place(("variants",)), f"has the variants {', '.join(names)}; name one")
        variant = names[0]
    return _one(document, variant, sets, seed)


def load_variants(path: str | Path, variants: Sequence[str] = (), sets: Sequence[str] = (), seed: int | None = None) -> list[Scenario]:
    """Every variant of the file, or those that are named, with `key=value` texts applied; the plain file where it has none.

    Raises ScenarioError with the faults of all of them.
    """
    document = read_yaml(Path(path))
    wanted: list[str | None] = list(variants) or list(_variant_names(document)) or [None]
    scenarios: list[Scenario] = []
    faults: list[Fault] = []
    for variant in wanted:
        try:
            scenarios.append(_one(document, variant, [], seed, sets))
        except ScenarioError as error:
            faults += error.faults
    if faults:
        raise ScenarioError(list(dict.fromkeys(faults)))
    return scenarios


def _variant_names(document: Document) -> Iterator[str]:
    variants = document.data.get("variants")
    if variants is None:
        return
    if not isinstance(variants, dict) or not variants:
        raise ScenarioError.at(document.place(("variants",)), "variants: wanted a mapping of names to what each changes")
    for name, changes in variants.items():
        if changes is not None and not isinstance(changes, dict):
            raise ScenarioError.at(document.place(("variants", name)), f"variants.{name}: wanted a mapping of what it changes, or {{}}")
        yield str(name)


def _one(document: Document, variant: str | None, overrides: Sequence[tuple[str, Any, str]], seed: int | None, sets: Sequence[str] = ()) -> Scenario:
    names = list(_variant_names(document))
    base = document.without("variants")
    if variant is not None:
        if variant not in names:
            raise ScenarioError.at(
                document.place(("variants",)) if names else document.file,
                f"no variant '{variant}'{did_you_mean(variant, names) if names else '; the file has none'}",
            )
        over = document.at("variants").at(variant)
        base = base.merged(Document(over.data or {}, over.file, over.places))
        base = overridden(base, "variant", variant, document.place(("variants", variant)))
    faults: list[Fault] = []
    with looking_in(Path(document.file).parent):
        for text in sets:
            try:
                base = override(base, text)
            except ScenarioError as error:
                faults += error.faults
        for key, value, where in overrides:
            base = overridden(base, key, value, where)
        if seed is not None:
            base = overridden(base, "seed", seed, "--seed")
        try:
            scenario = describe(Scenario, base)
        except ScenarioError as error:
            raise ScenarioError([*faults, *error.faults]) from error
    suffix = f" (variant {variant})" if variant is not None else ""
    try:
        faults += [Fault(base.place(trail), f"{under(trail)}{what}{suffix}") for trail, what in _faults(scenario)]
    except (OverflowError, ZeroDivisionError) as error:
        raise ScenarioError.at(base.file, f"some number is too large or too small to reckon with{suffix}") from error
    if faults:
        raise ScenarioError(faults)
    return scenario


Finding = tuple[Trail, str]

_MOST_DEVICES = 200_000  # each is a place of the topology: above it, a slip of the pen would fill the memory


def _faults(scenario: Scenario) -> Iterator[Finding]:
    """What is wrong with a scenario whose parts are each right."""
    yield from _workload_faults(scenario)
    pools = scenario.cluster.pools
    for index, pool in enumerate(pools):
        trail: Trail = ("cluster", "pools", index)
        if pool.name in [other.name for other in pools[:index]]:
            yield (*trail, "name"), f"two pools are called '{pool.name}'"
        plan_faults = list(_plan_faults(scenario.model, pool, trail))
        yield from plan_faults
        if not plan_faults:
            yield from _room_faults(scenario, pool, trail)
    if sum(pool.nodes * pool.node.devices for pool in pools) > _MOST_DEVICES:
        yield ("cluster", "pools"), f"more than {_MOST_DEVICES:,} devices; no more are simulated"
        return
    topology = scenario.cluster.topology()
    for index, pool in enumerate(pools):
        places = [f"{pool.name}/{node}/device{device}" for node in range(pool.nodes) for device in range(pool.node.devices)]
        if lost := topology.unreachable(places):
            where: Trail = ("cluster", "network") if scenario.cluster.network else ("cluster", "pools", index, "node")
            yield where, f"no way leads from {FRONT_DOOR} to {lost[0]}" + (f" and {len(lost) - 1} more" if len(lost) > 1 else "")


def _workload_faults(scenario: Scenario) -> Iterator[Finding]:
    workload = scenario.workload
    if workload.trace is not None:
        for key in ("arrivals", "prompt_tokens", "output_tokens"):
            if getattr(workload, key) is not None:
                yield ("workload", key), "a trace brings its own; wanted either this or 'trace'"
    else:
        for key in ("arrivals", "prompt_tokens", "output_tokens"):
            if getattr(workload, key) is None:
                yield ("workload",), f"'{key}' is missing; wanted arrivals, prompt_tokens and output_tokens, or a trace"
    if workload.trace is None and scenario.duration_s is None and scenario.requests_wanted is None:
        yield (), "'duration' is missing; wanted a time such as '20 min', or 'requests' under workload.arrivals"
    if scenario.duration_s is not None and scenario.warmup_s >= scenario.duration_s:
        yield ("warmup",), f"{scenario.warmup_s:g} s leave nothing of a duration of {scenario.duration_s:g} s"


def _plan_faults(model: Model, pool: Pool, trail: Trail) -> Iterator[Finding]:
    """Parallelism that does not fit heads, devices or nodes."""
    plan, device, per_node = pool.replica, pool.node.device, pool.node.devices
    at: Trail = (*trail, "replica")
    for key, value in (("data_parallel", plan.data_parallel), ("expert_parallel", plan.expert_parallel)):
        if value != 1:
            yield (*at, key), f"came {value}; only 1 is simulated by this version"
    if pool.is_wafer:
        for key, value in (("tensor_parallel", plan.tensor_parallel), ("pipeline_parallel", plan.pipeline_parallel)):
            if value != 1:
                yield (*at, key), f"came {value}; {device.name} is a wafer, whose layers are spread by 'wafers'"
    else:
        tensor, kv_heads = plan.tensor_parallel, model.kv_heads
        if plan.wafers is not None:
            yield (*at, "wafers"), f"{device.name} is no wafer; wanted tensor_parallel and pipeline_parallel"
        if model.heads % tensor:
            yield (*at, "tensor_parallel"), f"{tensor} does not divide the {model.heads} heads of {model.name}"
        elif kv_heads % tensor and tensor % kv_heads and not model.latent:
            yield (*at, "tensor_parallel"), f"{tensor} neither divides the {kv_heads} KV heads of {model.name} nor is a multiple of them"
        if tensor > per_node:
            yield (
                (*at, "tensor_parallel"),
                f"{tensor} is more than the {per_node} devices of {pool.node.name}; groups across nodes are not simulated by this version",
            )
        elif tensor > 1 and not device.all_reduce:
            yield (*at, "tensor_parallel"), f"{device.name} has no all_reduce figures; wanted 1, or figures in its file"
        if plan.pipeline_parallel > model.layers:
            yield (*at, "pipeline_parallel"), f"{plan.pipeline_parallel} stages are more than the {model.layers} layers of {model.name}"
    devices, each = pool.nodes * per_node, pool.devices_a_replica(model)
    hold = f"{pool.nodes} node{'s hold' if pool.nodes > 1 else ' holds'} {devices} device{'s' if devices > 1 else ''}"
    if devices < each * (pool.replicas or 1):
        need = f"{pool.replicas} replicas need" if (pool.replicas or 1) > 1 else "a replica needs"
        yield (*trail, "nodes"), f"{hold}; {need} {each * (pool.replicas or 1)}"
    elif pool.replicas is None and devices % each:
        yield trail, f"{hold}, which replicas of {each} do not divide; wanted a multiple, or 'replicas: {devices // each}'"
    if pool.max_sequences > pool.max_batched_tokens:
        yield (
            (*trail, "batching"),
            f"max_sequences of {pool.max_sequences} is more than max_batched_tokens of {pool.max_batched_tokens}: not all could take a step",
        )


def _room_faults(scenario: Scenario, pool: Pool, trail: Trail) -> Iterator[Finding]:
    """Weights that do not fit, and requests that never could be admitted."""
    model, workload = scenario.model, scenario.workload
    placement = pool.placement(model)
    weights, precision = placement.weight_bytes / 1e9, pool.weights(model)
    if placement.kv_tokens < pool.block_tokens:
        noun = f"{placement.devices} wafers" if pool.is_wafer else f"each of {placement.devices} devices" if placement.devices > 1 else "a device"
        sram = pool.node.device.memory.capacity_bytes * (placement.devices if pool.is_wafer else 1) / 1e9
        yield (
            (*trail, "replica"),
            f"the {precision} weights of {model.name} do not fit: {weights:.1f} GB on {noun} of {sram:.1f} GB, {max(placement.kv_room_bytes, 0.0) / 1e9:.1f} GB left for KV",
        )
        return
    if workload.trace is not None or workload.prompt_tokens is None or workload.output_tokens is None:
        return
    prompt, output = workload.prompt_tokens.longest, workload.output_tokens.longest
    longest = (prompt or 1) + (output or 1)
    room = pool.kv_tokens(model)
    if longest > model.max_context:
        yield ("workload",), f"the longest request, {longest} tokens, is beyond the context of {model.name}, {model.max_context} tokens"
    elif longest - 1 > room:
        yield ("workload",), f"the longest request, {longest} tokens, can never be admitted: a replica of pool '{pool.name}' has room for {room} tokens of KV"
    elif not pool.chunked_prefill and longest - 1 > pool.max_batched_tokens:
        yield (
            (*trail, "batching"),
            f"without chunked_prefill the longest request, {longest} tokens, never fits a step of max_batched_tokens {pool.max_batched_tokens}",
        )


def is_closed_loop(scenario: Scenario) -> bool:
    """Whether clients wait for their answers."""
    return isinstance(scenario.workload.arrivals, ClosedLoop)


def json_schema() -> dict[str, Any]:
    """The JSON Schema of scenario files. With `variants` the base may be incomplete: each variant brings the rest."""
    schema = Scenario.model_json_schema(by_alias=True)
    required = schema.pop("required")
    schema["properties"].pop("variant")
    schema["properties"]["variants"] = {
        "type": "object",
        "description": "By name: what each changes. Mappings are merged over the base, lists replaced whole, null takes a key away.",
        "additionalProperties": {"type": ["object", "null"]},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "cluster-sim scenario",
        **{key: value for key, value in schema.items() if key != "title"},
        "if": {"required": ["variants"]},
        "else": {"required": required},
    }
