"""Checks of memory: weights that do not fit, requests that never fit, tiers that hold nothing."""

from __future__ import annotations

from collections.abc import Iterator

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.deployment.size_limits import size_limits
from cluster_sim.loading.checks.finding import Finding
from cluster_sim.loading.checks.memory_sums import fault_of_settings
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.schema import Trail


def state_faults(deployment: Deployment, trail: Trail) -> Iterator[Finding]:
    """Yield options that are not simulated with models that keep states, or states and no tokens."""
    model, pool = deployment.model, deployment.pool
    if not model.has_states:
        return
    if pool.kv.offload:
        yield (
            (*trail, "kv", "offload"),
            f"got tiers; expected no tiers: {model.name} has layers with a state, which tiers do not keep in this version",
        )
    if pool.is_wafer and pool.kv.prefix_caching:
        yield (
            (*trail, "kv", "prefix_caching"),
            f"got true; expected false: {model.name} has layers with a state, which this version does not reuse on wafers",
        )
    if model.caches_tokens:
        return
    if pool.is_wafer:
        yield (
            (*trail, "node"),
            f"got a wafer; expected GPUs: the layers of {model.name} keep states only, which this version does not simulate on wafers",
        )
    elif pool.kv.prefix_caching:
        yield (
            (*trail, "kv", "prefix_caching"),
            f"got true; expected false: the layers of {model.name} keep states only, of which this version reuses no prefix",
        )


def offload_faults(deployment: Deployment, at: Trail) -> Iterator[Finding]:
    """Yield tiers that never receive a block, or that are too small."""
    pool = deployment.pool
    tiers = pool.kv.offload
    if tiers and not pool.kv.prefix_caching:
        yield (
            (*at, "offload"),
            "got tiers without prefix caching, so that no block is ever reused; expected prefix_caching: true",
        )
    for index, tier in enumerate(tiers):
        if tier.tier in [earlier.tier for earlier in tiers[:index]]:
            yield (
                (*at, "offload", index, "tier"),
                f"got '{tier.tier}' twice; expected different tiers",
            )
        if tier.tier == "memoryx" and not pool.is_wafer:
            yield (
                (*at, "offload", index, "tier"),
                f"got memoryx, which is for wafers only; {pool.node.device.name} is not a wafer",
            )
        if tier.capacity_bytes < (block_bytes := deployment.block_bytes):
            yield (
                (*at, "offload", index, "capacity"),
                f"got {tier.capacity_bytes:g} B; expected at least one block of {block_bytes:g} B",
            )


def capacity_faults(scenario: Scenario, deployment: Deployment, trail: Trail) -> Iterator[Finding]:
    """Yield weights that do not fit, and requests that can never be admitted."""
    pool, model = deployment.pool, deployment.model
    if deployment.placement.kv_tokens < pool.block_tokens:
        of_settings = fault_of_settings(deployment, trail)
        yield of_settings or ((*trail, "replica"), _no_room(deployment))
        return
    longest = _longest_request(scenario, deployment)
    if longest is None:
        return
    if longest > model.max_context:
        sessions = scenario.workload.sessions is not None
        mend = f"`window_tokens: {model.max_context}`" if sessions else "a `max` of their lengths"
        yield (
            ("workload",),
            f"the longest request, {longest:,} tokens, exceeds the context of {model.name}, {model.max_context:,} tokens; expected shorter prompts and answers, such as {mend}{' of the sessions' * sessions}",
        )
    elif longest - 1 > (
        held := deployment.kv_cache.longest(pool.max_batched_tokens)
    ) and not _is_held_elsewhere(scenario, longest):
        yield (
            ("workload",),
            f"the longest request, {longest:,} tokens, can never be admitted: the KV cache capacity of a replica of pool '{pool.name}' is {held:,} tokens; expected shorter requests, more devices per replica, or a smaller kv_cache format",
        )
    elif not pool.chunked_prefill and longest - 1 > pool.max_batched_tokens:
        yield (
            (*trail, "batching"),
            f"without chunked_prefill the longest request, {longest:,} tokens, never fits into a step of max_batched_tokens {pool.max_batched_tokens:,}; expected chunked_prefill: true, or a higher max_batched_tokens",
        )


