"""What is wrong with a scenario whose parts are each right."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.deployment.fleet import resolve
from cluster_sim.deployment.power_caps import draws, groups
from cluster_sim.errors import did_you_mean
from cluster_sim.llm.model import Model
from cluster_sim.loading import sampling
from cluster_sim.scenario.pool import Pool
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.scenario.workload import Workload
from cluster_sim.schema import Trail
from cluster_sim.serving.scheduler import Static
from cluster_sim.topology import FRONT_DOOR

Finding = tuple[Trail, str]

_MOST_DEVICES = (
    200_000  # each is a place of the topology: above it, a slip of the pen would fill the memory
)


def faults_of(scenario: Scenario) -> Iterator[Finding]:
    """What is wrong with a scenario whose parts are each right."""
    yield from _workload_faults(scenario)
    yield from sampling.faults(scenario)
    yield from _admission_faults(scenario)
    yield from _role_faults(scenario)
    pools = scenario.cluster.pools
    fleet = resolve(scenario)
    for index, deployment in enumerate(fleet.deployments):
        pool = deployment.pool
        trail: Trail = ("cluster", "pools", index)
        if pool.name in [other.name for other in pools[:index]]:
            yield (*trail, "name"), f"two pools are called '{pool.name}'"
        plan_faults = list(_plan_faults(deployment, trail))
        yield from plan_faults
        if not plan_faults:
            yield from _room_faults(scenario, deployment, trail)
    yield from _site_faults(scenario)
    if sum(pool.nodes * pool.node.devices for pool in pools) > _MOST_DEVICES:
        yield ("cluster", "pools"), f"more than {_MOST_DEVICES:,} devices; no more are simulated"
        return
    try:
        topology = fleet.topology
    except ValueError as fault:  # of a fabric without room
        yield ("cluster", "network"), str(fault)
        return
    for index, pool in enumerate(pools):
        places = [
            f"{pool.name}/{node}/device{device}"
            for node in range(pool.nodes)
            for device in range(pool.node.devices)
        ]
        if lost := topology.unreachable(places):
            where: Trail = (
                ("cluster", "network")
                if scenario.cluster.network
                else ("cluster", "pools", index, "node")
            )
            yield (
                where,
                f"no way leads from {FRONT_DOOR} to {lost[0]}"
                + (f" and {len(lost) - 1} more" if len(lost) > 1 else ""),
            )


def _workload_faults(scenario: Scenario) -> Iterator[Finding]:
    workload = scenario.workload
    if workload.trace is not None or workload.sessions is not None:
        what, which = _brings(workload)
        for key in ("arrivals", "prompt_tokens", "output_tokens", "length_correlation"):
            if getattr(workload, key) is not None:
                yield ("workload", key), f"{what} own; wanted either this or '{which}'"
        if workload.trace is not None and workload.sessions is not None:
            yield ("workload", "sessions"), "a trace brings its own; wanted either this or 'trace'"
    else:
        for key in ("arrivals", "prompt_tokens", "output_tokens"):
            given_by_classes = workload.classes and all(
                getattr(one, key, None) is not None for one in workload.classes
            )
            if getattr(workload, key) is None and not given_by_classes:
                yield (
                    ("workload",),
                    f"'{key}' is missing; wanted arrivals, prompt_tokens and output_tokens, or a trace",
                )
    yield from _class_faults(scenario)
    starts = workload.sessions.arrivals if workload.sessions is not None else None
    counted = scenario.requests_wanted is not None or (
        starts is not None and starts.requests is not None
    )
    if workload.trace is None and scenario.duration_s is None and not counted:
        yield (
            (),
            f"'duration' is missing; wanted a time such as '20 min', or 'requests' under workload.{'sessions' if workload.sessions else 'arrivals'}",
        )
    if scenario.duration_s is not None and scenario.warmup_s >= scenario.duration_s:
        yield (
            ("warmup",),
            f"{scenario.warmup_s:g} s leave nothing of a duration of {scenario.duration_s:g} s",
        )


def _brings(workload: Workload) -> tuple[str, str]:
    """What brings arrivals and lengths of its own, in a sentence, and its key."""
    return (
        ("a trace brings its", "trace")
        if workload.trace is not None
        else ("sessions bring their", "sessions")
    )


def _class_faults(scenario: Scenario) -> Iterator[Finding]:
    """Classes that do not make up one traffic."""
    workload = scenario.workload
    names = [one.name for one in workload.classes]
    for index, one in enumerate(workload.classes):
        at: Trail = ("workload", "classes", index)
        if one.name in names[:index]:
            yield (*at, "name"), f"two classes are called '{one.name}'"
        for key in ("prompt_tokens", "output_tokens"):
            if (workload.trace or workload.sessions) is not None and getattr(one, key) is not None:
                what, which = _brings(workload)
                yield (*at, key), f"{what} own; wanted either this or '{which}'"
    if workload.classes and workload.length_correlation is not None:
        yield (
            ("workload", "length_correlation"),
            "lengths of classes are drawn independently; wanted either this or 'classes'",
        )
    if workload.classes and abs((total := sum(one.share for one in workload.classes)) - 1.0) > 1e-6:
        yield ("workload", "classes"), f"the shares add up to {total:g}; wanted 1"


def _admission_faults(scenario: Scenario) -> Iterator[Finding]:
    """Admission that does not suit the traffic."""
    workload, admission = scenario.workload, scenario.cluster.admission
    for fault in admission.faults([slo.ttft_s for slo in scenario.slos]):
        yield ("cluster", "admission"), fault
    clients = None if workload.arrivals is None else workload.arrivals.waiting_clients()
    if (
        not admission.refuses_nobody
        and workload.trace is None
        and clients is not None
        and clients.think_time_s == 0.0
    ):
        yield (
            ("cluster", "admission"),
            "clients that are refused would ask again at once, for ever; wanted a think_time under workload.arrivals",
        )


def _role_faults(scenario: Scenario) -> Iterator[Finding]:
    """Pools that read prompts for nobody, or decode what nobody reads."""
    cluster = scenario.cluster
    by_role = {
        role: [pool for pool in cluster.pools if pool.replica.role == role]
        for role in ("prefill", "decode")
    }
    if cluster.hand_over is not None and not (by_role["prefill"] or by_role["decode"]):
        yield (
            ("cluster", "hand_over"),
            "no pool hands over; wanted pools with replica.role prefill and decode",
        )
    for index, pool in enumerate(cluster.pools):
        role, at = pool.replica.role, ("cluster", "pools", index)
        if role == "both":
            continue
        other = "decode" if role == "prefill" else "prefill"
        if not by_role[other]:
            yield (
                (*at, "replica", "role"),
                f"came {role}; no pool has the role {other} to hand over {'to' if role == 'prefill' else 'from'}",
            )
        if isinstance(pool.batching, Static):
            yield (
                (*at, "batching"),
                f"static batching keeps its requests to the end; a pool of the role {role} wants the policy 'continuous'",
            )
        if role == "prefill" and pool.replica.speculation is not None:
            yield (
                (*at, "replica", "speculation"),
                "a pool of the role prefill decodes nothing; wanted it where the role is decode",
            )
        if role == "decode":
            for reader in by_role["prefill"]:
                if reader.replica.kv_cache != pool.replica.kv_cache:
                    yield (
                        (*at, "replica", "kv_cache"),
                        f"came {pool.replica.kv_cache}; pool '{reader.name}' hands over {reader.replica.kv_cache}, and KV is moved as it is",
                    )


def _site_faults(scenario: Scenario) -> Iterator[Finding]:
    """Caps that nothing could keep, and events that happen nowhere or to nobody."""
    site, pools = scenario.site, scenario.cluster.pools
    for index, pool in enumerate(pools):
        power = pool.node.device.power
        at: Trail = ("cluster", "pools", index, "power_limit")
        if pool.power_limit_w is not None and power is None:
            yield (
                at,
                f"{pool.node.device.name} does not say what it draws; wanted power in its file",
            )
        elif (
            pool.power_limit_w is not None
            and power is not None
            and pool.power_limit_w <= power.busy_w
        ):
            yield (
                at,
                f"{pool.power_limit_w:g} W; {pool.node.device.name} draws {power.busy_w:g} W whatever it runs",
            )
    if site is None:
        return
    every = draws(scenario)
    for key in ("rack_power_cap", "row_power_cap"):
        least_w = max(
            (
                sum(every[place].least_w for place in group.nodes) - group.cap_w
                for group in groups(scenario)
                if group.key == key
            ),
            default=-1.0,
        )
        if least_w >= 0.0:
            yield ("site", key), f"is {least_w:.0f} W less than what its nodes draw idle"
    names = {f"{pool.name}/{number}": pool for pool in pools for number in range(pool.nodes)}
    for place, event in enumerate(site.events):
        hit = {pool.name: pool for node, pool in names.items() if event.hits(node)}
        medium = {"fan_failure": "air", "pump_failure": "liquid"}.get(event.what)
        if not hit:
            yield (
                ("site", "events", place, "where"),
                f"no pool or node '{event.where}'{did_you_mean(event.where or '', [*(pool.name for pool in pools), *islice(names, 8)])}",
            )
        elif medium and not any(
            pool.node.cooling is not None and pool.node.cooling.medium == medium
            for pool in hit.values()
        ):
            other = "fan" if medium == "liquid" else "pump"
            yield (
                ("site", "events", place, "what"),
                f"{event.what} happens to no node that is cooled by {medium}; wanted {other}_failure",
            )


def _plan_faults(deployment: Deployment, trail: Trail) -> Iterator[Finding]:
    """Parallelism that does not fit heads, devices or nodes."""
    pool, model = deployment.pool, deployment.model
    plan, device, per_node = pool.replica, pool.node.device, pool.node.devices
    at: Trail = (*trail, "replica")
    if pool.is_wafer:
        for key in ("tensor_parallel", "pipeline_parallel", "data_parallel", "expert_parallel"):
            if (value := getattr(plan, key)) != 1:
                yield (
                    (*at, key),
                    f"came {value}; {device.name} is a wafer, whose layers are spread by 'wafers'",
                )
        if device.wafer is not None and plan.reserved_rows >= device.wafer.rows:
            yield (
                (*at, "reserved_rows"),
                f"{plan.reserved_rows} leave none of the {device.wafer.rows} rows of {device.name}",
            )
    else:
        tensor, kv_heads = plan.tensor_parallel, model.kv_heads
        if plan.wafers is not None:
            yield (
                (*at, "wafers"),
                f"{device.name} is no wafer; wanted tensor_parallel and pipeline_parallel",
            )
        for key, default in (
            ("layout", "regions"),
            ("reserved_rows", 0),
            ("defective_cores", 0.0),
            ("weights_from", "memory"),
        ):
            if (value := getattr(plan, key)) != default:
                yield (*at, key), f"came {value}; {device.name} is no wafer"
        if model.heads % tensor:
            yield (
                (*at, "tensor_parallel"),
                f"{tensor} does not divide the {model.heads} heads of {model.name}",
            )
        elif kv_heads % tensor and tensor % kv_heads and not model.latent:
            yield (
                (*at, "tensor_parallel"),
                f"{tensor} neither divides the {kv_heads} KV heads of {model.name} nor is a multiple of them",
            )
        yield from _expert_faults(model, pool, at)
        if (group := tensor * plan.data_parallel) > per_node:
            yield (
                (*at, "tensor_parallel" if plan.data_parallel == 1 else "data_parallel"),
                f"{group} is more than the {per_node} devices of {pool.node.name}; groups across nodes are not simulated by this version",
            )
        elif tensor > 1 and device.collectives.all_reduce is None:
            yield (
                (*at, "tensor_parallel"),
                f"{device.name} has no figures for all_reduce; wanted 1, or collectives.all_reduce in its file",
            )
        if plan.pipeline_parallel > model.layers:
            yield (
                (*at, "pipeline_parallel"),
                f"{plan.pipeline_parallel} stages are more than the {model.layers} layers of {model.name}",
            )
    yield from _static_faults(pool, trail)
    yield from _offload_faults(deployment, (*trail, "kv"))
    if plan.start == "cold" and deployment.load_s is None:
        yield (
            (*at, "start"),
            f"{pool.node.name} has no link between host and device; wanted load_bandwidth",
        )
    if pool.kv.preemption == "swap" and deployment.swap_bandwidth_bytes_per_s is None:
        yield (
            (*trail, "kv", "preemption"),
            f"{pool.node.name} has no way between host and device; wanted swap_bandwidth",
        )
    devices, each = pool.nodes * per_node, deployment.devices_per_replica
    hold = f"{pool.nodes} node{'s hold' if pool.nodes > 1 else ' holds'} {devices} device{'s' if devices > 1 else ''}"
    if devices < each * (pool.replicas or 1):
        need = f"{pool.replicas} replicas need" if (pool.replicas or 1) > 1 else "a replica needs"
        yield (*trail, "nodes"), f"{hold}; {need} {each * (pool.replicas or 1)}"
    elif pool.replicas is None and devices % each:
        yield (
            trail,
            f"{hold}, which replicas of {each} do not divide; wanted a multiple, or 'replicas: {devices // each}'",
        )
    yield from _speculation_faults(model, pool, (*at, "speculation"))
    if plan.speculation is None and pool.max_sequences > pool.max_batched_tokens:
        yield (
            (*trail, "batching"),
            f"max_sequences of {pool.max_sequences} is more than max_batched_tokens of {pool.max_batched_tokens}: not all could take a step",
        )


def _static_faults(pool: Pool, trail: Trail) -> Iterator[Finding]:
    """What static batching does not go with."""
    if isinstance(pool.batching, Static):
        for key, on in (
            ("kv", pool.kv.prefix_caching or pool.kv.watermark),
            ("replica", pool.replica.speculation),
        ):
            if on:
                what = (
                    "speculation"
                    if key == "replica"
                    else "prefix_caching"
                    if pool.kv.prefix_caching
                    else "watermark"
                )
                yield (
                    (*trail, key, what),
                    "static batching goes without; wanted the policy 'continuous'",
                )


def _speculation_faults(model: Model, pool: Pool, spoken: Trail) -> Iterator[Finding]:
    """Drafts that do not fit the model, its drafter or the limits of a step."""
    plan, speculation = pool.replica, pool.replica.speculation
    if speculation is None:
        return
    if model.window:
        yield (
            spoken,
            f"{model.name} has layers with a window; speculation is not simulated with them by this version",
        )
    if (drafter := speculation.draft_model) is not None:
        if drafter.window:
            yield (
                (*spoken, "draft_model"),
                f"{drafter.name} has layers with a window; speculation is not simulated with them by this version",
            )
        elif not pool.is_wafer and drafter.heads % plan.tensor_parallel:
            yield (
                (*spoken, "draft_model"),
                f"tensor_parallel of {plan.tensor_parallel} does not divide the {drafter.heads} heads of {drafter.name}",
            )
    if pool.max_sequences * (1 + speculation.draft_tokens) > pool.max_batched_tokens:
        yield (
            (*spoken, "draft_tokens"),
            f"max_sequences of {pool.max_sequences} with {1 + speculation.draft_tokens} tokens each is more than max_batched_tokens of {pool.max_batched_tokens}",
        )


def _offload_faults(deployment: Deployment, at: Trail) -> Iterator[Finding]:
    """Tiers that nothing falls into, or that are too small."""
    pool = deployment.pool
    tiers = pool.kv.offload
    if tiers and not pool.kv.prefix_caching:
        yield (
            (*at, "offload"),
            "without prefix caching no block is ever found again; wanted prefix_caching: true",
        )
    for index, tier in enumerate(tiers):
        if tier.tier in [other.tier for other in tiers[:index]]:
            yield (*at, "offload", index, "tier"), f"two tiers are called '{tier.tier}'"
        if tier.tier == "memoryx" and not pool.is_wafer:
            yield (
                (*at, "offload", index, "tier"),
                f"memoryx stands behind wafers; {pool.node.device.name} is none",
            )
        if tier.capacity_bytes < (block_bytes := deployment.block_bytes):
            yield (
                (*at, "offload", index, "capacity"),
                f"{tier.capacity_bytes:g} B is less than a block of {block_bytes:g} B",
            )


def _expert_faults(model: Model, pool: Pool, at: Trail) -> Iterator[Finding]:
    """Data and expert parallelism that do not fit the model's experts or the device's figures."""
    plan, collectives = pool.replica, pool.node.device.collectives
    data, groups, devices = (
        plan.data_parallel,
        plan.expert_parallel,
        plan.tensor_parallel * plan.data_parallel,
    )
    if model.experts is None:
        for key, value in (("data_parallel", data), ("expert_parallel", groups)):
            if value != 1:
                yield (
                    (*at, key),
                    f"came {value}; {model.name} has no experts to share"
                    + ("; wanted more replicas" if key == "data_parallel" else ""),
                )
        return
    if devices % groups:
        yield (
            (*at, "expert_parallel"),
            f"{groups} does not divide the {devices} devices of a stage, tensor_parallel x data_parallel",
        )
    if model.experts.count % groups:
        yield (
            (*at, "expert_parallel"),
            f"{groups} does not divide the {model.experts.count} experts of {model.name}",
        )
    if data > 1 and (collectives.all_gather is None or collectives.reduce_scatter is None):
        yield (
            (*at, "data_parallel"),
            f"{pool.node.device.name} has no figures for all_gather and reduce_scatter; wanted 1, or them in its file",
        )


def _no_room(deployment: Deployment) -> str:
    """Which memory has no room for what."""
    pool, placement, device = deployment.pool, deployment.placement, deployment.device
    devices = placement.devices
    noun = (
        f"{devices} wafers"
        if pool.is_wafer
        else f"each of {devices} devices"
        if devices > 1
        else "a device"
    )
    weights, memory = (
        f"the {deployment.weights} weights of {deployment.model.name}",
        device.memory.capacity_bytes * (devices if pool.is_wafer else 1),
    )
    own, room = device.weight_memory, max(placement.kv_room_bytes, 0.0)
    if own is None:
        return f"{weights} do not fit: {_gigabytes(placement.weight_bytes)} on {noun} of {_gigabytes(memory)}, {_gigabytes(room)} left for KV"
    if placement.weight_room_bytes is not None and placement.weight_room_bytes < 0.0:
        return f"{weights} do not fit: {_gigabytes(placement.weight_bytes)} on {noun}, whose memory for weights is {_gigabytes(own.capacity_bytes)}"
    return f"no room for KV: {noun} has {_gigabytes(memory)} beside its memory for weights, {_gigabytes(placement.reserved_bytes)} of it reserved"


def _gigabytes(size: float) -> str:
    """With one decimal, or with three where it is less than one."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 or not size else f"{size / 1e9:.3f} GB"


