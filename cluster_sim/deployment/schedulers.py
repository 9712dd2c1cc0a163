"""The scheduler of one replica of a deployment."""

from __future__ import annotations

from collections.abc import Callable

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.physics.limited_view import LimitedView
from cluster_sim.serving.kv_cache.shared_store import StoreView
from cluster_sim.serving.scheduler import Drafting, Scheduler, SchedulerLimits
from cluster_sim.workload.random_streams import numbered


def build_scheduler(
    deployment: Deployment,
    seed: int = 0,
    tell: Callable[[int, int], None] | None = None,
    store: StoreView | None = None,
) -> Scheduler:
    """Return the scheduler of one replica, without requests.

    Parameters
    ----------
    deployment
        Deployment of the replica.
    seed
        Seed of the random choices of speculation.
    tell
        Function that is told of changes of the prefix cache; None if nobody listens.
    store
        Tier that the replica shares with others; None if there is none.
    """
    pool, model = deployment.pool, deployment.model
    limits = SchedulerLimits(
        max_sequences=pool.max_sequences,
        max_batched_tokens=pool.max_batched_tokens,
        max_context=model.max_context,
        chunked_prefill=pool.chunked_prefill,
        pipeline_stages=1 if pool.is_wafer else pool.replica.pipeline_parallel,
        data_parallel=1 if pool.is_wafer else pool.replica.data_parallel,
        view=LimitedView.of(model),
        counts_longest=pool.replica.engine.attention_backend != "default",
    )
    speculation = pool.replica.speculation
    drafting = Drafting(speculation, numbered(seed, "speculation")) if speculation else None
    kv_cache = deployment.kv_cache
    if tell is not None or store is not None:
        kv_cache = kv_cache._replace(tell=tell, store=store)
    policy = pool.batching.with_defaults(pool.engine)
    return policy.scheduler(limits, kv_cache, deployment.role, drafting)
