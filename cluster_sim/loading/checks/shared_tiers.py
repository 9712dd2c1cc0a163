"""Checks of tiers of KV cache that replicas share over the network."""

from __future__ import annotations

from collections.abc import Iterator

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.deployment.fleet import Fleet
from cluster_sim.deployment.site_faults import SiteFaults
from cluster_sim.loading.checks.finding import Finding
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.schema import Trail
from cluster_sim.serving.kv_cache.offload import Tier
from cluster_sim.units import key_of


def shared_tier_faults(deployment: Deployment, at: Trail) -> Iterator[Finding]:
    """Yield shared tiers that this version does not simulate, and keys that need a shared tier.

    at: keys of the pool's tiers.
    """
    tiers, pool = deployment.pool.kv.offload, deployment.pool
    for index, tier in enumerate(tiers):
        where: Trail = (*at, index)
        if not tier.is_shared:
            yield from _own_tier_faults(tier, where)
            continue
        if index < len(tiers) - 1:
            yield (
                (*where, "shared"),
                f"got {tier.shared} for a tier before others; expected one shared tier, the last of the list: it gets its blocks from prefill, not from earlier tiers",
            )
        if tier.tier == "memoryx" or pool.is_wafer:
            yield (
                (*where, "shared"),
                f"got {tier.shared}; expected replica: this version shares no tiers of wafers",
            )
        if deployment.role == "decode":
            yield (
                (*where, "shared"),
                f"got {tier.shared} in a pool of the role decode; expected it in pools that prefill: decode replicas get their KV cache from these",
            )
        if any(kind.window_values() for kind in deployment.model.attention):
            yield (
                (*where, "shared"),
                f"got {tier.shared}; expected replica, or no tier: {deployment.model.name} has layers with a window, whose blocks tiers do not keep in this version",
            )


def _own_tier_faults(tier: Tier, where: Trail) -> Iterator[Finding]:
    if tier.tier == "store":
        yield (
            (*where, "shared"),
            "got a store of each replica; expected pool or cluster, which name the replicas that share it",
        )
    for name in ("store_bandwidth_bytes_per_s", "latency_s"):
        if getattr(tier, name):
            key = key_of(name)
            yield (
                (*where, key),
                f"got {key} for a tier of each replica; expected shared: pool or shared: cluster beside it, or no {key}",
            )


def shared_cluster_faults(scenario: Scenario, fleet: Fleet) -> Iterator[Finding]:
    """Yield tiers of the cluster that differ between pools, and what cannot be beside them."""
    sharing = [
        (index, deployment)
        for index, deployment in enumerate(fleet.deployments)
        if deployment.shared_tier is not None
    ]
    if not sharing:
        return
    at: Trail = ("cluster", "pools", sharing[0][0], "kv", "offload")
    if SiteFaults(scenario, fleet).hit_links:
        yield (
            at,
            "got a shared tier beside links that fail, whose routes to the tier this version does not search again; expected no failures of links",
        )
    first: dict[str, Deployment] = {}
    for index, deployment in sharing:
        tier = deployment.shared_tier
        if tier is None or tier.shared != "cluster":
            continue
        other = first.setdefault(tier.tier, deployment)
        where: Trail = ("cluster", "pools", index, "kv", "offload")
        if _tier_of(other) != _tier_of(deployment):
            yield (
                where,
                f"got another capacity or store_bandwidth than pool '{other.name}'; expected equal ones, since both describe the tier '{tier.tier}' of the cluster",
            )
        if _layout(other) != _layout(deployment):
            yield (
                where,
                f"got {_layout(deployment)}; expected {_layout(other)} as in pool '{other.name}', or shared: pool: replicas find only blocks of their own layout (LMCache and Mooncake put it into their keys)",
            )


def _tier_of(deployment: Deployment) -> tuple[float, float | None]:
    tier = deployment.shared_tier
    assert tier is not None
    return tier.capacity_bytes, tier.store_bandwidth_bytes_per_s


def _layout(deployment: Deployment) -> str:
    """Return the keys of a pool on which the content of its blocks depends."""
    pool, plan = deployment.pool, deployment.pool.replica
    return f"tensor_parallel {plan.tensor_parallel}, pipeline_parallel {plan.pipeline_parallel}, kv_cache {plan.kv_cache} and block_tokens {pool.block_tokens}"
