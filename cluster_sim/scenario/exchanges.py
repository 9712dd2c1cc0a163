"""Kinds of exchange between attention and experts that the replicas of a pool run."""

from __future__ import annotations

from math import ceil

from cluster_sim.llm.model import Model
from cluster_sim.physics.exchange_kinds import ExchangePlan, GroupShape, chosen_kind
from cluster_sim.scenario.pool import Pool
from cluster_sim.serving.phase_exchanges import exchange_plan


def group_shape(pool: Pool, model: Model) -> GroupShape:
    """Return the devices among which the experts of one pipeline stage are exchanged."""
    plan = pool.replica
    nodes = ceil(plan.stage_devices / pool.node.devices)
    top_k = 0 if model.experts is None else model.experts.top_k
    return GroupShape(plan.stage_devices, plan.expert_parallel, nodes, top_k)


def exchanges_of(pool: Pool, model: Model) -> ExchangePlan | None:
    """Return the kinds of exchange of a pool by phase; None if its ranks exchange no tokens."""
    plan = pool.replica
    if pool.is_wafer or plan.data_parallel == 1 or model.experts is None:
        return None
    device, engine, shape = pool.node.device, plan.engine.profile, group_shape(pool, model)
    given = exchange_plan(plan.engine.expert_exchange)
    return ExchangePlan(
        chosen_kind(given.prefill, device, engine, shape, has_prompts=True),
        chosen_kind(given.decode, device, engine, shape, has_prompts=False),
    )
