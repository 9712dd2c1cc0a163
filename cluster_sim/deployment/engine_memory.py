"""CUDA graphs that a pool's engine captures, and the memory that the engine uses per device."""

from __future__ import annotations

from cluster_sim.llm.model import Model
from cluster_sim.physics.activation_memory import LargestStep, activation_bytes
from cluster_sim.physics.memory_use import ExpertPadding, MemoryUse
from cluster_sim.physics.replica_layout import GraphPlan, ReplicaLayout
from cluster_sim.scenario.pool import Pool
from cluster_sim.serving.engine import known
from cluster_sim.serving.graphs import StepLimits
from cluster_sim.serving.memory_rules import ServedPlan


def captured_graphs(pool: Pool) -> GraphPlan | None:
    """Return the CUDA graphs that the engine captures on each rank; None without a graph mode."""
    ranks, speculation = pool.replica.data_parallel, pool.replica.speculation
    return pool.engine.graphs(
        StepLimits(
            pool.max_sequences // ranks,
            _largest_step(pool) // ranks,
            speculation.draft_tokens if speculation else 0,
        )
    )


def memory_use(pool: Pool, model: Model, layout: ReplicaLayout, devices: int) -> MemoryUse:
    """Return the memory that the engine uses on each of the `devices` GPUs of a replica."""
    engine, graphs = pool.engine, layout.graphs
    group_bytes = engine.reserved_group_bytes if devices > 1 else 0.0
    memory, padding = engine.graph_memory, engine.expert_padding
    return MemoryUse(
        fraction=pool.kv.memory_fraction or _memory_fraction(pool, model, graphs),
        reserved_bytes=engine.reserved_bytes + group_bytes,
        prefix_caching=pool.kv.prefix_caching,
        block_tokens=pool.block_tokens,
        step_tokens=_largest_step(pool) // pool.replica.data_parallel,
        activation_bytes=_activation_bytes(pool, model, layout),
        graph_bytes=memory.reserve_bytes(graphs) if memory and graphs else 0.0,
        expert_padding=ExpertPadding(padding.hidden, padding.width) if padding else ExpertPadding(),
        of_free=engine.memory_base == "free",
    )


def _memory_fraction(pool: Pool, model: Model, graphs: GraphPlan | None) -> float:
    """Return the share of each device's memory by the engine's rule."""
    engine, plan = pool.engine, pool.replica
    if engine.static_reserve is None:
        return known(engine.memory_fraction)
    served = ServedPlan(
        step_tokens=_largest_step(pool) // plan.data_parallel,
        graph_sequences=graphs.decode_sequences[-1] if graphs and graphs.decode_sequences else 0,
        devices=pool.replica_devices,
        data_parallel=plan.data_parallel,
        is_latent=any(kind.is_latent for kind in model.attention),
    )
    return engine.static_reserve.fraction(pool.node.device.memory.capacity_bytes, served)


def _largest_step(pool: Pool) -> int:
    """Return the number of tokens of the largest step of a replica, for which engines reserve.

    Static batching has no limit. The limit of the engine is used for it: an engine sizes its
    reserves and graphs before it knows the batches.
    """
    if pool.batching.is_continuous:
        return pool.max_batched_tokens
    return known(pool.engine.max_batched_tokens) * pool.replica.data_parallel


def _activation_bytes(pool: Pool, model: Model, layout: ReplicaLayout) -> float:
    """Return the activations of a step that exceed the engine's reserved memory [B]."""
    engine = pool.engine
    if engine.reserved_activation_bytes is None:
        return 0.0
    tokens = _largest_step(pool)
    sequences = min(pool.max_sequences, tokens)
    step = LargestStep(tokens, sequences, engine.logit_bytes, engine.expert_rows)
    needed = activation_bytes(model, layout, step)
    return max(needed - engine.reserved_activation_bytes, 0.0)
