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
    elif pool.kv.preemption == "swap":
        options["kv"] = "preemption"
    if pool.replica.speculation:
        options["replica"] = "speculation"
    for section, option in options.items():
        yield (
            (*trail, section, option),
            "static batching does not support this; expected the policy 'continuous'",
        )


def ignored_faults(pool: Pool, trail: Trail) -> Iterator[Finding]:
    """Yield keys that are set and have no effect with the scheduler of a pool."""
    sections = {"batching": pool.batching, "kv": pool.kv}
    ranks = 1 if pool.is_wafer else pool.replica.data_parallel
    ignored = pool.batching.ignored_keys(pool.engine, pool.replica.role, ranks)
    for section, key, expected in ignored:
        value = getattr(sections[section], key)
        if value and value != "recompute":
            text = value if isinstance(value, str | int | float) else "rules"
            yield (*trail, section, key), f"got {text}; {expected}"
    engine = pool.engine
    both = pool.batching.is_continuous and pool.replica.role == "both"
    if both and engine.prefill_first is not None:
        if engine.capacity_scheduler_policy != "first_chunk":
            yield (
                (*trail, "replica", "engine"),
                f"got capacity_scheduler_policy {engine.capacity_scheduler_policy} beside prefill_first, which has a rule of its own; expected first_chunk, or prefill_first: null",
            )
        if engine.batch_wait_timeout_iterations:
            yield (
                (*trail, "replica", "engine"),
                f"got batch_wait_timeout_iterations {engine.batch_wait_timeout_iterations} beside prefill_first, which holds no prompt back; expected 0, or prefill_first: null",
            )


def speculation_faults(deployment: Deployment, at: Trail) -> Iterator[Finding]:
    """Yield drafts that do not fit the model, the draft model or the limits of a step."""
    model, pool = deployment.model, deployment.pool
    speculation = pool.replica.speculation
    if speculation is None:
        return
    if not _is_verified(model):
        yield at, _not_verified(model)
    if (drafter := speculation.drafting_model) is not None:
        ranks = pool.replica.tensor_parallel
        if not _is_verified(drafter):
            yield (*at, "draft_model"), _not_verified(drafter)
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
    """Return whether steps that verify drafts are simulated: with the whole context or windows."""
    is_chosen = any(kind.is_chosen or kind.kind == "compressed" for kind in model.attention)
    return not (model.has_states or model.view_is_chunked or is_chosen)


def _not_verified(model: Model) -> str:
    return f"{model.name} has layers with states, chunks, an indexer or compressed entries; this version does not simulate speculation with them"