def _room_faults(scenario: Scenario, deployment: Deployment, trail: Trail) -> Iterator[Finding]:
    """Weights that do not fit, and requests that never could be admitted."""
    pool, model, workload = deployment.pool, deployment.model, scenario.workload
    if deployment.placement.kv_tokens < pool.block_tokens:
        yield (*trail, "replica"), _no_room(deployment)
        return
    if workload.trace is not None:
        return
    if workload.sessions is not None:
        longest = workload.sessions.longest or 1
    else:
        reads_only = pool.replica.role == "prefill"
        longest = max(
            ((prompt and prompt.longest) or 1)
            + (1 if reads_only else (output and output.longest) or 1)
            for prompt, output in workload.length_pairs()
        )
    longest += workload.shared_prefix.tokens if workload.shared_prefix else 0
    room = deployment.kv_tokens
    if longest > model.max_context:
        yield (
            ("workload",),
            f"the longest request, {longest} tokens, is beyond the context of {model.name}, {model.max_context} tokens",
        )
    elif longest - 1 > room:
        yield (
            ("workload",),
            f"the longest request, {longest} tokens, can never be admitted: a replica of pool '{pool.name}' has room for {room} tokens of KV",
        )
    elif not pool.chunked_prefill and longest - 1 > pool.max_batched_tokens:
        yield (
            (*trail, "batching"),
            f"without chunked_prefill the longest request, {longest} tokens, never fits a step of max_batched_tokens {pool.max_batched_tokens}",
        )