def _is_held_elsewhere(scenario: Scenario, tokens: int) -> bool:
    """Return whether rules send long prompts to pools of their own, one of which can hold them."""
    whole = size_limits(scenario).whole if scenario.cluster.router.parts_lengths else ()
    return any(limit.tokens >= tokens - 1 for limit in whole)


def _longest_request(scenario: Scenario, deployment: Deployment) -> int | None:
    """Return the tokens of the longest request that a pool may get; None if a trace decides."""
    workload = scenario.workload
    if workload.trace is not None:
        return None
    if workload.sessions is not None:
        longest = workload.sessions.longest or 1
    else:
        makes_one_token = deployment.role == "prefill"
        longest = max(
            ((prompt and prompt.longest) or 1)
            + (1 if makes_one_token else (output and output.longest) or 1)
            for prompt, output in workload.length_pairs()
        )
    return longest + (workload.shared_prefix.tokens if workload.shared_prefix else 0)


def _remedy(deployment: Deployment) -> str:
    """Return what makes weights fit: more devices, or a smaller format that the device has."""
    if deployment.pool.is_wafer:
        return "; expected more wafers"
    smaller = {"bf16": ", or weights: fp8", "fp8": ", or weights: fp4", "fp4": ""}
    return f"; expected more devices per replica (tensor_parallel, pipeline_parallel){smaller[deployment.weights]}"


def _no_room(deployment: Deployment) -> str:
    """Return a sentence that names the memory that is too small, and for what."""
    pool, placement, device = deployment.pool, deployment.placement, deployment.device
    devices = placement.devices
    noun = f"each of {devices} devices" if devices > 1 else "a device"
    memory_bytes = device.memory.capacity_bytes
    if pool.is_wafer:
        noun, memory_bytes = f"{devices} wafers", memory_bytes * devices
    weights = f"the {deployment.weights} weights of {deployment.model.name}"
    weight_memory = device.weight_memory
    if weight_memory is None:
        left_bytes = max(placement.kv_bytes, 0.0)
        activations = ""
        if placement.activation_bytes:
            activations = f" beside {_gigabytes(placement.activation_bytes)} that experts and the sampler need in a step of {pool.max_batched_tokens:,} tokens and {pool.max_sequences:,} sequences"
        if pool.is_wafer and (fixed_bytes := _fixed_bytes(deployment)):
            activations = f" beside {_gigabytes(fixed_bytes)} for windows and states of {pool.max_sequences:,} sequences (max_sequences)"
        return f"{weights} do not fit: {_gigabytes(placement.weight_bytes)} on {noun} of {_gigabytes(memory_bytes)}{activations}, {_gigabytes(left_bytes)} left for the KV cache{_remedy(deployment)}"
    if placement.weight_free_bytes is not None and placement.weight_free_bytes < 0.0:
        return f"{weights} do not fit: {_gigabytes(placement.weight_bytes)} on {noun}, whose memory for weights is {_gigabytes(weight_memory.capacity_bytes)}"
    return f"no memory is left for the KV cache: {noun} has {_gigabytes(memory_bytes)} beside its memory for weights, {_gigabytes(placement.reserved_bytes)} of it reserved"


def _fixed_bytes(deployment: Deployment) -> float:
    """Return the size of windows and states of all sequences on the wafers of one replica [B]."""
    parts = (part for region in deployment.regions for part in region.parts)
    return sum(part.fixed_bytes for part in parts)


def _gigabytes(size: float) -> str:
    """Return a size with one decimal, or with three if it is below one gigabyte."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 or not size else f"{size / 1e9:.3f} GB"
