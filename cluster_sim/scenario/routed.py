"""Facts of a scenario that matter to its router."""

from __future__ import annotations

from collections.abc import Sequence

from cluster_sim.llm.model import Model
from cluster_sim.scenario.pool import Pool
from cluster_sim.scenario.workload import Workload
from cluster_sim.serving.routing import Routed, RoutedPool


def routed(model: Model, workload: Workload, pools: Sequence[Pool]) -> Routed:
    """Return the facts that matter to the router of a scenario."""
    trace = workload.trace
    return Routed(
        pools=[
            RoutedPool(pool.name, pool.replica.role != "decode", _no_kv_events(model, pool))
            for pool in pools
        ],
        classes=[each.name for each in workload.classes],
        has_sessions=workload.sessions is not None
        or (trace is not None and trace.replay != "timestamps"),
        has_output_limit=workload.max_output_tokens is not None,
    )


def _no_kv_events(model: Model, pool: Pool) -> str:
    """Return why a pool reports no blocks of its prefix cache; empty if it reports them."""
    if not pool.kv.prefix_caching:
        return "has no prefix cache to report on; expected kv.prefix_caching: true"
    shares_blocks = any(kind.window_values() for kind in model.attention)
    if model.has_states or (shares_blocks and not pool.is_wafer):
        return f"reports nothing for {model.name}, which has layers with a window or a state; expected knows: sent"
    return ""
