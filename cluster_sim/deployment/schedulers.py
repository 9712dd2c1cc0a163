"""The scheduler of one replica of a deployment."""

from __future__ import annotations

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.serving.scheduler import (
    Batch,
    ContinuousBatch,
    DecodeBatch,
    PrefillBatch,
    SpeculativeDecodeBatch,
    Static,
    StaticBatch,
)
from cluster_sim.serving.scheduler.speculative import SpeculativeBatch
from cluster_sim.workload.random_streams import numbered


def build_scheduler(deployment: Deployment, seed: int = 0) -> Batch:
    """Return the scheduler of one replica, without requests.

    `seed` starts the random choices of speculation.
    """
    pool, model = deployment.pool, deployment.model
    limits = (
        deployment.kv_tokens, pool.block_tokens, pool.max_sequences, pool.max_batched_tokens, pool.chunked_prefill, model.max_context,
    )  # fmt: skip
    window = model.window.tokens if model.window else 0
    if isinstance(pool.batching, Static):
        return StaticBatch(
            deployment.kv_tokens,
            pool.block_tokens,
            pool.max_sequences,
            model.max_context,
            window,
        )
    engine, policy = pool.replica.engine, pool.batching
    policy = policy.model_copy(
        update={
            name: getattr(engine, name)
            for name in ("batch_wait_timeout_iterations", "batch_wait_max_tokens_ratio")
            if getattr(policy, name) is None
        }
    )
    kept = (*deployment.swap, deployment.offload)
    if (speculation := pool.replica.speculation) is not None:
        speculative = SpeculativeDecodeBatch if deployment.role == "decode" else SpeculativeBatch
        return speculative(
            *limits,
            pool.kv.prefix_caching,
            speculation,
            numbered(seed, "speculation"),
            policy,
            pool.watermark,
            *kept,
        )
    kind = {"both": ContinuousBatch, "prefill": PrefillBatch, "decode": DecodeBatch}[
        deployment.role
    ]
    return kind(*limits, window, pool.kv.prefix_caching, 0, None, policy, pool.watermark, *kept)
