"""Checks of batching and speculation: options that do not fit together."""

from __future__ import annotations

from collections.abc import Iterator

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.llm.model import Model
from cluster_sim.loading.checks.finding import Finding
from cluster_sim.scenario.pool import Pool
from cluster_sim.schema import Trail


def batching_faults(pool: Pool, trail: Trail) -> Iterator[Finding]:
    """Yield options that static batching does not support."""
    if pool.batching.is_continuous:
        return
    options = {}
    if pool.kv.prefix_caching or pool.kv.watermark:
        options["kv"] = "prefix_caching" if pool.kv.prefix_caching else "watermark"
    if pool.replica.speculation:
        options["replica"] = "speculation"
    for section, option in options.items():
        yield (
            (*trail, section, option),
            "static batching does not support this; expected the policy 'continuous'",
        )


def speculation_faults(deployment: Deployment, at: Trail) -> Iterator[Finding]:
    """Yield drafts that do not fit the model, the draft model or the limits of a step."""
    model, pool = deployment.model, deployment.pool
    speculation = pool.replica.speculation
    if speculation is None:
        return
    if not _is_verified(model):
        yield at, _no_windows(model)
    if (drafter := speculation.drafting_model) is not None:
        ranks = pool.replica.tensor_parallel
        if not _is_verified(drafter):
            yield (*at, "draft_model"), _no_windows(drafter)
        elif not pool.is_wafer:
            for kind in drafter.attention:
                if fault := kind.fault_of_ranks(ranks):
                    yield (*at, "draft_model"), f"tensor_parallel of {fault.format(drafter.name)}"
    tokens = 1 + speculation.draft_tokens
    if pool.max_sequences * tokens > pool.max_batched_tokens:
        yield (
            (*at, "draft_tokens"),
            f"got max_sequences of {pool.max_sequences} with {tokens} tokens each; expected at most max_batched_tokens of {pool.max_batched_tokens} together",
        )


def _is_verified(model: Model) -> bool:
    """Return whether steps that verify drafts are simulated: all layers see the whole context."""
    return not model.view_tokens and not model.has_states


def _no_windows(model: Model) -> str:
    what = "a window" if model.window else "a limited view of the context or a state"
    return (
        f"{model.name} has layers with {what}; this version does not simulate speculation with them"
    )
