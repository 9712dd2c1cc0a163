"""Checks of a pool's plan: parallelism that does not fit the model, the devices or the nodes."""

from __future__ import annotations

from collections.abc import Iterator

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.hardware.engine_releases import maker
from cluster_sim.llm.model import Model
from cluster_sim.loading.checks.attention_backend import backend_faults
from cluster_sim.loading.checks.autoscaling import autoscale_faults
from cluster_sim.loading.checks.batching import (
    batching_faults,
    ignored_faults,
    speculation_faults,
)
from cluster_sim.loading.checks.engine_keys import device_faults, engine_faults
from cluster_sim.loading.checks.expert_exchange import exchange_faults
from cluster_sim.loading.checks.expert_load import load_faults
from cluster_sim.loading.checks.finding import Finding
from cluster_sim.loading.checks.kv_cache import offload_faults, state_faults
from cluster_sim.loading.checks.shared_tiers import shared_tier_faults
from cluster_sim.loading.checks.weight_loading import loading_faults
from cluster_sim.scenario.pool import Pool
from cluster_sim.schema import Trail
from cluster_sim.serving.profiles import is_written
from cluster_sim.units import key_of

_GPU_KEYS = ("tensor_parallel", "pipeline_parallel", "data_parallel", "expert_parallel")
"""Keys of a plan that only GPUs have. All are 1 by default."""
_WAFER_KEYS = (
    ("layout", "regions"),
    ("reserved_rows", 0),
    ("defective_cores", 0.0),
    ("weights_from", "memory"),
)
"""Keys of a plan that only wafers have, and their defaults."""


def plan_faults(deployment: Deployment, trail: Trail) -> Iterator[Finding]:
    """Yield faults of the combination of options in the plan of a pool, which is at `trail`."""
    pool, at = deployment.pool, (*trail, "replica")
    of_device = [*(_wafer_faults(pool, at) if pool.is_wafer else _gpu_faults(deployment, at))]
    yield from of_device or device_faults(pool, (*at, "engine"))
    yield from load_faults(deployment, at)
    yield from backend_faults(deployment, at)
    yield from exchange_faults(deployment, at)
    yield from batching_faults(pool, trail)
    yield from ignored_faults(pool, trail)
    yield from engine_faults(pool, trail)
    of_counts = [*_count_faults(deployment, trail), *state_faults(deployment, trail)]
    yield from of_counts
    if not of_counts:  # the following checks need the placement of the model on the devices
        yield from offload_faults(deployment, (*trail, "kv"))
        yield from shared_tier_faults(deployment, (*trail, "kv", "offload"))
        yield from _host_link_faults(deployment, trail)
        yield from loading_faults(deployment, trail)
        yield from autoscale_faults(deployment, trail)
    yield from speculation_faults(deployment, (*at, "speculation"))
    is_limited = pool.decodes_within_limit and pool.replica.speculation is None
    if is_limited and pool.max_sequences > pool.max_batched_tokens:
        yield (
            (*trail, "batching"),
            f"got max_sequences of {pool.max_sequences}; expected at most max_batched_tokens of {pool.max_batched_tokens}, so that all sequences fit into a step",
        )


def _wafer_faults(pool: Pool, at: Trail) -> Iterator[Finding]:
    plan, device = pool.replica, pool.node.device
    for key in _GPU_KEYS:
        if (value := getattr(plan, key)) != 1:
            yield (
                (*at, key),
                f"got {value}; {device.name} is a wafer, for which 'wafers' spreads the layers; expected no {key}",
            )
    for name, value in plan.engine.own_times.items():
        if not is_written(plan.engine, name):
            continue
        key = key_of(name)
        yield (
            (*at, "engine", key),
            f"got {value:g} s; {device.name} is a wafer, whose file has the times of steps; expected no {key}",
        )
    if device.wafer is not None and plan.reserved_rows >= device.wafer.rows:
        yield (
            (*at, "reserved_rows"),
            f"got {plan.reserved_rows}; expected fewer than the {device.wafer.rows} rows of {device.name}",
        )


def _gpu_faults(deployment: Deployment, at: Trail) -> Iterator[Finding]:
    model, pool = deployment.model, deployment.pool
    plan, device = pool.replica, pool.node.device
    if plan.wafers is not None:
        yield (
            (*at, "wafers"),
            f"{device.name} is not a wafer; expected tensor_parallel and pipeline_parallel",
        )
    for key, default in _WAFER_KEYS:
        if (value := getattr(plan, key)) != default:
            yield (*at, key), f"got {value}, which is for wafers only; {device.name} is not a wafer"
    yield from _head_faults(model, plan.tensor_parallel, (*at, "tensor_parallel"))
    yield from _expert_faults(model, pool, at)
    yield from _group_faults(pool, at)
    if plan.pipeline_parallel > model.layers:
        yield (
            (*at, "pipeline_parallel"),
            f"got {plan.pipeline_parallel} stages; expected at most the {model.layers} layers of {model.name}",
        )


