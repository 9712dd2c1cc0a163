"""Limits and CUDA graphs of a pool's engine, as resolved for its devices."""

from __future__ import annotations

from dataclasses import dataclass

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.deployment.memory_use import captured_graphs
from cluster_sim.physics.replica_layout import GraphPlan


@dataclass(frozen=True)
class EngineFacts:
    """Limits and CUDA graphs of the engine of one pool."""

    max_sequences: int
    """Number of batch slots of a replica."""
    max_batched_tokens: int
    """Maximum number of tokens of one step of a replica."""
    admission: str
    """Rule of admission: a `capacity_scheduler_policy`, `prefill_first`, `whole_prompts` for pools
    that only prefill, or `static`."""
    reserved_answers: float
    """Share of the remaining answers of running requests for which admission keeps blocks."""
    by_device: bool
    """Whether the engine chooses values by the device."""
    graph_mode: str | None
    """Mode of CUDA graphs; None if the profile has no mode."""
    graphs: GraphPlan | None
    """Captured CUDA graphs of a rank; None if the profile has no mode."""
    graph_bytes: float
    """Memory of one device that the engine reserves for CUDA graphs [B]."""


def engine_facts(deployment: Deployment) -> EngineFacts:
    """Return the limits and CUDA graphs of a pool's engine on the devices of the pool."""
    pool = deployment.pool
    return EngineFacts(
        max_sequences=pool.max_sequences,
        max_batched_tokens=pool.max_batched_tokens,
        admission=pool.batching.admission(pool.engine, pool.replica.role),
        reserved_answers=pool.batching.reserved_answers(pool.engine, pool.replica.role),
        by_device=bool(pool.engine.by_device),
        graph_mode=pool.engine.graph_mode,
        graphs=None if pool.is_wafer else captured_graphs(pool),
        graph_bytes=deployment.placement.graph_bytes,
    )
