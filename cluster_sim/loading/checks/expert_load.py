"""Checks of how a pool loads its experts: popularity, redundant experts, overlapped exchanges."""

from __future__ import annotations

from collections.abc import Iterator

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.llm.model import Model
from cluster_sim.loading.checks.finding import Finding, got
from cluster_sim.physics.exchange_kinds import KINDS
from cluster_sim.physics.fused_experts import fused_fit
from cluster_sim.scenario.exchanges import exchanges_of
from cluster_sim.scenario.pool import Pool
from cluster_sim.schema import Trail
from cluster_sim.serving.profiles import is_written


def load_faults(deployment: Deployment, at: Trail) -> Iterator[Finding]:
    """Yield keys about experts that do not fit the model, the device or each other.

    Parameters
    ----------
    deployment
        Pool with its model.
    at
        Keys that lead to the plan of the pool's replicas.
    """
    pool, model = deployment.pool, deployment.model
    if pool.replica.overlap == "none" and is_written(pool.replica.engine, "two_batch_from"):
        yield (
            (*at, "engine", "two_batch_from"),
            "got rules without two batches; expected `overlap: two_batch` beside the engine, or none",
        )
    reason = None
    fused = pool.replica.engine.fused_experts and is_written(pool.replica.engine, "fused_experts")
    if fused and model.experts is None:
        yield (
            (*at, "engine", "fused_experts"),
            f"got true; {model.name} has no experts; expected false",
        )
    if model.experts is None:
        reason = f"{model.name} has no experts"
    elif pool.is_wafer:
        reason = f"{pool.node.device.name} is a wafer, whose cores hold every expert once"
    if reason is not None:
        for key, text in _written(pool):
            yield (*at, key), f"got {text}; {reason}; expected no {key}"
        return
    yield from _fused_faults(model, pool, (*at, "engine", "fused_experts"))
    yield from _copy_faults(model, pool, (*at, "redundant_experts"))
    yield from _trace_faults(model, pool, (*at, "expert_load"))
    yield from _overlap_faults(pool, model, at)


def _fused_faults(model: Model, pool: Pool, at: Trail) -> Iterator[Finding]:
    """Yield kernels of experts with their exchange that the devices of a pool cannot run."""
    plan, device = pool.replica, pool.node.device
    if not plan.engine.fused_experts:
        return
    fit = fused_fit(model, device, plan.layout_of(model))
    devices = plan.stage_devices
    if fit is None:
        known = ", ".join(device.kernels.fused_experts) if device.kernels else ""
        has = f"has such kernels for weights in {known} alone" if known else "has no such kernels"
        yield (
            at,
            f"got true; {device.name} {has}; expected false, or kernels.fused_experts in the device's file",
        )
    elif not 1 < devices == plan.data_parallel == plan.expert_parallel:
        yield (
            at,
            "got true; such kernels send tokens of every device to whole experts; expected data_parallel and expert_parallel of all devices of a stage, and tensor_parallel 1",
        )
    elif devices > (most := min(fit.devices, pool.node.devices)):
        yield (
            at,
            f"got true for {devices} devices; such kernels were measured within one node; expected at most {most} devices",
        )
    if is_written(plan.engine, "expert_exchange"):
        yield (
            (*at[:-1], "expert_exchange"),
            f"{got(plan.engine.expert_exchange)}; fused_experts has its own exchange; expected none of both",
        )


def _written(pool: Pool) -> Iterator[tuple[str, str]]:
    """Yield the keys of a plan that differ from their defaults, each with a text of its value."""
    plan = pool.replica
    if plan.redundant_experts:
        yield "redundant_experts", str(plan.redundant_experts)
    if not plan.expert_load.is_even:
        yield "expert_load", "uneven experts"
    if plan.overlap != "none":
        yield "overlap", plan.overlap


def _copy_faults(model: Model, pool: Pool, at: Trail) -> Iterator[Finding]:
    plan = pool.replica
    assert model.experts is not None
    count, copies, groups = model.experts.count, plan.redundant_experts, plan.expert_parallel
    if not copies:
        if plan.expert_load.drift is not None:
            yield (
                (*at[:-1], "expert_load", "drift"),
                f"got {plan.expert_load.drift:g}, which is the change since redundant experts were placed; expected redundant_experts beside it, or no drift",
            )
    elif groups == 1:
        yield (
            at,
            f"got {copies}; with expert_parallel 1 all devices share every expert; expected expert_parallel above 1, or 0",
        )
    elif left := (count + copies) % groups:
        more = copies + groups - left
        fewer = f"{copies - left} or " if copies >= left else ""
        yield (
            at,
            f"got {copies}; {count} experts and {copies} copies do not divide into {groups} groups of equal size; expected a number such as {fewer}{more}",
        )


def _overlap_faults(pool: Pool, model: Model, at: Trail) -> Iterator[Finding]:
    overlap = pool.replica.overlap
    if overlap != "none" and (reason := _reason_against(pool, model)) is not None:
        yield (*at, "overlap"), f"got {overlap}; {reason}"


def _reason_against(pool: Pool, model: Model) -> str | None:
    """Return why a pool cannot run two batches, and how to mend it; None if it can."""
    plan, device = pool.replica, pool.node.device
    kinds = exchanges_of(pool, model)
    if kinds is None:
        return "one rank of attention has no exchange of experts that a second half of the batch could hide; expected none, or data_parallel above 1"
    if plan.engine.fused_experts:
        return "fused_experts overlaps the exchange by itself; expected none"
    if plan.engine.two_batch_from is None:
        return f"{plan.engine.profile} has no such overlap; expected none, an engine that has it, such as vllm or sglang, or its key two_batch_from"
    if device.weight_memory is not None:
        return f"{device.name} reads weights and KV cache from two memories at once, and this version does not simulate two batches there; expected none"
    phases = [phase for phase in ("prefill", "decode") if plan.role in (phase, "both")]
    for phase in phases:
        kind = getattr(kinds, phase)
        if kind not in KINDS:
            return f"engines overlap kernels that send tokens to their experts, and {phase} runs {kind}; expected none, or `expert_exchange: {{prefill: deepep_normal, decode: deepep_low_latency}}` of the engine"
    return None


def _states_all_experts(path: str) -> bool:
    """Return whether the format of a routing trace has a count for every expert."""
    return not path.lower().endswith((".csv", ".parquet"))


def _trace_faults(model: Model, pool: Pool, at: Trail) -> Iterator[Finding]:
    load = pool.replica.expert_load
    assert model.experts is not None
    widest = max(map(len, load.counts), default=0)
    if widest > model.experts.count:
        yield (
            (*at, "path"),
            f"got a trace of {widest} experts; expected at most the {model.experts.count} of {model.name}. Counts of redundant copies must be added to those of their experts",
        )
    elif load.path and widest < model.experts.count and _states_all_experts(load.path):
        yield (
            (*at, "path"),
            f"got a trace of {widest} experts in a layer; {model.name} has {model.experts.count}; expected a trace of this model. CSV and Parquet may leave out experts without tokens",
        )
        return
    if len(load.counts) > model.layers:
        yield (
            (*at, "path"),
            f"got a trace with tokens in {len(load.counts)} layers; {model.name} has {model.layers}; expected a trace of this model",
        )
        return
    for number, counts in enumerate(load.counts):
        used = sum(count > 0 for count in counts)
        if used < model.experts.top_k:
            yield (
                (*at, "path"),
                f"got tokens of {used} expert{'s' * (used != 1)} in layer {number} of those with tokens; expected at least {model.experts.top_k}, as every token picks so many experts of {model.name}",
            )
            return