def _head_faults(model: Model, ranks: int, at: Trail) -> Iterator[Finding]:
    """Yield a number of tensor-parallel ranks that does not split the heads evenly."""
    faults = (kind.fault_of_ranks(ranks) for kind in model.attention)
    if fault := next((fault for fault in faults if fault), None):
        yield at, fault.format(model.name)


def _group_faults(pool: Pool, at: Trail) -> Iterator[Finding]:
    """Yield a stage that spans nodes, and collectives for which the device has no figures."""
    plan, device, per_node = pool.replica, pool.node.device, pool.node.devices
    if (group := plan.stage_devices) > per_node and group % per_node:
        fewer = group // per_node * per_node
        yield (
            (*at, "tensor_parallel" if plan.data_parallel == 1 else "data_parallel"),
            f"got groups of {group} devices; a group over several nodes fills them, and {pool.node.name} has {per_node} devices; expected {fewer} or {fewer + per_node} devices, tensor_parallel x data_parallel",
        )
    elif plan.tensor_parallel > 1 and device.collectives.all_reduce is None:
        yield (
            (*at, "tensor_parallel"),
            f"{device.name} has no figures for all_reduce; expected 1, or collectives.all_reduce in the device's file",
        )


def _expert_faults(model: Model, pool: Pool, at: Trail) -> Iterator[Finding]:
    """Yield data and expert parallelism that do not fit the experts or the device's figures."""
    plan, collectives = pool.replica, pool.node.device.collectives
    data, groups = plan.data_parallel, plan.expert_parallel
    if model.experts is None:
        for key, value in (("data_parallel", data), ("expert_parallel", groups)):
            if value != 1:
                yield (
                    (*at, key),
                    f"got {value}; {model.name} has no experts to distribute"
                    + ("; expected more replicas" if key == "data_parallel" else ""),
                )
        return
    devices = plan.tensor_parallel * data
    if devices % groups:
        yield (
            (*at, "expert_parallel"),
            f"got {groups}; expected a divisor of the {devices} devices of a stage, tensor_parallel x data_parallel",
        )
    count = model.experts.count
    if not plan.redundant_experts and (left := count % groups) and not _spreads_unevenly(pool):
        yield (
            (*at, "expert_parallel"),
            f"got {groups}; {pool.engine.profile} needs as many experts in each group, and {model.name} has {count}; expected a divisor of them, or redundant_experts: {groups - left}",
        )
    if data > 1 and (collectives.all_gather is None or collectives.reduce_scatter is None):
        yield (
            (*at, "data_parallel"),
            f"{pool.node.device.name} has no figures for all_gather and reduce_scatter; expected 1, or both collectives in the device's file",
        )


def _spreads_unevenly(pool: Pool) -> bool:
    """Return whether an engine gives the first of uneven groups one expert more.

    Source: vLLM 0.9 to 0.24, `model_executor/layers/fused_moe/layer.py` determine_expert_map.
    SGLang and TensorRT-LLM refuse such groups.
    """
    return maker(pool.engine.profile) == "vLLM"


def _host_link_faults(deployment: Deployment, trail: Trail) -> Iterator[Finding]:
    """Yield swapping if no link to the host is known."""
    pool = deployment.pool
    if pool.kv.preemption == "swap" and deployment.swap_bandwidth_bytes_per_s is None:
        yield (
            (*trail, "kv", "preemption"),
            f"{pool.node.name} has no path between host and device; expected swap_bandwidth",
        )


def _count_faults(deployment: Deployment, trail: Trail) -> Iterator[Finding]:
    """Yield nodes that do not hold the replicas, and devices that replicas do not divide."""
    pool = deployment.pool
    devices, each = pool.nodes * pool.node.devices, deployment.devices_per_replica
    hold = f"{pool.nodes} node{'s hold' if pool.nodes > 1 else ' holds'} {devices} device{'s' if devices > 1 else ''}"
    count = pool.autoscale.max if pool.autoscale else pool.replicas or 1
    if devices < each * count:
        what = f"{count} replicas" if count > 1 else "a replica"
        yield (*trail, "nodes"), f"{hold}; expected at least {each * count} for {what}"
    elif pool.replicas is None and pool.autoscale is None and devices % each:
        yield (
            trail,
            f"{hold}, which is not divisible by replicas of {each}; expected a multiple, or 'replicas: {devices // each}'",
        )
