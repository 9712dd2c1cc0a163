"""Checks of batching and speculation: options that do not fit together."""

from __future__ import annotations

from collections.abc import Iterator

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.llm.model import Model
from cluster_sim.loading.checks.finding import Finding, got
from cluster_sim.scenario.pool import Pool
from cluster_sim.schema import Trail
from cluster_sim.serving.profiles import is_written


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
    engine = pool.replica.engine
    sections = {"batching": pool.batching, "kv": pool.kv, "engine": engine}
    ranks = 1 if pool.is_wafer else pool.replica.data_parallel
    ignored = pool.batching.ignored_keys(pool.engine, pool.replica.role, ranks)
    for section, key, expected in ignored:
        holder = section
        if section == "kv" and getattr(pool.kv, key) is None:
            holder = "engine"  # whose value holds
        if holder == "engine" and not is_written(engine, key):
            continue
        value = getattr(sections[holder], key)
        if value and value != "recompute":
            at = ("replica", "engine") if holder == "engine" else (holder,)
            yield (*trail, *at, key), f"{got(value)}; {expected}"


def speculation_faults(deployment: Deployment, at: Trail) -> Iterator[Finding]:
    """Yield drafts that do not fit the model, the draft model or the limits of a step."""
    model, pool = deployment.model, deployment.pool
    speculation = pool.replica.speculation
    if speculation is None:
        return
    if reason := not_verified(model):
        yield at, reason
    if (drafter := speculation.drafting_model) is not None:
        ranks = pool.replica.tensor_parallel
        if reason := not_verified(drafter):
            yield (*at, "draft_model"), reason
        elif not pool.is_wafer:
            for kind in drafter.attention:
                if fault := kind.fault_of_ranks(ranks):
                    yield (*at, "draft_model"), f"tensor_parallel of {fault.format(drafter.name)}"
    tokens = 1 + speculation.draft_tokens
    needed = pool.max_sequences * tokens
    if pool.decodes_within_limit and needed > pool.max_batched_tokens:
        yield (
            (*at, "draft_tokens"),
            f"got max_sequences of {pool.max_sequences} with {tokens} tokens each; expected at most max_batched_tokens of {pool.max_batched_tokens} together",
        )


def not_verified(model: Model) -> str | None:
    """Return why steps of a model that verify drafts are not simulated; None if they are.

    They are simulated with layers that read the whole context or a window of it.
    """
    is_chosen = any(kind.is_chosen or kind.kind == "compressed" for kind in model.attention)
    if not (model.has_states or model.view_is_chunked or is_chosen):
        return None
    return f"{model.name} has layers with states, chunks, an indexer or compressed entries; this version does not simulate speculation with them"
